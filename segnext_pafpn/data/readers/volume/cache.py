"""Volumes that have been decoded, kept so that a file is not unpacked again for each of its slices."""

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.volume.files import read_volume, stem_of
from segnext_pafpn.errors import UserError
from segnext_pafpn.files import write_atomic
from segnext_pafpn.slicing import Turn, take_with_neighbours

_AS_STORED = Turn()


class VolumeCache:
    """The volumes that were asked for last, up to a number of bytes; each process has its own.

    Mapped files cost nothing here: the system keeps what it can of them, for all processes together. With a folder
    to unpack to, all files are mapped: those that are compressed once they have been written there.

    Args:
        max_bytes: of decoded volumes; the last one asked for is kept whatever its size.
        unpack: folder for decoded volumes, or None.
    """

    def __init__(self, max_bytes: int, unpack: Path | None = None):
        self.max_bytes = max_bytes
        self.unpack = unpack
        self._volumes: OrderedDict[Path, np.ndarray] = OrderedDict()
        self._moments: dict[Path, tuple[np.ndarray, np.ndarray]] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self._decoding: dict[Path, threading.Lock] = {}

    def __reduce__(self) -> tuple:
        return VolumeCache, (self.max_bytes, self.unpack)  # a process that is not forked begins with nothing

    def get(self, path: Path, labels: bool = False, turn: Turn = _AS_STORED) -> np.ndarray:
        """``(D, H, W, C)``; see :func:`~segnext_pafpn.data.readers.volume.files.read_volume`.

        Args:
            turn: how the volume is turned; the same one whenever a file is asked for.
        """
        with self._lock:
            if path in self._volumes:
                self._volumes.move_to_end(path)
                return self._volumes[path]
            decoding = self._decoding.setdefault(path, threading.Lock())
        with decoding:  # threads that want one volume wait for the first of them
            with self._lock:
                if path in self._volumes:
                    return self._volumes[path]
            volume = self._read(path, labels, turn)
            with self._lock:
                self._keep(path, volume)
                self._decoding.pop(path, None)
        return volume

    def moments(self, path: Path, turn: Turn = _AS_STORED) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel (C,) over the whole volume, float32; 1 where all is alike."""
        if path not in self._moments:
            volume = self.get(path, turn=turn)
            mean = volume.mean(axis=(0, 1, 2), dtype=np.float64)
            squares = sum(((part - mean) ** 2).sum(axis=(0, 1)) for part in volume)  # by slices, for little memory
            deviation = np.sqrt(squares / math.prod(volume.shape[:3]))
            self._moments[path] = mean.astype(np.float32), np.where(deviation > 0, deviation, 1).astype(np.float32)
        return self._moments[path]

    def _keep(self, path: Path, volume: np.ndarray) -> None:
        self._volumes[path] = volume
        self._bytes += _cost(volume)
        while self._bytes > self.max_bytes and len(self._volumes) > 1:
            self._bytes -= _cost(self._volumes.popitem(last=False)[1])

    def _read(self, path: Path, labels: bool, turn: Turn) -> np.ndarray:
        if self.unpack is None:
            return _read_turned(path, labels, turn)
        target = self.unpack / f"{stem_of(path)}-{_fingerprint(path, turn)}.npy"
        if not target.is_file():
            volume = _read_turned(path, labels, turn)
            if not _cost(volume):
                return volume
            try:
                with write_atomic(target) as temporary:
                    np.save(temporary, volume)
            except UserError as error:
                raise UserError(f"layout.unpack: {error}") from error
        return np.load(target, mmap_mode="r")


def read_slice(
    cache: VolumeCache,
    files: Sequence[Path],
    axis: int,
    number: int,
    neighbours: int = 0,
    standardize: bool = False,
    turn: Turn = _AS_STORED,
) -> np.ndarray:
    """``(h, w, C)``, a slice of the volumes of ``files``; see :class:`~segnext_pafpn.slicing.Slicing`.

    Args:
        turn: how the volumes are turned before they are cut.

    Raises:
        UserError: naming a file that cannot be read, or whose shape is not that of the first.
    """
    volumes = [cache.get(path, turn=turn) for path in files]
    for path, volume in zip(files, volumes, strict=True):
        if volume.shape[:3] != volumes[0].shape[:3]:
            raise UserError(f"{path}: has the shape {volume.shape[:3]}, {files[0]} {volumes[0].shape[:3]}. Match them.")
    image = take_with_neighbours(volumes, axis, number, neighbours)
    if not standardize:
        return image
    mean, deviation = (np.concatenate(m) for m in zip(*(cache.moments(path, turn) for path in files), strict=True))
    times = 2 * neighbours + 1
    return (image.astype(np.float32) - np.tile(mean, times)) / np.tile(deviation, times)


def _read_turned(path: Path, labels: bool, turn: Turn) -> np.ndarray:
    """The volume, in memory if axes changed places: a slice of it would touch all of a mapped file."""
    volume = turn(read_volume(path, labels))
    return np.ascontiguousarray(volume) if turn.moves_axes else volume


def _cost(volume: np.ndarray) -> int:
    """Bytes of memory; none for a view of a mapped file."""
    return volume.nbytes if getattr(volume, "_mmap", None) is None else 0


def _fingerprint(path: Path, turn: Turn) -> str:
    """Of the file's place, size and time, and its turn, so that another or a newer file is unpacked anew."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: no such file.") from error
    text = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}{'' if turn == _AS_STORED else turn}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
