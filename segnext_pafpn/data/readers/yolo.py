"""A text file of outlines beside each image, as YOLO's segmentation networks are trained on them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.images import ImageSetReader
from segnext_pafpn.data.readers.masks import raw_id
from segnext_pafpn.data.readers.patterns import scan
from segnext_pafpn.data.readers.polygon import fill_polygon
from segnext_pafpn.errors import UserError, counted, nearest

_BEYOND = 0.01  # how far a point may lie outside the picture, as a share of its side, and is moved to its edge
_NO_LABELS = ("classes.txt", "notes.txt")  # that annotation tools leave among the labels


@dataclass(kw_only=True)
class YoloReader(ImageSetReader):
    """``images/SPLIT/NAME.jpg`` with ``labels/SPLIT/NAME.txt``, a line for each object: ``class x y x y x y ...``.

    x and y are shares of width and height. The label of an image lies where the last folder called ``images`` in its
    path is called ``labels``, or beside it where none is. Pixels in no outline are the card's first class, and so are
    those of an image without a label file; of outlines that overlap the smaller one is on top.

    Args:
        train, val, test: folders of images, or text files with the path of an image in each line, below the root.
        names: the class of the card that each number in the labels means; several may mean one, and ``""`` is not
            drawn. Empty: the card's classes but the first, in their order.
    """

    images: str = field(init=False, default="")
    image_prefix: str = field(init=False, default="")
    image_suffix: str = field(init=False, default="")
    recursive: bool = field(init=False, default=False)
    split_names: dict[str, str] = field(init=False, default_factory=dict)
    lists: str = field(init=False, default="")
    train: str | list[str] = "images/train"
    val: str | list[str] = "images/val"
    test: str | list[str] = "images/test"
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.card.class_names
        for name in self.names:
            if name and name not in known:
                raise UserError(
                    f"layout.names: '{name}' is no class of the card.{nearest(name, known)} Known: {', '.join(known)}."
                )
        names = self.names or known[1:]
        self._ids = [raw_id(self.card, known.index(name)) if name else None for name in names]

    @property
    def _split_by_folder(self) -> bool:
        return True

    def _sources(self, split: str) -> list[Path]:
        """Folders and lists of a split's images, whether they are there or not."""
        given = getattr(self, split, [])
        return [self._resolve(text) for text in ([given] if isinstance(given, str) else given) if text]

    def _resolve(self, text: str) -> Path:
        path = self.root / text
        if text.startswith("../") and not path.exists():  # Roboflow's exports lie one folder higher than they say
            path = self.root / text.removeprefix("../")
        return path

    def _place(self, split: str) -> Path:
        return next(iter(self._sources(split)), self.root / split)

    def _is_there(self, split: str) -> bool:
        return any(source.exists() for source in self._sources(split))

    def _missing(self, split: str) -> str:
        return super()._missing(split) if self._sources(split) else f"layout.{split} is empty"

    def find_images(self, split: str) -> dict[str, str]:
        self._require(split)
        images: dict[str, str] = {}
        for source in self._sources(self._source(split)):
            for name, path in self._images_of(source):
                if images.setdefault(name, path) != path:
                    raise UserError(f"{images[name]} and {path}: two images of one name, '{name}'. Rename one of them.")
        if not images:
            places = " or ".join(map(str, self._sources(self._source(split))))
            raise UserError(f"{places}: holds no image. Expected the images of '{split}' there, such as NAME.jpg.")
        return dict(sorted(images.items()))

    def _images_of(self, source: Path) -> Iterator[tuple[str, str]]:
        """Name and path of each image in a folder or a list."""
        if source.is_dir():
            for inside in scan(str(source), None):
                if inside.lower().endswith(self.image_types):
                    yield inside.rsplit(".", 1)[0], str(source / inside)
        elif source.is_file():
            for line in _read_lines(source):
                path = Path(line)
                path = source.parent / path if line.startswith("./") else self.root / path
                inside = path.relative_to(self.root) if path.is_relative_to(self.root) else Path(path.name)
                yield inside.with_suffix("").as_posix(), str(path)
        else:
            raise UserError(f"{source}: no such folder or list of images. Correct it in {self.card.path}.")

    def list_samples(self, split: str) -> Listing:
        images = self.find_images(split)
        names, problems = self.select(split, images)
        listing = Listing([], problems)
        empty = []
        for name in names:
            image = Path(images[name])
            if not image.is_file():
                listing.problems.append(f"{image}: no such image, but a list names it. Add it, or remove its line.")
                continue
            label = label_path(image)
            if not label.is_file():
                empty.append(label)
            listing.samples.append(Sample(name, image, label if label.is_file() else None))
        if empty:
            listing.warnings.append(
                f"split '{split}': {len(empty)} of {counted(len(names), 'image')} without a label file, {empty[0]} "
                f"first: all {self.card.class_names[0]}."
            )
        orphans = self._orphans(split, images)
        listing.warnings += [f"{label}: a label without an image. Add the image, or remove it." for label in orphans]
        listing.num_unpaired = len(orphans)
        return listing

    def _orphans(self, split: str, images: dict[str, str]) -> list[Path]:
        """Label files of a split's folders that no image has; those of lists may be another split's."""
        wanted = {label_path(Path(image)) for image in images.values()}
        folders = {
            label_path(source / "any").parent for source in self._sources(self._source(split)) if source.is_dir()
        }
        files = (folder / inside for folder in sorted(folders) if folder.is_dir() for inside in scan(str(folder), None))
        return sorted(f for f in files if f.suffix == ".txt" and f.name not in _NO_LABELS and f not in wanted)

    def read_mask(self, sample: Sample) -> np.ndarray:
        size = self.size(sample)
        mask = np.full(size, raw_id(self.card, 0), np.uint16)
        if sample.mask is None:
            return mask
        drawn = []
        for number, line in enumerate(_read_lines(sample.mask), start=1):
            class_id, points = self._parse(line, f"{sample.mask}: line {number}")
            if class_id is not None:
                drawn.append((class_id, fill_polygon(points * size[::-1], size)))
        for class_id, pixels in sorted(drawn, key=lambda item: -int(item[1].sum())):
            mask[pixels] = class_id
        return mask

    def _parse(self, line: str, where: str) -> tuple[int | None, np.ndarray]:
        """The raw id that an outline is drawn with, None for none, and its points ``(N, 2)``, shares of the picture.

        Raises:
            UserError: if the line is no outline of a known class.
        """
        try:
            numbers = np.array(line.split(), dtype=np.float64)
        except ValueError as error:
            raise UserError(
                f"{where}: '{line[:40]}' is no list of numbers. Expected 'class x y x y x y ...'."
            ) from error
        index, points = numbers[0], numbers[1:]
        if not (index.is_integer() and 0 <= index < len(self._ids)):
            raise UserError(
                f"{where}: the class {line.split()[0]} has no name. Expected 0 to {len(self._ids) - 1}; add it to "
                f"names, or correct the line."
            )
        if len(points) == 4:
            raise UserError(f"{where}: is a box, expected an outline of 3 points or more: 'class x y x y x y ...'.")
        if len(points) < 6 or len(points) % 2:
            raise UserError(
                f"{where}: has {len(points)} numbers after the class, expected x and y of 3 points or more."
            )
        if not (points.min() >= -_BEYOND and points.max() <= 1 + _BEYOND):  # NaN is neither
            raise UserError(
                f"{where}: has points of {points.min():g} to {points.max():g}, expected 0 to 1, as shares of width and "
                f"height. Divide them by the picture's sides if they are in pixels."
            )
        return self._ids[int(index)], points.clip(0, 1).reshape(-1, 2)


def label_path(image: Path) -> Path:
    """Where an image's label lies: its last folder called ``images`` is called ``labels``."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _read_lines(path: Path) -> list[str]:
    """A text file's lines that hold something.

    Raises:
        UserError: naming a file that is not text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not a readable text file ({error}). Save it as UTF-8.") from error
    return [line.strip() for line in lines if line.strip()]
