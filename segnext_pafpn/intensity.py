"""How the values of an image become what a network sees, where they are not 8-bit RGB.

Letters: H, W height and width, C channels. An image is (H, W, C) of any number type; all numbers are per channel.
"""

from dataclasses import dataclass

import numpy as np

from segnext_pafpn.slicing import between_neighbours

METHODS = ("imagenet", "rescale", "percentile", "zscore", "ct", "none")
_BY_PERCENTILES = ("percentile", "ct")
_SAME = 1e-7  # a spread below this share of the values is rounding: the channel is constant

Numbers = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ImageStatistics:
    """Of the values of each channel, over a data set or an image; each C long.

    Args:
        mean, std: of the values.
        lowest, highest: value.
        percentile_low, percentile_high: below which so many percent of the values lie, 0.5 and 99.5 unless the card
            says otherwise.
    """

    mean: Numbers
    std: Numbers
    lowest: Numbers
    highest: Numbers
    percentile_low: Numbers
    percentile_high: Numbers


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """``(clip(x, low, high) - mean) / std`` for each channel of an image.

    Args:
        method: by which the numbers were found; of each image anew if there are no ``mean`` and ``std``.
        channels: C.
        low, high: limits to which values are cut, or None.
        mean, std: subtracted and divided by, or None to find them (and limits) in each image by ``method``.
        percentiles: for limits that are found in each image.

    Raises:
        ValueError: for a method that is none.
    """

    method: str
    channels: int
    low: Numbers | None = None
    high: Numbers | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    percentiles: tuple[float, float] = (0.5, 99.5)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method: '{self.method}' is not known. Known: {', '.join(METHODS)}.")

    @property
    def is_deep(self) -> bool:
        """Whether its numbers are of values that 8 bits do not hold."""
        numbers = [number for limits in (self.low, self.high, self.mean) if limits is not None for number in limits]
        return max(map(abs, numbers), default=0.0) > 255

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """``(H, W, C)`` of any number type to float32; a channel that is constant becomes 0.

        Raises:
            ValueError: for another number of channels.
        """
        if image.ndim != 3 or image.shape[2] != self.channels:
            raise ValueError(f"the image is {image.shape}, expected (H, W, {self.channels}).")
        x = image.astype(np.float32)
        if self.low is not None:
            np.clip(x, np.float32(self.low), np.float32(self.high), out=x)
        found = self
        if self.mean is None:
            found = intensity_from(
                self.method, self.channels, measure(x, self.percentiles if self.method in _BY_PERCENTILES else None)
            )
            if found.low is not None:
                np.clip(x, np.float32(found.low), np.float32(found.high), out=x)
        x -= np.float32(found.mean)
        x /= np.float32(found.std)
        return x


def intensity_from(
    method: str,
    channels: int,
    statistics: ImageStatistics | None = None,
    window: tuple[Numbers, Numbers] | None = None,
) -> Intensity:
    """The numbers of ``method`` for values with these statistics.

    ``rescale`` takes the window, or lowest and highest value, to 0 and 1; ``percentile`` the two percentiles.
    ``zscore`` subtracts the mean and divides by the standard deviation; ``ct`` cuts at the percentiles first, as
    nnU-Net does with CT (Isensee et al., Nature Methods 2021). ``none`` leaves the values as they are.

    Args:
        statistics: not needed for ``none``, nor for ``rescale`` with a window.
        window: low and high limits, C each, to which values are cut before anything else; ``statistics`` are of
            values that were cut already.
    """
    low, high = window or (None, None)
    if method == "rescale":
        low, high = window or (statistics.lowest, statistics.highest)
    elif method in _BY_PERCENTILES:
        low, high = statistics.percentile_low, statistics.percentile_high
    if method == "none":
        mean, std = (0.0,) * channels, (1.0,) * channels
    elif method in ("zscore", "ct"):
        mean, std = statistics.mean, _spread(statistics.std, statistics.mean)
    else:
        mean, std = low, _spread(np.float32(high) - np.float32(low), low)
    return Intensity(method=method, channels=channels, low=low, high=high, mean=mean, std=std)


def measure(values: np.ndarray, percentiles: tuple[float, float] | None) -> ImageStatistics:
    """Statistics of ``(..., C)`` values, exact, in float64; percentiles, which take long, are NaN for None."""
    flat = values.reshape(-1, values.shape[-1])
    low = high = np.full(flat.shape[1], np.nan)
    if percentiles is not None:
        low, high = np.percentile(flat, percentiles, axis=0)
    return ImageStatistics(
        mean=as_numbers(flat.mean(axis=0, dtype=np.float64)),
        std=as_numbers(flat.std(axis=0, dtype=np.float64)),
        lowest=as_numbers(flat.min(axis=0)),
        highest=as_numbers(flat.max(axis=0)),
        percentile_low=as_numbers(low),
        percentile_high=as_numbers(high),
    )


def viewable(image: np.ndarray, intensity: Intensity | None = None, neighbours: int = 0) -> np.ndarray:
    """A picture ``(H, W, 3)`` uint8 of any image ``(H, W, C)``: its first three channels, or its first in grey.

    Of a slice with ``neighbours`` on each side these are the channels of the slice. 8-bit RGB stays as it is. Of others
    the limits of ``intensity``, or without them the image's own percentiles 0.5 and 99.5, become black and white.
    """
    if neighbours:
        image = between_neighbours(image, neighbours)
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return image
    taken = 3 if image.shape[2] >= 3 else 1
    x = image[..., :taken].astype(np.float32)
    if intensity is not None and intensity.low is not None:
        limits = (between_neighbours(np.float32(limit), neighbours) for limit in (intensity.low, intensity.high))
        low, high = (limit[:taken] for limit in limits)
    else:
        low, high = np.percentile(x, (0.5, 99.5), axis=(0, 1)).astype(np.float32)
    levels = 255 * (np.clip(x, low, high) - low) / np.where(high > low, high - low, 1)
    return np.repeat(levels.round().astype(np.uint8), 3 // taken, axis=2)


def _spread(spread: np.ndarray | Numbers, around: np.ndarray | Numbers) -> Numbers:
    """The spread to divide by: 1 for a channel whose values are all the same, or too near to be told apart."""
    spread = np.asarray(spread, np.float64)
    least = np.maximum(_SAME * np.abs(around), np.finfo(np.float32).tiny)  # below, float32 would become infinite
    return as_numbers(np.where(spread > least, spread, 1.0))


def as_numbers(values: np.ndarray) -> Numbers:
    """One for each channel, as a configuration holds them."""
    return tuple(float(value) for value in values)
