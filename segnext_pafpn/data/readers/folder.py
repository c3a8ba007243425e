"""A folder of images and a folder of masks whose names agree."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.base import Listing, Reader, Sample
from segnext_pafpn.data.readers.files import image_files, read_ids, read_rgb, read_size
from segnext_pafpn.errors import UserError

_SPLITS = ("train", "val", "test")


@dataclass(kw_only=True)
class FolderReader(Reader):
    """Images and masks paired by the stem of their names.

    Either the folders are split already (``images: "images/{split}"``), or one folder is split by a
    fraction drawn with ``seed``: the same names always give the same split, on every machine.

    Args:
        root: the data set's folder.
        images: folder of images below the root; ``{split}`` stands for train, val and test.
        masks: folder of masks, likewise.
        image_suffix: what an image's stem has beyond the pair's name, as in ``0001_leftImg8bit.png``.
        mask_suffix: what a mask's stem has beyond the pair's name, as in ``0001_mask.png``.
        val_fraction: share of one unsplit folder that becomes ``val``.
        test_fraction: share that becomes ``test``.
        seed: of that draw.
    """

    root: Path
    images: str = "images/{split}"
    masks: str = "masks/{split}"
    image_suffix: str = ""
    mask_suffix: str = ""
    val_fraction: float = 0.0
    test_fraction: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise UserError(
                f"{self.root}: no such folder. Put the data set there, or say where it is with --data.root."
            )
        if ("{split}" in self.images) != ("{split}" in self.masks):
            raise UserError(
                f"layout: '{{split}}' must stand in both images '{self.images}' and masks '{self.masks}' or neither."
            )
        if "{split}" in self.images and (self.val_fraction or self.test_fraction):
            raise UserError("layout: val_fraction and test_fraction are for unsplit folders; remove '{split}' or them.")
        if not (self.val_fraction >= 0 and self.test_fraction >= 0 and self.val_fraction + self.test_fraction < 1):
            raise UserError(
                f"layout: val_fraction ({self.val_fraction}) and test_fraction ({self.test_fraction}) "
                f"must be 0 or more and add up to less than 1."
            )

    def splits(self) -> list[str]:
        if "{split}" in self.images:
            return [s for s in _SPLITS if (self.root / self.images.format(split=s)).is_dir()]
        return [s for s, share in zip(_SPLITS, (1, self.val_fraction, self.test_fraction), strict=True) if share]

    def list_samples(self, split: str) -> Listing:
        image_folder = self.root / self.images.format(split=split)
        mask_folder = self.root / self.masks.format(split=split)
        if split not in self.splits():
            found = ", ".join(self.splits()) or "none"
            missing = f"{image_folder} is not there" if "{split}" in self.images else f"{split}_fraction is 0"
            raise UserError(f"{self.root}: there is no split '{split}': {missing}. Found splits: {found}.")
        if not mask_folder.is_dir():
            raise UserError(
                f"{mask_folder}: no such folder. Expected the masks of '{split}' there; see the card's layout."
            )
        images = _by_name(image_folder, self.image_suffix)
        masks = _by_name(mask_folder, self.mask_suffix)
        if not images:
            raise UserError(
                f"{image_folder}: holds no image whose name ends in '{self.image_suffix or '.png, .jpg, ...'}'. "
                f"Expected the images of '{split}' there; see the card's layout."
            )
        names = self._names_of(split, sorted(images))
        problems = [
            f"{images[name]}: no mask for this image. Expected {mask_folder / (name + self.mask_suffix)}.png."
            for name in names
            if name not in masks
        ]
        warnings = [
            f"{path}: no image for this mask (expected {image_folder / (name + self.image_suffix)}.*); it is not used."
            for name, path in masks.items()
            if name not in images
        ]
        samples = [Sample(name, images[name], masks[name]) for name in names if name in masks]
        return Listing(samples, problems, warnings)

    def _names_of(self, split: str, names: list[str]) -> list[str]:
        """The part of an unsplit folder that belongs to ``split``, in sorted order."""
        if "{split}" in self.images:
            return names
        shuffled = random.Random(self.seed).sample(names, len(names))
        num_val = round(self.val_fraction * len(names))
        num_test = round(self.test_fraction * len(names))
        parts = {
            "val": shuffled[:num_val],
            "test": shuffled[num_val : num_val + num_test],
            "train": shuffled[num_val + num_test :],
        }
        return sorted(parts[split])

    def size(self, sample: Sample) -> tuple[int, int]:
        return read_size(sample.image)

    def read_image(self, sample: Sample) -> np.ndarray:
        return read_rgb(sample.image)

    def read_mask(self, sample: Sample) -> np.ndarray:
        return read_ids(sample.mask)


def _by_name(folder: Path, suffix: str) -> dict[str, Path]:
    """The pair's name (stem without ``suffix``) of every image file in ``folder``."""
    found: dict[str, Path] = {}
    for path in image_files(folder):
        if not path.stem.endswith(suffix):
            continue
        first = found.setdefault(path.stem.removesuffix(suffix), path)
        if first != path:
            raise UserError(f"{first} and {path}: two files of one name, so their pair is not clear. Remove one.")
    return found
