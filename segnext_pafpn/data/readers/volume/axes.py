"""Across which axis volumes are cut, and how those that are stored another way than the others are turned before."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from segnext_pafpn.data.readers.volume.header import VolumeHeader
from segnext_pafpn.slicing import Turn

_COARSER = 1.05  # spacings that differ by less are alike


def turn_to(header: VolumeHeader, orientation: str) -> Turn:
    """How the file's volume is turned to an orientation; not at all where either is empty."""
    return Turn.between(header.orientation, orientation)


def turned_header(header: VolumeHeader, orientation: str) -> VolumeHeader:
    """Of the turned volume; its affine is not known any more."""
    turn = turn_to(header, orientation)
    if turn == Turn():
        return header
    spacing = None if header.spacing is None else turn.permuted(header.spacing)
    return replace(header, shape=turn.permuted(header.shape), spacing=spacing, affine=None, orientation=orientation)


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


def choose_cut(
    headers: Sequence[VolumeHeader],
    axis: int | None,
    orientation: str,
    spacing_of: Callable[[VolumeHeader], tuple[float, ...] | None],
) -> tuple[int, str]:
    """The axis that volumes are cut across, and the orientation that they are turned to before.

    Args:
        headers: of the volumes that decide.
        axis: the one that was asked for; None for the coarsest of the turned volumes.
        orientation: the one that was asked for; ``usual`` for that of most, empty for none.
        spacing_of: the spacing of a turned volume, where it is known.
    """
    if orientation == "usual":
        orientation = usual_orientation(headers)
    if axis is None:
        axis = coarsest_axis(spacing_of(turned_header(header, orientation)) for header in headers)
    return axis, orientation
