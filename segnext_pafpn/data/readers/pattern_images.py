"""Images that a folder or a pattern finds, as most readers have them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from segnext_pafpn.data.readers.images import ImageSetReader
from segnext_pafpn.data.readers.patterns import PathPattern, folder_pattern, scan
from segnext_pafpn.data.readers.splits import listed_names
from segnext_pafpn.errors import UserError


@dataclass(kw_only=True)
class PatternImages(ImageSetReader):
    """Images in a folder for each split, or in one folder that list files, a seed or folds divide.

    Args:
        images: folder of images below the root, or a pattern (:mod:`~segnext_pafpn.data.readers.patterns`). With
            ``{split}`` in it, ``val_fraction``, ``test_fraction`` and ``folds`` divide ``train``.
        image_prefix, image_suffix: what an image's stem has before and after the pair's name.
        recursive: search sub-folders too; a name then has them before it, as in ``aachen/0001``.
        split_names: what ``{split}`` becomes, for data that call train ``training``.
        lists: list file of each split below the root, such as ``lists/{split}.txt``.
    """

    images: str = "images/{split}"
    image_prefix: str = ""
    image_suffix: str = ""
    recursive: bool = False
    split_names: dict[str, str] = field(default_factory=dict)
    lists: str = ""

    def __post_init__(self) -> None:
        self.image_pattern = self._image_pattern(self.images)
        super().__post_init__()
        if self.lists and (self.draw.splits[1:] or "{split}" not in self.lists):
            raise UserError(
                f"layout.lists: '{self.lists}' must have {{split}} in it, and folds or fractions must not be set: "
                f"the lists say which picture is in which split."
            )

    def _image_pattern(self, text: str) -> PathPattern:
        return folder_pattern(text, self.image_prefix, self.image_suffix, self.recursive, self.image_types, "images")

    @property
    def places_splits(self) -> bool:
        return "{split}" in self.image_pattern.text

    def place(self, split: str) -> Path:
        return self.image_pattern.folder(self.root, self._folder_name(split))

    def is_placed(self, split: str) -> bool:
        if not self.place(split).is_dir():
            return False
        if self.place(split) != self.place("?"):
            return True  # else splits share a folder, and the names of the files tell them apart
        return next(self.image_pattern.files(self.root, self._folder_name(split)), None) is not None

    def _folder_name(self, split: str) -> str:
        """What ``{split}`` becomes in a path."""
        return self.split_names.get(split, split)

    def _source(self, split: str) -> str:
        """What ``{split}`` becomes where the pictures of ``split`` lie."""
        return self._folder_name(self.source_of(split))

    def _list_file(self, split: str) -> Path:
        return self.root / self.lists.replace("{split}", self._folder_name(split))

    def has(self, split: str) -> bool:
        return self._list_file(split).is_file() if self.lists else super().has(split)

    def find_images(self, split: str) -> dict[str, str]:
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
        if not self.lists:
            return super().select(split, images)
        names, problems = listed_names(self._list_file(split), images, self.root)
        return names, problems + self._divided_groups(split, names)

    def _names_of(self, split: str) -> list[str]:
        images = self.find_images(split)
        return listed_names(self._list_file(split), images, self.root)[0] if self.lists else list(images)

    def _share_images(self, split: str, other: str) -> bool:
        return not self.lists and self._source(split) == self._source(other)

    def _missing(self, split: str) -> str:
        return f"{self._list_file(split)} is not there" if self.lists else super()._missing(split)


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
