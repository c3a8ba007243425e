"""What is taken for an image where no file says what it is."""

import numpy as np

from segnext_pafpn.models.preprocessing import Preprocessing


def as_image(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The image (H, W, C) that an array means: itself, or a grey one (H, W), repeated to RGB as a grey file would be.

    Raises:
        TypeError: for what is no array, such as a path.
        ValueError: for an array of another shape or type than the model's images.
    """
    channels, rgb = preprocessing.channels, preprocessing.intensity is None
    expected = f"expected {'uint8' if rgb else 'numbers'} (H, W, {channels})"
    if not isinstance(image, np.ndarray):
        reader = "files.read_rgb(path)" if rgb else "pixels.read_pixels((path,))"
        raise TypeError(
            f"the image is a {type(image).__name__}, {expected} in a numpy array. Read a file with "
            f"segnext_pafpn.data.readers.{reader}, or let predict_files do it."
        )
    is_grey = image.ndim == 2 and (channels == 1 or (rgb and channels == 3))
    shaped = np.repeat(image[..., None], channels, axis=2) if is_grey else image
    known = image.dtype == np.uint8 if rgb else image.dtype.kind in "uif"
    if not known or shaped.ndim != 3 or not shaped.size:
        raise ValueError(f"the image is {image.dtype} {image.shape}, {expected}.")
    if shaped.shape[2] != channels:
        advice = " Channels come last: give image.transpose(1, 2, 0)." if shaped.shape[0] == channels else ""
        raise ValueError(
            f"the image is {image.dtype} {image.shape}: it has {shaped.shape[2]} channels, the model was trained on "
            f"{channels}.{advice}"
        )
    return shaped
