"""Decoded pictures in memory that all workers share, however they are started."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from segnext_pafpn.data.cache.room import free_memory, refuse_lack
from segnext_pafpn.data.pairs import FilePairs, Pair
from segnext_pafpn.data.readers import Sample
from segnext_pafpn.track import Track, untracked

_BLOCK = 2**28  # bytes: each block is one open file in every process, so there should be few
_ALIGNED = 64


@dataclass(frozen=True)
class _Place:
    """Where an array lies."""

    block: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class RamCache:
    """All pairs of some samples, one after another in a few large blocks of torch's shared memory.

    It is filled by one process before the workers start; what they get then are views of the one copy.

    Args:
        expected: bytes of all pairs together, about.
    """

    def __init__(self, files: FilePairs, samples: Sequence[Sample], expected: int):
        self.files = files
        self.samples = list(dict.fromkeys(samples))
        self._expected = expected + 2 * _ALIGNED * len(self.samples)
        self._blocks: list[torch.Tensor] = []
        self._used = 0  # bytes of the last block
        self._places: dict[Sample, tuple[_Place, _Place]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_lock": None}  # workers only read

    @property
    def num_bytes(self) -> int:
        """Of all blocks."""
        return sum(len(block) for block in self._blocks)

    @property
    def is_full(self) -> bool:
        """Whether :meth:`fill` is done."""
        return len(self._places) == len(self.samples)

    def fill(self, track: Track = untracked) -> None:
        """Read what is not there yet, several files at a time.

        Args:
            track: shows how far it has come.

        Raises:
            UserError: naming a file that cannot be read.
        """
        missing = [sample for sample in self.samples if sample not in self._places]
        pool = ThreadPoolExecutor()
        try:
            done = pool.map(self._keep, missing)
            for _ in track(done, len(missing), "read into memory"):
                pass
        finally:
            pool.shutdown(cancel_futures=True)

    def read(self, sample: Sample) -> Pair:
        """The pair, as views that cannot be written to."""
        if sample not in self._places:
            raise ValueError(f"{sample.label}: not in the cache. Was fill() called?")
        image, mask = self._places[sample]
        return self._view(image), self._view(mask)

    def _keep(self, sample: Sample) -> None:
        pair = self.files.read(sample)
        places = tuple(self._take(array) for array in pair)
        for array, place in zip(pair, places, strict=True):
            np.copyto(self._view(place, writeable=True), array)
        self._places[sample] = places

    def _take(self, array: np.ndarray) -> _Place:
        """Room for an array, in a new block if there is none left."""
        with self._lock:
            if not self._blocks or self._used + array.nbytes > len(self._blocks[-1]):
                size = self._next_size(array.nbytes)
                self._blocks.append(torch.empty(size, dtype=torch.uint8).share_memory_())
                self._used = 0
            place = _Place(len(self._blocks) - 1, self._used, array.shape, array.dtype)
            self._used += -(-array.nbytes // _ALIGNED) * _ALIGNED
            return place

    def _next_size(self, least: int) -> int:
        """Bytes of a new block. What was expected has been compared with the memory there is, more has not."""
        left = self._expected - self.num_bytes
        if least <= left:
            return max(least, min(left, _BLOCK))
        size = max(least, _BLOCK // 16)
        refuse_lack("ram", size, *free_memory(), len(self.samples))
        return size

    def _view(self, place: _Place, writeable: bool = False) -> np.ndarray:
        memory = self._blocks[place.block].numpy()
        array = np.ndarray(place.shape, place.dtype, buffer=memory, offset=place.offset)
        array.flags.writeable = writeable
        return array
