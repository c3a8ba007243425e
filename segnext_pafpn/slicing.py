"""From a volume (D, H, W, C) to its slices (h, w, C) along an axis, and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """How volumes are cut into what a network sees.

    Args:
        axis: across which the slices lie: 0, 1 or 2 of (D, H, W).
        neighbours: slices on each side that come along as channels; beyond the ends the last slice is repeated.
        standardize: subtract each volume's mean and divide by its standard deviation, channel by channel.
        images: pattern of the images' files below their folder, such as ``{name}_0000.nii.gz``, one for each channel
            that is a file of its own.
        orientation: where axes i, j, k of NIfTI files run to once they are turned, such as ``RAS``; empty: they are cut
            as they are stored.
    """

    axis: int = 0
    neighbours: int = 0
    standardize: bool = False
    images: tuple[str, ...] = ("{name}.*",)
    orientation: str = ""


def sliced(values: Sequence[float], axis: int) -> tuple:
    """Something of each axis (D, H, W), in the order slices, rows, columns."""
    return (values[axis], *(value for i, value in enumerate(values) if i != axis))


def take_slice(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    """``(h, w, C)`` of ``(D, H, W, C)``, a view."""
    return volume[(slice(None),) * axis + (index,)]


def take_with_neighbours(volumes: Sequence[np.ndarray], axis: int, index: int, neighbours: int) -> np.ndarray:
    """``(h, w, (2 n + 1) C)``: the slices from ``index - n`` to ``index + n``, all channels of each together.

    Args:
        volumes: ``(D, H, W, C)`` each, whose channels add up; their types may differ.
    """
    last = volumes[0].shape[axis] - 1
    numbers = [min(max(index + step, 0), last) for step in range(-neighbours, neighbours + 1)]
    parts = [take_slice(volume, axis, number) for number in numbers for volume in volumes]
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0], dtype=parts[0].dtype.newbyteorder("="))
    kinds = {part.dtype.newbyteorder("=") for part in parts}
    kind = kinds.pop() if len(kinds) == 1 else np.float32  # uint8 or int16 in float32: exact
    return np.concatenate(parts, axis=2, dtype=kind, casting="unsafe")


def between_neighbours(image: np.ndarray, neighbours: int) -> np.ndarray:
    """``(..., C)`` of ``(..., (2 n + 1) C)``: the slice in the middle of what :func:`take_with_neighbours` gives."""
    channels = image.shape[-1] // (2 * neighbours + 1)
    return image[..., neighbours * channels : (neighbours + 1) * channels]


def stack_along(slices: Iterable[np.ndarray], axis: int) -> np.ndarray:
    """``(D, H, W)`` from its slices ``(h, w)`` in their order: what :func:`take_slice` has cut."""
    return np.ascontiguousarray(np.moveaxis(np.stack(list(slices)), 0, axis))
