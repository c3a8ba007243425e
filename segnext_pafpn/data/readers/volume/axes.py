"""Across which axis volumes are cut, and whether their axes run alike."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.volume.header import VolumeHeader
from segnext_pafpn.errors import counted

_COARSER = 1.05  # spacings that differ by less are alike


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
    """That of most volumes; empty where their files do not say it."""
    return Counter(header.orientation for header in headers).most_common(1)[0][0]


def warnings_of_orientation(split: str, headers: Mapping[Path, VolumeHeader], usual: Callable[[], str]) -> list[str]:
    """What to say of volumes that are stored turned or mirrored against the others; a line, or none.

    Args:
        headers: of the split's volumes.
        usual: the orientation of most; asked for where any file says its own.
    """
    codes = {path: header.orientation for path, header in headers.items()}
    usually = usual() if any(codes.values()) else ""
    turned = [path for path, code in codes.items() if code != usually]
    if not turned:
        return []
    return [
        f"split '{split}': {len(turned)} of {counted(len(codes), 'volume')} with other axes than most, {turned[0]} "
        f"first: {codes[turned[0]] or 'none said'}, not {usually or 'none said'}; the network sees such turned or "
        f"mirrored. Reorient them and their labels, as with nibabel.as_closest_canonical."
    ]
