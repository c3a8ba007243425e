"""Measuring the values of a data set's images, one image at a time.

As nnU-Net does for its data set fingerprint (Isensee et al., Nature Methods 2021), means, deviations and percentiles
are of the foreground: the pixels of all classes but the first, ignored ones aside, or where a pixel may be of several
classes those of any. A card can ask for all pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segnext_pafpn.data.image_format import ImageFormat
from segnext_pafpn.ids import IGNORE_INDEX
from segnext_pafpn.intensity import ImageStatistics, as_numbers
from segnext_pafpn.slicing import between_neighbours

PICKED = 10**7  # values of all images together from which percentiles are taken
_BLOCK = 2**20  # pixels at a time, to bound memory

Moments = tuple[int, np.ndarray, np.ndarray]  # count, mean (C,), sum of squared differences from it (C,)


@dataclass(frozen=True)
class Measured:
    """Of one image, or of the slice between its neighbours; C are its channels.

    Args:
        count: pixels that were measured.
        mean, squares: of each channel, (C,) float64; sums of squared differences from the mean.
        lowest, highest: of each channel over all pixels, (C,) float64.
        picked: values of some of the measured pixels, evenly spread, (n, C) float32.
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    picked: np.ndarray


def measure_image(image: np.ndarray, truth: np.ndarray, num_classes: int, form: ImageFormat, most: int) -> Measured:
    """Measure what the card's ``image.statistics`` asks for, in values cut to its window.

    Of slices with their neighbours the one between them is measured: the truth is of its pixels alone.

    Args:
        image: (H, W, C).
        truth: (H, W) training ids; or layers (K, H, W), of which all are foreground.
        most: pixels to pick for the percentiles.
    """
    image = between_neighbours(image, form.neighbours)
    values = image.reshape(-1, image.shape[2])
    if form.window is not None:
        window = between_neighbours(np.float32(form.window), form.neighbours)
        values = np.clip(values.astype(np.float32), *window)
    inside = values[_chosen(truth, num_classes, form.statistics == "foreground").ravel()]
    blocks = [_moments(inside[start : start + _BLOCK]) for start in range(0, len(inside), _BLOCK)]
    count, mean, squares = _add(blocks, channels=values.shape[1])
    return Measured(
        count=count,
        mean=mean,
        squares=squares,
        lowest=values.min(axis=0).astype(np.float64),
        highest=values.max(axis=0).astype(np.float64),
        picked=inside[:: max(1, -(-len(inside) // most))].astype(np.float32),
    )


def _chosen(truth: np.ndarray, num_classes: int, foreground: bool) -> np.ndarray:
    """(H, W) bool: the pixels to measure."""
    if truth.ndim == 3:
        return (truth == 1).any(axis=0) if foreground else (truth != IGNORE_INDEX).any(axis=0)
    return (truth >= int(foreground)) & (truth < num_classes)


def join(parts: Sequence[Measured], form: ImageFormat) -> ImageStatistics | None:
    """The statistics of all images together, C numbers each; None if no pixel of them was measured."""
    seen = [part for part in parts if part.count]
    if not seen:
        return None
    count, mean, squares = _add([(part.count, part.mean, part.squares) for part in seen], len(seen[0].mean))
    low, high = np.percentile(np.concatenate([part.picked for part in seen]), form.percentiles, axis=0)
    found = {
        "mean": mean,
        "std": np.sqrt(squares / count),
        "lowest": np.min([part.lowest for part in parts], axis=0),
        "highest": np.max([part.highest for part in parts], axis=0),
        "percentile_low": low,
        "percentile_high": high,
    }
    times = 2 * form.neighbours + 1
    return ImageStatistics(**{name: as_numbers(np.tile(values, times)) for name, values in found.items()})


def _moments(values: np.ndarray) -> Moments:
    mean = values.mean(axis=0, dtype=np.float64)
    return len(values), mean, ((values - mean) ** 2).sum(axis=0)


def _add(parts: Sequence[Moments], channels: int) -> Moments:
    """The moments of all parts together, by the formula of Chan, Golub and LeVeque (1979), exact but for rounding."""
    count, mean, squares = 0, np.zeros(channels), np.zeros(channels)
    for part_count, part_mean, part_squares in parts:
        total = count + part_count
        step = part_mean - mean
        squares = squares + part_squares + step**2 * count * part_count / total
        mean = mean + step * part_count / total
        count = total
    return count, mean, squares
