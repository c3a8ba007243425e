"""Headers and voxels of the files of cases, turned and cut as a slicing says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.base import Sample
from segnext_pafpn.data.readers.refusals import MissingPackageError
from segnext_pafpn.data.readers.volume.axes import turn_to, turned_header
from segnext_pafpn.data.readers.volume.cache import VolumeCache, read_slice
from segnext_pafpn.data.readers.volume.header import VolumeHeader
from segnext_pafpn.errors import UserError
from segnext_pafpn.slicing import Slicing, Turn, sliced, take_slice


@dataclass
class Voxels:
    """What is read of volumes, sample by sample. The files of a case lie alike, as its image says.

    Args:
        cache: of decoded volumes.
        slicing: asked for when the first volume is read that says where its axes run to, or is cut.
        read_header: of a file.
        neighbours, standardize: see :class:`~segnext_pafpn.slicing.Slicing`, which is not asked for pictures.
    """

    cache: VolumeCache
    slicing: Callable[[], Slicing]
    read_header: Callable[[Path], VolumeHeader]
    neighbours: int = 0
    standardize: bool = False
    headers: dict[Path, VolumeHeader] = field(default_factory=dict)

    def header(self, path: Path) -> VolumeHeader:
        """What the file says of itself, read once."""
        if path not in self.headers:
            self.headers[path] = self.read_header(path)
        return self.headers[path]

    def readable_headers(self, paths: Iterable[Path]) -> list[VolumeHeader]:
        """Of the files that can be read.

        Raises:
            UserError: if there is none; at once if a package is missing.
        """
        headers: list[VolumeHeader] = []
        failed: list[UserError] = []
        for path in paths:
            try:
                headers.append(self.header(path))
            except MissingPackageError:
                raise
            except UserError as error:
                failed.append(error)
        if not headers:
            raise failed[0]
        return headers

    def turned_header(self, sample: Sample) -> VolumeHeader:
        """Of the sample's volume, as it is cut."""
        return turned_header(self.header(sample.image), self._orientation(sample))

    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width of the sample's slice."""
        return sliced(self.turned_header(sample).shape, self._cut(sample)[0])[1:]

    def image(self, sample: Sample) -> np.ndarray:
        """``(h, w, C)``, the sample's slice of its image, with its neighbours' channels."""
        axis, number = self._cut(sample)
        files = sample.channel_files or (sample.image,)
        return read_slice(self.cache, files, axis, number, self.neighbours, self.standardize, self.turn(sample))

    def labels(self, path: Path, sample: Sample) -> np.ndarray:
        """``(h, w)``, the sample's slice of a label volume."""
        volume = self.cache.get(path, labels=True, turn=self.turn(sample))
        axis, number = self._cut(sample)
        if volume.shape[axis] <= number:
            raise UserError(f"{path}: has {volume.shape[axis]} slices along axis {axis}, its image more than {number}.")
        part = take_slice(volume, axis, number)
        if (part[..., 1:] != part[..., :1]).any():
            raise UserError(f"{path}: the labels have {volume.shape[3]} different channels, expected one of class ids.")
        part = part[..., 0]
        return np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("="))

    def turn(self, sample: Sample) -> Turn:
        """How the sample's volume is turned before it is cut."""
        return turn_to(self.header(sample.image), self._orientation(sample))

    def _orientation(self, sample: Sample) -> str:
        """What a volume is turned to; where it does not say how it lies, the slicing, and so the others, can wait."""
        return self.slicing().orientation if self.header(sample.image).orientation else ""

    def _cut(self, sample: Sample) -> tuple[int, int]:
        """Axis and number of the sample's slice."""
        return (0, 0) if sample.slice is None else (self.slicing().axis, sample.slice)
