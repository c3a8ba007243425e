"""Across which axis volumes are cut, and how those that are stored another way than the others are turned."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.volume.header import VolumeHeader
from segnext_pafpn.errors import counted

_COARSER = 1.05  # spacings that differ by less are alike
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "I": "S", "S": "I"}


def is_orientation(text: str) -> bool:
    """Whether it says where three axes run to, as ``RAS`` does."""
    return len(text) == 3 and {frozenset((code, _OPPOSITE.get(code))) for code in text} == {
        frozenset("LR"),
        frozenset("PA"),
        frozenset("IS"),
    }


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

    def __call__(self, volume: np.ndarray) -> np.ndarray:
        """The stored volume (D, H, W, ...) turned: a view."""
        return volume.transpose(*self.order, *range(3, volume.ndim))[tuple(slice(None, None, s) for s in self.steps)]

    def back(self, volume: np.ndarray) -> np.ndarray:
        """The turned volume (D, H, W, ...) as it was stored: a view."""
        mirrored = volume[tuple(slice(None, None, step) for step in self.steps)]
        return mirrored.transpose(*np.argsort(self.order), *range(3, volume.ndim))

    def header(self, header: VolumeHeader) -> VolumeHeader:
        """Shape and spacing of the turned volume; the affine stays that of the file."""
        spacing = None if header.spacing is None else self._sorted(header.spacing)
        return replace(header, shape=self._sorted(header.shape), spacing=spacing)

    def _sorted(self, values: Sequence) -> tuple:
        return tuple(values[i] for i in self.order)


def coarsest_axis(spacings: Iterable[tuple[float, ...] | None]) -> int:
    """Across which of (slices, rows, columns) voxels of most volumes are farthest apart; 0 where none is.

    Args:
        spacings: of each volume, or None where it is not known.
    """
    found: Counter[int] = Counter()
    for spacing in spacings:
        coarsest = 0 if spacing is None else int(np.argmax(spacing))
        found[coarsest if coarsest and spacing[coarsest] > _COARSER * spacing[0] else 0] += 1
    return min(found, key=lambda axis: (-found[axis], axis))


def usual_orientation(headers: Iterable[VolumeHeader]) -> str:
    """That of most volumes whose files say it, the first in the alphabet of equal ones; empty where none does."""
    found = Counter(header.orientation for header in headers if header.orientation)
    return min(found, key=lambda code: (-found[code], code), default="")


def warnings_of_orientation(split: str, headers: Mapping[Path, VolumeHeader], wanted: str) -> list[str]:
    """What to say of volumes that are stored turned or mirrored against the others; a line for each kind.

    Args:
        headers: of the split's volumes.
        wanted: the orientation that all are turned to; empty if they are left as they are.
    """
    usual = wanted or usual_orientation(headers.values())
    if not usual:
        return []
    turned = [path for path, header in headers.items() if header.orientation not in ("", usual)]
    silent = [path for path, header in headers.items() if not header.orientation]
    lines = []
    if turned:
        first = turned[0]
        done = (
            "are turned to them as they are read, with their labels. If their headers are wrong, correct them"
            if wanted
            else "reach the network turned or mirrored: layout.orientation is stored"
        )
        lines.append(
            f"split '{split}': {len(turned)} of {counted(len(headers), 'volume')} stored with other axes than most, "
            f"{first} first ({headers[first].orientation}, not {usual}): they {done}."
        )
    if silent:
        lines.append(
            f"split '{split}': {len(silent)} of {counted(len(headers), 'volume')} without a word on how their axes "
            f"run, {silent[0]} first, beside others of {usual}: the network may see them turned or mirrored."
        )
    return lines
