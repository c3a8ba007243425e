"""How much decoded pictures take, and how much room there is."""

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from segnext_pafpn.data.pairs import FilePairs
from segnext_pafpn.data.readers import Sample
from segnext_pafpn.errors import UserError, counted

_SHARED = Path("/dev/shm")  # where Linux keeps memory that processes share
_CGROUP = Path("/sys/fs/cgroup")
_KEPT_FREE = 0.1  # share of what is free that is left to everything else


def needed_bytes(files: FilePairs, samples: Sequence[Sample]) -> int:
    """Bytes of all samples decoded, from the headers of all files and the values of the first."""
    if not samples:
        return 0
    image, mask = files.read(samples[0])
    per_pixel = (image.nbytes + mask.nbytes) / (image.shape[0] * image.shape[1])
    return math.ceil(per_pixel * sum(math.prod(files.reader.size(sample)) for sample in samples))


def refuse_lack(kind: str, needed: int, free: float, where: str, count: int) -> None:
    """Stop what would fill memory or disk.

    Raises:
        UserError: if ``needed`` bytes are more than nine tenths of ``free``.
    """
    if needed > (1 - _KEPT_FREE) * free:
        other = "disk, or none" if kind == "ram" else "another data.cache_dir, or none"
        raise UserError(
            f"data.cache: {kind}: {counted(count, 'picture')} would take {_size(needed)} decoded, but only "
            f"{_size(free)} are free ({where}), a tenth of which is left alone. Choose {other}."
        )


def free_disk(folder: Path) -> float:
    """Bytes that are free where ``folder`` is or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free


def free_memory() -> tuple[float, str]:
    """Bytes of memory that processes can share, and what limits them; infinite on systems that do not tell."""
    limits = {"memory": _system_memory(), "memory of the container": _container_memory()}
    if _SHARED.is_dir():
        limits[str(_SHARED)] = shutil.disk_usage(_SHARED).free
    where = min(limits, key=limits.__getitem__)
    return limits[where], where


def _system_memory() -> float:
    table = _numbers(Path("/proc/meminfo"))
    if "MemAvailable:" in table:
        return 1024 * table["MemAvailable:"]
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names:  # all there is, which is the most that can be said here
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return math.inf


def _container_memory() -> float:
    """What a container's limit leaves, beside file pages that the kernel can let go of."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no such limit
        return math.inf
    table = _numbers(_CGROUP / "memory.stat")
    return max(0, limit - used + table.get("inactive_file", 0) + table.get("active_file", 0))


def _numbers(path: Path) -> dict[str, int]:
    """The second word of each line by the first."""
    if not path.is_file():
        return {}
    rows = [line.split() for line in path.read_text().splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
