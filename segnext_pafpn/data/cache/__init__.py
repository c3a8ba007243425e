"""Decoded pictures kept between epochs: in memory that all workers share, or in files that all runs share.

Both hold what a reader gives, and masks as training ids; normalising and augmenting come after, so that batches are
those that one gets without.
"""

from collections.abc import Sequence
from pathlib import Path

from segnext_pafpn.data.cache.disk import DiskCache
from segnext_pafpn.data.cache.ram import RamCache
from segnext_pafpn.data.cache.room import free_disk, free_memory, needed_bytes, refuse_lack
from segnext_pafpn.data.config import CacheKind
from segnext_pafpn.data.pairs import FilePairs
from segnext_pafpn.data.readers import Sample

__all__ = ["CacheKind", "DiskCache", "RamCache", "build_cache"]


def build_cache(
    kind: CacheKind, files: FilePairs, samples: Sequence[Sample], folder: str | None, processes: int = 1
) -> RamCache | DiskCache | None:
    """The cache of these samples, empty or as an earlier run left it; None for ``none``.

    Args:
        folder: of ``disk``.
        processes: that train on this machine: each has a memory of its own, which its workers share.

    Raises:
        UserError: if the samples do not fit.
    """
    if kind == "ram":
        needed = needed_bytes(files, samples)
        refuse_lack("ram", processes * needed, *free_memory(), len(samples))
        return RamCache(files, samples, needed)
    cache = DiskCache(files, Path(folder))
    missing = [sample for sample in samples if not cache.holds(sample)]
    refuse_lack("disk", needed_bytes(files, missing), free_disk(Path(folder)), folder, len(missing))
    return cache
