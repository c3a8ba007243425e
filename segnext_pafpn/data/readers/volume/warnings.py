"""What is odd about a split's volumes, a line each."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from segnext_pafpn.data.readers.volume.header import VolumeHeader
from segnext_pafpn.errors import counted


def warnings_of_memory(split: str, headers: Iterable[VolumeHeader], cache_mb: int) -> list[str]:
    """That volumes will be unpacked again and again; in random order each slice is of another volume."""
    needed = sum(header.unpacked_bytes for header in headers) / 2**20
    if needed <= cache_mb:
        return []
    return [
        f"split '{split}': its volumes take {needed:.0f} MiB unpacked, layout.cache_mb is {cache_mb}, so that most "
        f"slices wait for a file to be unpacked. Set layout.unpack: FOLDER, or a larger cache_mb."
    ]


def warnings_of_orientation(
    split: str, headers: Mapping[Path, VolumeHeader], usual: str, *, is_turned: bool
) -> list[str]:
    """What to say of volumes that are stored turned or mirrored against the others; a line for each kind.

    Args:
        headers: of the split's volumes.
        usual: the orientation of most, or the one that all are turned to; empty if it is not known.
        is_turned: whether they are turned to it.
    """
    if not usual:
        return []
    others = [path for path, header in headers.items() if header.orientation not in ("", usual)]
    silent = [path for path, header in headers.items() if not header.orientation]
    count = counted(len(headers), "volume")
    lines = []
    if others:
        codes = " or ".join(sorted({headers[path].orientation for path in others}))
        done = (
            f"They are turned to {usual} as they are read. If their headers are wrong, correct them."
            if is_turned
            else f"The network sees them turned or mirrored. Set layout.orientation: {usual}."
        )
        lines.append(
            f"split '{split}': the axes of {len(others)} of {count} run {codes}, not {usual}: {others[0]}. {done}"
        )
    if silent:
        lines.append(
            f"split '{split}': {len(silent)} of {count} do not say how their axes run, others run {usual}: "
            f"{silent[0]}. The network may see them turned or mirrored. Save them as NIfTI with an affine."
        )
    return lines
