"""From a volume (D, H, W, C) to its slices (h, w, C) along an axis, and back; and how it is turned before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "I": "S", "S": "I"}


def is_orientation(text: str) -> bool:
    """Whether it says where three axes run to, as ``RAS`` does."""
    return len(text) == 3 and {frozenset((code, _OPPOSITE.get(code))) for code in text} == {
        frozenset("LR"),
        frozenset("PA"),
        frozenset("IS"),
    }


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

    Raises:
        ValueError: for an orientation that is none.
    """

    axis: int = 0
    neighbours: int = 0
    standardize: bool = False
    images: tuple[str, ...] = ("{name}.*",)
    orientation: str = ""

    def __post_init__(self) -> None:
        if self.orientation and not is_orientation(self.orientation):
            raise ValueError(f"orientation is '{self.orientation}', expected one such as RAS, or none")

    def difference(self, other: "Slicing") -> tuple[str, object, object] | None:
        """The first option in which two differ, and what each has; None if they are alike."""
        for name in (option.name for option in fields(self)):
            values = getattr(self, name), getattr(other, name)
            if values[0] != values[1]:
                if name == "orientation":
                    values = tuple(value or "stored" for value in values)
                return f"layout.{name}", *values
        return None


@dataclass(frozen=True)
class Turn:
    """How a volume is turned: its axes change places, and then some are mirrored.

    Args:
        order: which axis of the stored (D, H, W) comes first, second and third.
        steps: 1, or -1 for an axis of the turned volume that is mirrored.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    steps: tuple[int, int, int] = (1, 1, 1)

    @classmethod
    def between(cls, stored: str, wanted: str) -> "Turn":
        """From axes i, j, k that run to ``stored``, such as ``LPS``, to ``wanted``; none where one is empty."""
        if not stored or not wanted:
            return cls()
        axes = stored[::-1]  # of (D, H, W), which are k, j, i
        order = tuple(next(i for i, own in enumerate(axes) if code in (own, _OPPOSITE[own])) for code in wanted[::-1])
        steps = tuple(1 if axes[i] == code else -1 for i, code in zip(order, wanted[::-1], strict=True))
        return cls(order, steps)

    @property
    def moves_axes(self) -> bool:
        """Whether axes change places, so that what lay together in a file does not any more."""
        return self.order != (0, 1, 2)

    def __call__(self, volume: np.ndarray) -> np.ndarray:
        """The stored volume (D, H, W, ...) turned: a view."""
        return volume.transpose(*self.order, *range(3, volume.ndim))[tuple(slice(None, None, s) for s in self.steps)]

    def back(self, volume: np.ndarray) -> np.ndarray:
        """The turned volume (D, H, W, ...) as it was stored: a view."""
        mirrored = volume[tuple(slice(None, None, step) for step in self.steps)]
        return mirrored.transpose(*np.argsort(self.order), *range(3, volume.ndim))

    def permuted(self, values: Sequence) -> tuple:
        """Something of each stored axis (D, H, W), such as its spacing, in the order of the turned ones."""
        return tuple(values[i] for i in self.order)


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
