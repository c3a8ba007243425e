"""What readers of image files have in common: how the images are divided into splits, and how one is read."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.image_format import ImageFormat
from segnext_pafpn.data.readers.base import Reader, Sample
from segnext_pafpn.data.readers.files import IMAGE_SUFFIXES, read_rgb, read_size
from segnext_pafpn.data.readers.pixels import PIXEL_SUFFIXES, read_pixels, read_pixels_size
from segnext_pafpn.data.readers.splits import SPLITS, Draw
from segnext_pafpn.errors import UserError, nearest


@dataclass(kw_only=True)
class ImageSetReader(Reader):
    """Images below a root, divided as they come, by a seed, or into folds.

    Subclasses say where a split lies that comes with the data (:meth:`place`), and which images are there
    (:meth:`find_images`); splits that are drawn come out of ``train``, or out of all images where no split has a place.

    Args:
        root: the data set's folder.
        card: whose layout this is; needed where masks hold no ids.
        val_fraction, test_fraction, seed, folds, fold, group: see :class:`~segnext_pafpn.data.readers.splits.Draw`.
    """

    root: Path
    card: Card | None = None
    val_fraction: float = 0.0
    test_fraction: float = 0.0
    seed: int = 0
    folds: int = 0
    fold: int = 0
    group: str = ""

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise UserError(
                f"{self.root}: no such folder. Put the data set there, or say where it is with --data.root."
            )
        self.draw = Draw(
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.seed,
            folds=self.folds,
            fold=self.fold,
            group=self.group,
        )
        self._refuse_double_division()

    @property
    @abstractmethod
    def places_splits(self) -> bool:
        """Whether splits have places of their own, rather than all images one."""

    @abstractmethod
    def place(self, split: str) -> Path:
        """The folder or file of a split that comes with the data, be it there or not."""

    @abstractmethod
    def is_placed(self, split: str) -> bool:
        """Whether something is at the split's place."""

    @abstractmethod
    def find_images(self, split: str) -> dict[str, str]:
        """The path of every image among which those of ``split`` are, by name, sorted.

        Raises:
            UserError: if there is no such split or no image, or two images have one name.
        """

    @property
    def image_format(self) -> ImageFormat:
        """What the card says of the images."""
        return ImageFormat() if self.card is None else self.card.image

    @property
    def image_types(self) -> tuple[str, ...]:
        """Suffixes of the files that are images, the commonest first."""
        return IMAGE_SUFFIXES if self.image_format.is_rgb8 else PIXEL_SUFFIXES

    def source_of(self, split: str) -> str:
        """The split among whose images those of ``split`` are: ``train`` for one that is drawn."""
        return "train" if split in self.draw.splits[1:] else split

    def has(self, split: str) -> bool:
        """Whether there is such a split."""
        if self.places_splits:
            return self.is_placed(self.source_of(split))
        return split in self.draw.splits

    def splits(self) -> list[str]:
        return [split for split in SPLITS if self.has(split)]

    def select(self, split: str, images: dict[str, str]) -> tuple[list[str], list[str]]:
        """The names of ``split`` among ``images``, and what is wrong with them, a line each."""
        if split in self.draw.splits and (not self.places_splits or len(self.draw.splits) > 1):
            return self.draw.part(list(images), split), []
        return sorted(images), self._divided_groups(split, list(images))

    def _names_of(self, split: str) -> list[str]:
        """All images of a split that is not drawn."""
        return list(self.find_images(split))

    def _share_images(self, split: str, other: str) -> bool:
        """Whether two splits are parts of the same images, between which no group can be divided."""
        return self.source_of(split) == self.source_of(other)

    def _divided_groups(self, split: str, names: list[str]) -> list[str]:
        """A problem for each group that lists or folders have put on both sides; drawing keeps groups whole itself."""
        problems: list[str] = []
        ours = self.draw.groups(names) if self.group else {}
        for other in self.splits() if self.group else ():
            if other == split or self._share_images(split, other):
                continue
            theirs = self.draw.groups(self._names_of(other))
            problems += [
                f"layout.group: '{group}' is in split '{split}' ({ours[group][0]}) and in split '{other}' "
                f"({theirs[group][0]}), expected it in one. Move its pictures to one split."
                for group in ours
                if group in theirs
            ]
        return problems

    def _refuse_double_division(self) -> None:
        for split in self.draw.splits[1:] if self.places_splits else ():
            if self.is_placed(split):
                raise UserError(
                    f"layout: folds, val_fraction and test_fraction are for unsplit folders, but {self.place(split)} "
                    f"holds '{split}' already. Remove them, or {self._unplace(split)}."
                )

    def _unplace(self, split: str) -> str:
        """What to change for a split to be drawn, in words."""
        return "take {split} out of layout.images"

    def _require(self, split: str) -> None:
        if not self.has(split):
            found = self.splits()
            raise UserError(
                f"{self.root}: there is no split '{split}': {self._missing(split)}.{nearest(split, found)} "
                f"Found splits: {', '.join(found) or 'none'}."
            )

    def _missing(self, split: str) -> str:
        """Why there is no such split."""
        if self.places_splits:
            return f"{self.place(split)} is not there"
        return f"{split}_fraction is 0" + ("" if self.folds or split != "val" else " and folds is not set")

    def size(self, sample: Sample) -> tuple[int, int]:
        if self.image_format.is_rgb8:
            return read_size(sample.image)
        return read_pixels_size(sample.image, None if sample.channel_files else self.image_format.channels)

    def read_image(self, sample: Sample) -> np.ndarray:
        if self.image_format.is_rgb8:
            return read_rgb(sample.image)
        return read_pixels(sample.channel_files or (sample.image,), self.image_format.channels)
