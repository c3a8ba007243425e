"""What is known of a volume before its voxels are read, and the errors that all formats share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.refusals import unreadable as refusal
from segnext_pafpn.errors import UserError

KEPT_TYPES = (np.uint8, np.uint16, np.int16, np.float32)  # what values are worked with as; others are copied into one
_SAME_PLACE = 0.1  # of the smallest side of a voxel: headers are written in single precision and rounded


@dataclass(frozen=True)
class VolumeHeader:
    """A volume.

    Args:
        shape: (D, H, W).
        channels: C, of this file.
        spacing: in millimetres, of each axis of ``shape``; None where the file does not say it.
        affine: (4, 4), from voxel (i, j, k) of a NIfTI file to millimetres; None for other formats.
        orientation: where axes i, j, k of a NIfTI file run to, such as ``RAS``; empty for other formats.
        unpacked_bytes: of the values, if they must be decoded or copied; 0 for files that are mapped.
        is_picture: whether the file has two axes only, rather than a third of any length.
    """

    shape: tuple[int, int, int]
    channels: int = 1
    spacing: tuple[float, float, float] | None = None
    affine: np.ndarray | None = field(default=None, compare=False)
    orientation: str = ""
    is_picture: bool = False
    unpacked_bytes: int = 0


def copied_bytes(shape: Sequence[int], dtype: np.dtype) -> int:
    """What values of this type take that are read from a file that could be mapped: nothing, if the type is kept."""
    return 0 if dtype.newbyteorder("=") in KEPT_TYPES else math.prod(shape) * dtype.itemsize


def describe_grid_difference(first: VolumeHeader, second: VolumeHeader, affine: bool = True) -> str:
    """How the voxels of two volumes differ in number or place; empty if they do not.

    Args:
        affine: also compare where the voxels are, if both say it.
    """
    if first.shape != second.shape:
        return f"{_sides(second.shape)} voxels, while its image has {_sides(first.shape)} (slices x rows x columns)"
    if not affine or first.affine is None or second.affine is None:
        return ""
    ends = [(0, side - 1) for side in reversed(first.shape)]
    corners = np.array([(i, j, k, 1) for i in ends[0] for j in ends[1] for k in ends[2]], dtype=float)
    distance = np.linalg.norm((corners @ (first.affine - second.affine).T)[:, :3], axis=1).max()
    voxel = np.linalg.norm(first.affine[:3, :3], axis=0).min()
    if not np.isfinite(distance):
        return "its affine, or that of its image, holds values that are no numbers"
    if distance <= _SAME_PLACE * voxel:
        return ""
    return f"its affine puts a corner {distance:.3g} mm away from where that of its image puts it"


def unreadable(path: Path, error: Exception) -> UserError:
    """What to raise for a file that a decoder gave up on."""
    return refusal(path, error, "Is it cut short? Copy the file again or leave it out.")


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
