"""What a card says of its images: how many channels, and how their values are normalised.

::

    image:
      channels: 1
      normalize: ct                # or imagenet, rescale, percentile, zscore, none
      window: [-1000, 1000]        # cut to this first; a pair for all channels, or one for each
      percentiles: [0.5, 99.5]
      statistics: foreground       # or all, image
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.intensity import METHODS, ImageStatistics, Intensity, intensity_from

STATISTICS = ("foreground", "all", "image")
IMAGE_TYPES = (np.uint8, np.uint16, np.int16, np.float32)
_KEYS = ("channels", "normalize", "window", "percentiles", "statistics")
_MAX_CHANNELS = 512  # OpenCV's


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """The images of a data set. Without ``image:`` in its card they are 8-bit RGB.

    Args:
        channels: C.
        normalize: ``imagenet`` for 8-bit RGB; for the others see :func:`~segnext_pafpn.intensity.intensity_from`.
        window: low and high limits, C each, to which values are cut first; or None.
        percentiles: in percent, for ``percentile`` and ``ct``.
        statistics: what the numbers are measured on: the pixels of all classes but the first in the train split
            (``foreground``, as nnU-Net measures its data sets; with ``multi_label`` those of any class), ``all`` its
            pixels that are not ignored, or each ``image`` by itself. Lowest and highest value are always of all pixels.
        neighbours: slices on each side whose channels are among the C, which no card says but its ``layout``. The
            numbers of the train split are those of the slice between them, whose mask is known, repeated.
    """

    channels: int = 3
    normalize: str = "imagenet"
    window: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    percentiles: tuple[float, float] = (0.5, 99.5)
    statistics: str = "foreground"
    neighbours: int = 0

    @property
    def slice_channels(self) -> int:
        """Channels of one slice, which are all where there are no neighbours."""
        return self.channels // (2 * self.neighbours + 1)

    @property
    def is_rgb8(self) -> bool:
        """Whether images are 8-bit RGB, which goes to the device as it is and is normalised there."""
        return self.normalize == "imagenet"

    @property
    def is_fixed(self) -> bool:
        """Whether the card alone says how values are normalised."""
        return self.normalize in ("imagenet", "none") or (self.normalize == "rescale" and self.window is not None)

    @property
    def needs_statistics(self) -> bool:
        """Whether the train split must be measured before the images can be normalised."""
        return not self.is_fixed and self.statistics != "image"

    def intensity(self, statistics: ImageStatistics | None = None) -> Intensity | None:
        """What images go through; None for 8-bit RGB.

        Args:
            statistics: of the train split, where they are needed; of values cut to ``window``.
        """
        if self.is_rgb8:
            return None
        if self.needs_statistics and statistics is None:
            raise ValueError(f"normalize '{self.normalize}' needs the statistics of the train split")
        if self.needs_statistics or self.is_fixed:
            return intensity_from(self.normalize, self.channels, statistics, self.window)
        low, high = self.window or (None, None)
        return Intensity(
            method=self.normalize, channels=self.channels, low=low, high=high, percentiles=self.percentiles
        )

    def check(self, image: np.ndarray, label: str, source: str = "card") -> np.ndarray:
        """The image, if it is what the card says: ``(H, W, C)``, 8-bit, or of another type for another ``normalize``.

        Args:
            label: how a message calls the image.
            source: what says so.

        Raises:
            UserError: naming the file, what was found and what was expected.
        """
        found = 1 if image.ndim == 2 else image.shape[-1]
        if image.ndim != 3 or found != self.channels:
            advice = "Set image.channels in the card, or export the image again."
            advice = advice if source == "card" else "Give images like those it was trained on."
            if ".tif" in label.lower() and image.ndim == 3 and image.shape[1] < found:
                advice += (
                    f" If {image.shape[1]} are the channels, write the TIFF with photometric='minisblack', "
                    f"planarconfig='contig'."
                )
            raise UserError(
                f"{label}: the image has {found} channel{'s' * (found != 1)} (shape {image.shape}), the {source} "
                f"expects {self.channels}. {advice}"
            )
        if self.is_rgb8 and image.dtype != np.uint8:
            advice = (
                "Say in the card how its values are to be normalised: "
                f"image: {{channels: {found}, normalize: percentile}}."
            )
            advice = advice if source == "card" else "Convert it to those, which the model was trained on."
            raise UserError(f"{label}: the image has {image.dtype} values, expected 8 bits per channel. {advice}")
        if image.dtype not in IMAGE_TYPES:
            raise ValueError(f"{label}: a reader gave {image.dtype}, expected uint8, uint16, int16 or float32")
        refuse_infinite(image, label)
        return image


def refuse_infinite(image: np.ndarray, label: str) -> None:
    """Refuse an image ``(H, W, C)`` with values that are no numbers, or none in float32, with which networks compute.

    Args:
        label: how a message calls the image.

    Raises:
        UserError: naming how many there are and the first's place.
    """
    if image.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        finite = np.isfinite(image.astype(np.float32, copy=False))
    if not finite.all():
        y, x, channel = np.argwhere(~finite)[0].tolist()
        raise UserError(
            f"{label}: {np.count_nonzero(~finite)} values are NaN or infinite (first at x {x}, y {y}, channel "
            f"{channel + 1}), expected numbers. Replace them, as with numpy.nan_to_num."
        )


RGB8 = ImageFormat()


def parse_image_format(content: Any, where: str) -> ImageFormat:
    """The ``image`` of a card.

    Args:
        content: as YAML gives it; None for a card without it.
        where: how a message calls the place.

    Raises:
        UserError: naming the key, what was found and what was expected.
    """
    if content is None:
        return RGB8
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a mapping, as in {{channels: 1, normalize: zscore}}, found {content!r}.")
    for key in content:
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key '{key}'.{nearest(str(key), _KEYS)} Known: {', '.join(_KEYS)}.")
    channels = content.get("channels", 3)
    if isinstance(channels, bool) or not isinstance(channels, int) or not 1 <= channels <= _MAX_CHANNELS:
        raise UserError(f"{where}.channels: expected a whole number of 1 to {_MAX_CHANNELS}, found {channels!r}.")
    window = _parse_window(content.get("window"), channels, where)
    normalize = content.get("normalize", "rescale" if window else "imagenet" if channels == 3 else "zscore")
    statistics = content.get("statistics", "foreground")
    for key, value, known in (("normalize", normalize, METHODS), ("statistics", statistics, STATISTICS)):
        if value not in known:
            raise UserError(
                f"{where}.{key}: '{value}' is not known.{nearest(str(value), known)} Known: {', '.join(known)}."
            )
    if normalize == "imagenet" and (channels != 3 or window):
        raise UserError(
            f"{where}.normalize: imagenet is for 8-bit images of 3 channels without a window, found channels: "
            f"{channels}, window: {content.get('window')}. Choose {', '.join(METHODS[1:])}."
        )
    percentiles = content.get("percentiles", [0.5, 99.5])
    if not _is_pair(percentiles) or percentiles[0] < 0 or percentiles[1] > 100:
        raise UserError(f"{where}.percentiles: expected [low, high] of 0 to 100, found {percentiles!r}.")
    return ImageFormat(
        channels=channels,
        normalize=normalize,
        window=window,
        percentiles=tuple(map(float, percentiles)),
        statistics=statistics,
    )


def _parse_window(window: Any, channels: int, where: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if window is None:
        return None
    pairs = [window] * channels if _is_pair(window) else window
    if not isinstance(pairs, list) or len(pairs) != channels or not all(map(_is_pair, pairs)):
        raise UserError(
            f"{where}.window: expected [low, high] with low < high, or such a pair for each of the {channels} "
            f"channels, found {window!r}."
        )
    return tuple(float(low) for low, _ in pairs), tuple(float(high) for _, high in pairs)


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in value)
    return numbers and value[0] < value[1]
