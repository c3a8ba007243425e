"""What readers of image files have in common: where the images are, and how they are divided into splits."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.image_format import ImageFormat
from segnext_pafpn.data.readers.base import Reader, Sample
from segnext_pafpn.data.readers.files import IMAGE_SUFFIXES, read_rgb, read_size
from segnext_pafpn.data.readers.patterns import PathPattern, folder_pattern, scan
from segnext_pafpn.data.readers.pixels import PIXEL_SUFFIXES, read_pixels, read_pixels_size
from segnext_pafpn.data.readers.splits import SPLITS, Draw, listed_names
from segnext_pafpn.errors import UserError


@dataclass(kw_only=True)
class ImageSetReader(Reader):
    """Images below a root, divided by folders, by list files, by a seed, or into folds.

    Args:
        root: the data set's folder.
        card: whose layout this is; needed where masks hold no ids.
        images: folder of images below the root, or a pattern (:mod:`~segnext_pafpn.data.readers.patterns`).
        image_prefix, image_suffix: what an image's stem has before and after the pair's name.
        recursive: search sub-folders too; a name then has them before it, as in ``aachen/0001``.
        split_names: what ``{split}`` becomes, for data that call train ``training``.
        lists: list file of each split below the root, such as ``lists/{split}.txt``.
        val_fraction, test_fraction, seed, folds, fold, group: see
            :class:`~segnext_pafpn.data.readers.splits.Draw`. With ``{split}`` in ``images`` they divide ``train``.
    """

    root: Path
    card: Card | None = None
    images: str = "images/{split}"
    image_prefix: str = ""
    image_suffix: str = ""
    recursive: bool = False
    split_names: dict[str, str] = field(default_factory=dict)
    lists: str = ""
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
        self.image_pattern = self._image_pattern(self.images)
        self.draw = Draw(
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.seed,
            folds=self.folds,
            fold=self.fold,
            group=self.group,
        )
        self._check_division()

    @property
    def image_format(self) -> ImageFormat:
        """What the card says of the images."""
        return ImageFormat() if self.card is None else self.card.image

    @property
    def image_types(self) -> tuple[str, ...]:
        """Suffixes of the files that are images, the commonest first."""
        return IMAGE_SUFFIXES if self.image_format.is_rgb8 else PIXEL_SUFFIXES

    def _image_pattern(self, text: str) -> PathPattern:
        return folder_pattern(text, self.image_prefix, self.image_suffix, self.recursive, self.image_types, "images")

    def _check_division(self) -> None:
        drawn = self.draw.splits[1:]
        if self.lists and (drawn or "{split}" not in self.lists):
            raise UserError(
                f"layout.lists: '{self.lists}' must have {{split}} in it, and folds or fractions must not be set: "
                f"the lists say which picture is in which split."
            )
        for split in drawn if self._split_by_folder else ():
            if self._is_there(split):
                raise UserError(
                    f"layout: folds, val_fraction and test_fraction are for unsplit folders, but "
                    f"{self._place(split)} holds '{split}' already. Remove them, or '{{split}}'."
                )

    @property
    def _split_by_folder(self) -> bool:
        return "{split}" in self.image_pattern.text

    def _folder_name(self, split: str) -> str:
        """What ``{split}`` becomes in a path."""
        return self.split_names.get(split, split)

    def _source(self, split: str) -> str:
        """What ``{split}`` becomes where the pictures of ``split`` lie: drawn ones come out of ``train``."""
        return self._folder_name("train" if split in self.draw.splits[1:] else split)

    def _place(self, split: str) -> Path:
        """Where the pictures of a split by folder lie."""
        return self.image_pattern.folder(self.root, self._folder_name(split))

    def _is_there(self, split: str) -> bool:
        """Whether a split by folder is there: its folder, or a file of it where splits share a folder."""
        if not self._place(split).is_dir():
            return False
        if self._place(split) != self._place("?"):
            return True
        return next(self.image_pattern.files(self.root, self._folder_name(split)), None) is not None

    def has(self, split: str) -> bool:
        """Whether there is such a split."""
        if self.lists:
            return (self.root / self.lists.replace("{split}", self._folder_name(split))).is_file()
        if split in self.draw.splits and not self._split_by_folder:
            return True
        return self._split_by_folder and self._is_there("train" if split in self.draw.splits[1:] else split)

    def splits(self) -> list[str]:
        return [split for split in SPLITS if self.has(split)]

    def find_images(self, split: str) -> dict[str, str]:
        """The path of every image among which those of ``split`` are, by name, sorted.

        Raises:
            UserError: if there is no such split or no image, or two images have one name.
        """
        source = self._source(split)
        folder = self.image_pattern.folder(self.root, source)
        self._require(split)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder. Expected the images of '{split}' there; see the card's layout.")
        images = by_name(self.image_pattern, self.root, source, "image")
        if not images:
            what = f"'{self.image_suffix or ', '.join(self.image_types[:2]) + ', ...'}'"
            pattern = f" that fits '{self.images}'" if "{name}" in self.images else f" whose name ends in {what}"
            raise UserError(
                f"{folder}: holds no image{pattern}{self._found_in(folder)}. "
                f"Expected the images of '{split}' there; see the card's layout."
            )
        return images

    def _found_in(self, folder: Path) -> str:
        """What is in a folder that lacks images, by the ends of the names; such as DICOM files, or volumes."""
        count = Counter(_end(name) for name in scan(str(folder), 0))
        found = ", ".join(f"{number} x {suffix}" for suffix, number in sorted(count.items())[:3])
        hint = ""
        if ".dcm" in count:
            hint = "; convert DICOM first, as with dcm2niix"
        elif {".nii", ".nii.gz"} & count.keys() - set(self.image_types):
            hint = "; volumes need layout.reader: volumes"
        return f" (found {found}{hint})" if found else ""

    def select(self, split: str, images: dict[str, str]) -> tuple[list[str], list[str]]:
        """The names of ``split`` among ``images``, and a problem for each listed name that is not there."""
        if self.lists:
            names, problems = self._listed(split, images)
            return names, problems + self._divided_groups(split, names)
        if split in self.draw.splits and (not self._split_by_folder or len(self.draw.splits) > 1):
            return self.draw.part(list(images), split), []
        return sorted(images), self._divided_groups(split, list(images))

    def _listed(self, split: str, images: dict[str, str]) -> tuple[list[str], list[str]]:
        path = self.root / self.lists.replace("{split}", self._folder_name(split))
        return listed_names(path, images, self.root)

    def _divided_groups(self, split: str, names: list[str]) -> list[str]:
        """A problem for each group that lists or folders have put on both sides; drawing keeps groups whole itself."""
        problems: list[str] = []
        ours = self.draw.groups(names) if self.group else {}
        for other in self.splits() if self.group else ():
            if other == split or (not self.lists and self._source(other) == self._source(split)):
                continue
            images = self.find_images(other)
            theirs = self.draw.groups(self._listed(other, images)[0] if self.lists else list(images))
            problems += [
                f"layout.group: '{group}' is in split '{split}' ({ours[group][0]}) and in split '{other}' "
                f"({theirs[group][0]}), expected it in one. Move its pictures to one split."
                for group in ours
                if group in theirs
            ]
        return problems

    def _require(self, split: str) -> None:
        if not self.has(split):
            found = ", ".join(self.splits()) or "none"
            raise UserError(f"{self.root}: there is no split '{split}': {self._missing(split)}. Found splits: {found}.")

    def _missing(self, split: str) -> str:
        if self.lists:
            return f"{self.root / self.lists.replace('{split}', self._folder_name(split))} is not there"
        if self._split_by_folder:
            return f"{self._place(split)} is not there"
        return f"{split}_fraction is 0" + ("" if self.folds or split != "val" else " and folds is not set")

    def size(self, sample: Sample) -> tuple[int, int]:
        if self.image_format.is_rgb8:
            return read_size(sample.image)
        return read_pixels_size(sample.image, None if sample.channel_files else self.image_format.channels)

    def read_image(self, sample: Sample) -> np.ndarray:
        if self.image_format.is_rgb8:
            return read_rgb(sample.image)
        return read_pixels(sample.channel_files or (sample.image,), self.image_format.channels)


def by_name(
    pattern: PathPattern, root: Path, split: str, what: str, order: tuple[str, ...] | None = None
) -> dict[str, str]:
    """The path of every file that fits, by name, sorted.

    Raises:
        UserError: if two files have one name.
    """
    found: dict[str, str] = {}
    for name, path in sorted(pattern.files(root, split, order)):
        first = found.setdefault(name, path)
        if first != path:
            raise UserError(
                f"{first} and {path}: two files of one name, so it is not clear which is the {what} '{name}'. "
                f"Remove one, or tell them apart in the card's layout."
            )
    return found


def _end(name: str) -> str:
    """What a file's name ends in, in lower case; ``.nii.gz`` is one end."""
    suffixes = Path(name.lower()).suffixes
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:]) or "no suffix"
