"""nnU-Net's raw data sets: dataset.json, imagesTr, labelsTr, and imagesTs and labelsTs where they are."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from segnext_pafpn.data.dataset_json import FILE, read_dataset_json
from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.volume.files import read_header
from segnext_pafpn.data.readers.volume.header import VolumeHeader
from segnext_pafpn.data.readers.volume.tiff import spacing_beside
from segnext_pafpn.data.readers.volumes import VolumeReader
from segnext_pafpn.errors import UserError, counted

_FOLDS = 5  # nnU-Net's


@dataclass(kw_only=True)
class NnunetReader(VolumeReader):
    """A data set as nnU-Net v2 wants it in ``nnUNet_raw``: NIfTI, TIFF or numpy volumes, or PNG, BMP and TIFF pictures.

    The other options of :class:`.VolumeReader` are its too. Folds are those of ``splits_final.json``, or are drawn:
    five, unless ``folds``, ``val_fraction`` or ``lists`` say otherwise.

    Args:
        splits_file: list of folds as nnU-Net writes it, below the root or absolute; used if it is there. Its own lie
            in ``nnUNet_preprocessed``; copy or name that file to train on the same cases.
    """

    images: str | list[str] = field(init=False, default="images{split}/{name}_0000.nii.gz")
    masks: str = field(init=False, default="labels{split}/{name}.nii.gz")
    image_prefix: str = field(init=False, default="")
    image_suffix: str = field(init=False, default="")
    mask_prefix: str = field(init=False, default="")
    mask_suffix: str = field(init=False, default="")
    mask_format: str = field(init=False, default="index")
    threshold: int | None = field(init=False, default=None)
    class_suffixes: dict[str, str] = field(init=False, default_factory=dict)
    allow_missing: bool = field(init=False, default=False)
    recursive: bool = field(init=False, default=False)
    divide: str = field(init=False, default="volumes")
    split_names: dict[str, str] = field(init=False, default_factory=lambda: {"train": "Tr", "test": "Ts"})
    splits_file: str = "splits_final.json"

    def __post_init__(self) -> None:
        values = read_dataset_json(self.root)
        ending = self.ending = values["file_ending"]
        self.num_channels = len(values["channel_names"])
        self.images = [f"images{{split}}/{{name}}_{i:04}{ending}" for i in range(self._count_files(ending))]
        self.masks = f"labels{{split}}/{{name}}{ending}"
        self.num_training = values["numTraining"]
        self.parts = self._read_folds()
        if self.parts:
            self.folds = len(self.parts)
        elif not (self.folds or self.val_fraction or self.lists):
            self.folds = _FOLDS
        super().__post_init__()

    def _count_files(self, ending: str) -> int:
        """One file for each channel, or one for all of a picture in colours."""
        folder = self.root / "imagesTr"
        single = ending not in (".nii", ".nii.gz") and folder.is_dir()
        return 1 if single and next(folder.glob(f"*_0001{ending}"), None) is None else self.num_channels

    def _read_folds(self) -> list[dict[str, list[str]]]:
        path = self.root / self.splits_file
        if not path.is_file():
            if self.splits_file != type(self).splits_file:
                raise UserError(f"{path}: no such file. Expected nnU-Net's list of folds; see layout.splits_file.")
            return []
        if self.val_fraction or self.lists or self.folds:
            raise UserError(
                f"layout: {path} says which cases are in which fold. Remove folds, val_fraction and lists, or the file."
            )
        try:
            parts = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a readable JSON file ({error}). Copy it again.") from error
        if not (isinstance(parts, list) and len(parts) > 1 and all(map(_is_fold, parts))):
            raise UserError(f'{path}: expected a list of two folds or more, {{"train": [...], "val": [...]}} each.')
        return parts

    def select(self, split: str, images: dict[str, str]) -> tuple[list[str], list[str]]:
        if not self.parts or split == "test":
            return super().select(split, images)
        names = self.parts[self.fold][split]
        problems = [
            f"{self.root / self.splits_file}: fold {self.fold}: {split} has the case '{name}', of which there is no "
            f"image in {self.root / 'imagesTr'}. Add it, or remove it from the list."
            for name in names
            if name not in images
        ]
        both = sorted(set(self.parts[self.fold]["train"]) & set(self.parts[self.fold]["val"]))
        problems += [
            f"{self.root / self.splits_file}: fold {self.fold}: the case '{name}' is in train and in val, expected it "
            f"in one. Remove it from the other."
            for name in both
        ]
        return sorted(name for name in names if name in images), problems

    def list_samples(self, split: str) -> Listing:
        listing = super().list_samples(split)
        if split == "train":
            found = len(self.find_images(split))
            if found != self.num_training:
                listing.warnings.append(
                    f"{self.root / FILE}: numTraining is {self.num_training}, but imagesTr has {found} cases."
                )
            further = next((self.root / "imagesTr").glob(f"*_{1 + len(self.channel_patterns):04}{self.ending}"), None)
            if further is not None:
                listing.warnings.append(
                    f"{further}: is not used, as channel_names in {self.root / FILE} has "
                    f"{counted(self.num_channels, 'channel')} alone. Add the others there if they are wanted."
                )
        return listing

    def _read_header(self, path: Path) -> VolumeHeader:
        """The file's own, with the spacing that nnU-Net has beside TIFF files, in ``CASE.json``."""
        header = read_header(path)
        return replace(header, spacing=spacing_beside(path) or header.spacing)

    def read_image(self, sample: Sample) -> np.ndarray:
        image = super().read_image(sample)
        found = image.shape[2] // (2 * self.neighbours + 1)
        if found != self.num_channels:
            raise UserError(
                f"{sample.label}: {found} channels in {1 + len(self.channel_patterns)} file(s), expected the "
                f"{self.num_channels} of channel_names in {self.root / FILE}. Add the missing files, or correct it."
            )
        return image

    def read_mask(self, sample: Sample) -> np.ndarray:
        mask = super().read_mask(sample)
        whole = self.card is not None and self.card.path == self.root / FILE  # a card of one's own may leave labels out
        if whole and (unknown := self.labels.unknown_ids(mask)):
            raise UserError(
                f"{sample.mask_label}: the values {unknown[:8]} are not among the labels of {self.root / FILE} "
                f"(known: {self.labels.known}). Add them there, or correct the file."
            )
        return mask


def _is_fold(part: object) -> bool:
    """Whether it is an object with two lists of names."""
    if not isinstance(part, dict):
        return False
    lists = [part.get(key) for key in ("train", "val")]
    return all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
