"""Volumes as their slices: a folder of volumes and a folder of label volumes whose names agree."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.folder import FolderReader
from segnext_pafpn.data.readers.masks import raw_id
from segnext_pafpn.data.readers.patterns import below_common_folder
from segnext_pafpn.data.readers.refusals import MissingPackageError
from segnext_pafpn.data.readers.volume.axes import choose_cut, usual_orientation
from segnext_pafpn.data.readers.volume.cache import VolumeCache
from segnext_pafpn.data.readers.volume.files import ANY_SUFFIXES, as_ids, read_header
from segnext_pafpn.data.readers.volume.header import VolumeHeader, describe_grid_difference
from segnext_pafpn.data.readers.volume.options import check_options
from segnext_pafpn.data.readers.volume.voxels import Voxels
from segnext_pafpn.data.readers.volume.warnings import warnings_of_memory, warnings_of_orientation
from segnext_pafpn.errors import UserError
from segnext_pafpn.ids import IGNORED_ID
from segnext_pafpn.slicing import Slicing, sliced


@dataclass(kw_only=True)
class VolumeReader(FolderReader):
    """Volumes (.nii, .nii.gz, .tif, .npy) and label volumes; every sample is a slice, called ``CASE/NUMBER``.

    Volumes are paired, and divided into splits, as pictures are by :class:`.FolderReader`, whose options are these
    too: all slices of a volume are in one split, unless ``divide`` says otherwise. A file of two axes is a picture,
    called by its case's name.

    Args:
        axis: across which slices lie: 0, 1 or 2 of (slices, rows, columns), which are k, j, i in NIfTI. None: the one
            along which pixels of most volumes are farthest apart, and 0 where none is.
        orientation: how NIfTI volumes are turned before they are cut: ``usual``, so that their axes run as those of
            most do; a code such as ``RAS``, where axes i, j, k run to; or ``stored``, not at all. Of other files it is
            not known how they lie.
        neighbours: slices on each side that come along as channels.
        divide: what folds and fractions divide: ``volumes``, or ``slices`` for a single stack of pictures.
        min_foreground: pixels of other classes than the first that a slice of ``train`` has at least.
        standardize: subtract each volume's mean and divide by its standard deviation, as nnU-Net does with MR.
        spacing: of slices, rows and columns in millimetres, for files that do not say it.
        require_affine: refuse labels whose affine puts them in another place than their image.
        cache_mb: memory for decoded volumes in each worker process, in MiB.
        unpack: folder to which compressed volumes are unpacked, so that they can be mapped; below the root, or
            absolute. For data that do not fit into memory.
    """

    mask_types: ClassVar[tuple[str, ...]] = ANY_SUFFIXES

    axis: int | None = None
    orientation: str = "usual"
    neighbours: int = 0
    divide: str = "volumes"
    min_foreground: int = 0
    standardize: bool = False
    spacing: list[float] = field(default_factory=list)
    require_affine: bool = True
    cache_mb: int = 1024
    unpack: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self)
        if self.divide == "slices" and not self.draw.splits[1:]:
            raise UserError(
                "layout.divide: slices are divided by folds, val_fraction or test_fraction. Set one of them."
            )
        self._begin()
        self.labels = None if self.card is None else LabelMap(self.card)

    def _begin(self) -> None:
        """Forget what has been read."""
        cache = VolumeCache(self.cache_mb * 2**20, self.root / self.unpack if self.unpack else None)
        self.voxels = Voxels(cache, self._slicing_now, self._read_header, self.neighbours, self.standardize)
        self._foreground: dict[tuple, np.ndarray] = {}
        self._slicing: Slicing | None = None

    def _slicing_now(self) -> Slicing:
        return self.slicing

    def _read_header(self, path: Path) -> VolumeHeader:
        return read_header(path)

    @property
    def image_types(self) -> tuple[str, ...]:
        return ANY_SUFFIXES

    @property
    def has_layers(self) -> bool:
        """Several labels per pixel are for pictures: a predicted volume of labels holds one in each voxel."""
        return False

    @property
    def slicing(self) -> Slicing:
        """How volumes are cut, for whoever cuts others in the same way.

        Raises:
            UserError: if no volume can be read.
        """
        if self._slicing is None:
            axis, orientation = self.axis, "" if self.orientation == "stored" else self.orientation
            if axis is None or orientation == "usual":
                axis, orientation = choose_cut(self._first_headers(), axis, orientation, self._spacing_of)
            self._slicing = Slicing(
                axis=axis,
                neighbours=self.neighbours,
                standardize=self.standardize,
                images=below_common_folder((self.image_pattern, *self.channel_patterns)),
                orientation=orientation,
            )
        return self._slicing

    def cut_as(self, slicing: Slicing | None) -> None:
        if slicing is None:
            return
        wanted = {
            "axis": slicing.axis,
            "orientation": slicing.orientation or "stored",
            "neighbours": slicing.neighbours,
        }
        for key, value in wanted.items():
            if getattr(self, key) not in (value, None, "usual"):
                raise UserError(
                    f"{self.card.path}: layout.{key} is {getattr(self, key)}, but the model was trained with {value}. "
                    f"Set it to {value}."
                )
        self.axis, self.orientation, self.standardize = wanted["axis"], wanted["orientation"], slicing.standardize
        self._begin()  # nothing that was read before is cut so

    def _first_headers(self) -> list[VolumeHeader]:
        """Of the volumes of the first split that can be read; the listing has the others among its problems.

        Raises:
            UserError: if there is none.
        """
        images = self.find_images(next(iter(self.splits()), "train"))
        return self.voxels.readable_headers(map(Path, images.values()))

    def fitted(self, card: Card) -> Card:
        """The card, whose ``image.channels`` are those of one slice, with the neighbours' channels."""
        n = self.neighbours
        if not n:
            return card
        image, times = card.image, 2 * n + 1
        if image.is_rgb8:
            raise UserError(f"{card.path}: layout.neighbours needs image.normalize, as zscore; imagenet is for RGB.")
        window = None if image.window is None else tuple(limits * times for limits in image.window)
        return replace(card, image=replace(image, channels=image.channels * times, window=window, neighbours=n))

    def list_samples(self, split: str) -> Listing:
        cases = super().list_samples(split)
        listing = Listing([], cases.problems, cases.warnings, cases.num_unpaired)
        names: list[str] = []
        for case in cases.samples:
            try:
                listing.samples += self._slices(case, split)
                names += [sample.name for sample in self._slices(case)] if self._draws_slices(split) else []
            except MissingPackageError:
                raise
            except UserError as error:
                listing.problems.append(str(error))
        if names:
            drawn = set(self.draw.part(names, split))
            listing.samples = [sample for sample in listing.samples if sample.name in drawn]
        headers = self.voxels.headers
        if split == "train" and not self.unpack:
            files = {path for s in listing.samples for path in (s.image, *s.channel_files, *_label_files(s))}
            listing.warnings += warnings_of_memory(split, map(self.voxels.header, files), self.cache_mb)
        read = {case.image: headers[case.image] for case in cases.samples if case.image in headers}
        if any(header.orientation for header in read.values()):
            turned = self.slicing.orientation
            usual = turned or usual_orientation(self._first_headers())
            listing.warnings += warnings_of_orientation(split, read, usual, is_turned=bool(turned))
        if split == "train" and self.min_foreground and not listing.samples and not listing.problems:
            listing.problems.append(
                f"layout.min_foreground: no slice of '{split}' has {self.min_foreground} pixels of another class than "
                f"the first. Lower it."
            )
        return listing

    def select(self, split: str, images: dict[str, str]) -> tuple[list[str], list[str]]:
        return (sorted(images), []) if self._draws_slices(split) else super().select(split, images)

    def _draws_slices(self, split: str) -> bool:
        """Whether the split's slices are drawn out of all volumes, rather than its volumes."""
        return self.divide == "slices" and split in self.draw.splits

    def _slices(self, case: Sample, split: str = "") -> list[Sample]:
        """The samples of a case: a picture, or the slices of its volume; for ``train`` those with enough foreground.

        Raises:
            UserError: naming a file that cannot be read, or is of another shape or place than the image.
        """
        header = self.voxels.header(case.image)
        for path in (*case.channel_files[1:], *_label_files(case)):
            if difference := describe_grid_difference(header, self.voxels.header(path), self.require_affine):
                raise UserError(
                    f"{path}: {difference} ({case.image}). They must agree: resample it onto the image, or if only "
                    f"its header is wrong set layout.require_affine: false."
                )
        header = self.voxels.turned_header(case)
        spacing = self._spacing_of(header)
        if header.is_picture:
            return [replace(case, spacing=None if spacing is None else spacing[1:])]
        axis = self.slicing.axis
        numbers: Sequence[int] = range(header.shape[axis])
        if split == "train" and self.min_foreground:
            numbers = np.flatnonzero(self._count_foreground(case, axis) >= self.min_foreground).tolist()
        steps = None if spacing is None else sliced(spacing, axis)
        return [
            replace(case, name=f"{case.name}/{number:04}", case=case.name, slice=number, spacing=steps)
            for number in numbers
        ]

    def _count_foreground(self, case: Sample, axis: int) -> np.ndarray:
        """How many pixels of each slice are of a class other than the first; reads the whole label volume, once."""
        key = _label_files(case)
        if key not in self._foreground:
            labels = self.labels
            numbers = range(self.voxels.turned_header(case).shape[axis])
            masks = (labels(self.read_mask(replace(case, case=case.name, slice=number))) for number in numbers)
            self._foreground[key] = np.array([((mask > 0) & (mask < len(self.card.classes))).sum() for mask in masks])
        return self._foreground[key]

    def _spacing_of(self, header: VolumeHeader) -> tuple[float, ...] | None:
        """Of slices, rows and columns in millimetres."""
        return header.spacing or tuple(map(float, self.spacing)) or None

    def size(self, sample: Sample) -> tuple[int, int]:
        return self.voxels.size(sample)

    def depth(self, sample: Sample) -> int:
        return 1 if sample.case is None else self.voxels.turned_header(sample).shape[self.slicing.axis]

    def read_image(self, sample: Sample) -> np.ndarray:
        return self.voxels.image(sample)

    def read_mask(self, sample: Sample) -> np.ndarray:
        if sample.mask is not None:
            labels = self.voxels.labels(sample.mask, sample)
            if self.mask_format == "binary":
                tones = self.decoder.tones(labels, sample.mask)
                mask = np.where(tones, raw_id(self.card, 1), raw_id(self.card, 0))
            else:
                mask = as_ids(labels, sample.mask)
        else:
            background = self.decoder.background
            fill = IGNORED_ID if background is None else raw_id(self.card, background)
            mask = np.full(self.size(sample), fill, np.int32)
            for index, path in sample.class_masks:
                mask[self.decoder.tones(self.voxels.labels(path, sample), path)] = raw_id(self.card, index)
        if sample.valid is not None:
            return np.where(self.voxels.labels(sample.valid, sample) > 0, mask.astype(np.int32), IGNORED_ID)
        return mask


def _label_files(case: Sample) -> tuple[Path, ...]:
    files = [case.mask] if case.mask is not None else [path for _, path in case.class_masks]
    return tuple(files if case.valid is None else [*files, case.valid])
