"""What is taken for an image: an array, a picture of Pillow's, or the path of a file."""

from pathlib import Path

import numpy as np
from PIL import Image

from segnext_pafpn.data.image_format import refuse_infinite
from segnext_pafpn.data.readers.files import as_rgb, read_rgb
from segnext_pafpn.data.readers.pixels import as_pixels, read_pixels
from segnext_pafpn.models.preprocessing import Preprocessing

AnyImage = np.ndarray | Image.Image | str | Path


def as_image(image: AnyImage, preprocessing: Preprocessing) -> np.ndarray:
    """The image (H, W, C) that is meant, upright as its EXIF data say; a grey one is repeated to RGB.

    Raises:
        TypeError: for what is no image, such as a tensor.
        ValueError: for an array of another shape or type than the model's images, or of NaN or infinite values;
            naming a file that cannot be read.
    """
    name = str(image) if isinstance(image, str | Path) else "the image"
    channels, rgb, is_8_bit = preprocessing.channels, preprocessing.is_rgb8, preprocessing.intensity is None
    expected = f"expected {'uint8' if is_8_bit else 'numbers'} (H, W, {channels})"
    if isinstance(image, str | Path):
        image = read_rgb(Path(image)) if rgb else read_pixels((Path(image),), channels)
    elif isinstance(image, Image.Image):
        image = as_rgb(image, "the picture", "model") if rgb else as_pixels(image, "the picture")
    if not isinstance(image, np.ndarray):
        raise TypeError(f"the image is a {type(image).__name__}, {expected} in a numpy array, a PIL image or a path.")
    is_grey = image.ndim == 2 and (channels == 1 or rgb)
    shaped = np.repeat(image[..., None], channels, axis=2) if is_grey else image
    known = image.dtype == np.uint8 if is_8_bit else image.dtype.kind in "uif"
    if not known or shaped.ndim != 3 or not shaped.size:
        raise ValueError(f"{name} is {image.dtype} {image.shape}, {expected}.")
    if shaped.shape[2] != channels:
        raise ValueError(
            f"{name} is {image.dtype} {image.shape}: it has {shaped.shape[2]} channels, the model was trained on "
            f"{channels}.{_advice(shaped, channels)}"
        )
    refuse_infinite(shaped, name)
    return shaped


def _advice(image: np.ndarray, channels: int) -> str:
    """What most likely makes an image of ``channels`` of it."""
    if image.shape[0] == channels:
        return " Channels come last: give image.transpose(1, 2, 0)."
    if channels == 3 and image.shape[2] == 4:
        return " To leave alpha out, give image[..., :3]."
    return ""
