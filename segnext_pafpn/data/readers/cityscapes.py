"""Cityscapes as its owners give it out."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.files import read_ids
from segnext_pafpn.data.readers.folder import FolderReader
from segnext_pafpn.errors import UserError, nearest

_ANNOTATIONS = ("gtFine", "gtCoarse")


@dataclass(kw_only=True)
class CityscapesReader(FolderReader):
    """``leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`` with ``gtFine/SPLIT/CITY/*_gtFine_labelIds.png``.

    The splits are train and val, with the coarse annotations train_extra too. The labels of test are dummies: it can be
    listed, but :meth:`splits` leaves it out.

    Args:
        annotations: ``gtFine`` or ``gtCoarse``.
        cities: take these cities only; empty for all.
    """

    images: str = "leftImg8bit/{split}/{city}/{name}_leftImg8bit.png"
    masks: str = ""
    annotations: str = "gtFine"
    cities: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.annotations not in _ANNOTATIONS:
            raise UserError(
                f"layout.annotations: '{self.annotations}' is not known.{nearest(self.annotations, _ANNOTATIONS)} "
                f"Known: {', '.join(_ANNOTATIONS)}."
            )
        self.masks = f"{self.annotations}/{{split}}/{{city}}/{{name}}_{self.annotations}_labelIds.png"
        super().__post_init__()
        images = self.root / "leftImg8bit"
        found = sorted({path.name for path in images.glob("*/*") if path.is_dir()})
        for city in self.cities:
            if city not in found:
                raise UserError(
                    f"layout.cities: '{city}' is not in {images}.{nearest(city, found)} "
                    f"Found: {', '.join(found) or 'none'}."
                )

    def splits(self) -> list[str]:
        splits = ("train", "val") if self.annotations == "gtFine" else ("train", "train_extra", "val")
        return [split for split in splits if self.has(split)]

    def find_images(self, split: str) -> dict[str, str]:
        images = super().find_images(split)
        if not self.cities:
            return images
        chosen = {name: path for name, path in images.items() if name.split("/")[0] in self.cities}
        if not chosen:
            found = sorted({name.split("/")[0] for name in images})
            raise UserError(
                f"layout.cities: none of {', '.join(self.cities)} is in split '{split}'. It has {', '.join(found)}."
            )
        return chosen

    def instance_file(self, sample: Sample) -> Path:
        return sample.mask.with_name(sample.mask.name.replace("_labelIds.png", "_instanceIds.png"))

    def read_instances(self, sample: Sample) -> np.ndarray:
        """Below 1000 they are no instances: classes without such, or groups."""
        ids = read_ids(self.instance_file(sample))
        return np.where(ids < 1000, 0, ids)

    def list_samples(self, split: str) -> Listing:
        listing = super().list_samples(split)
        if self.cities:  # other cities' masks are no orphans
            listing.num_unpaired -= len(listing.warnings)
            listing.warnings = []
        if split == "test":
            listing.warnings.append("split 'test': Cityscapes keeps its labels; those in the folder are dummies.")
        return listing
