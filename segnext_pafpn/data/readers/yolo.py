"""A text file of outlines beside each image, as YOLO's segmentation networks are trained on them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.images import ImageSetReader
from segnext_pafpn.data.readers.masks import raw_id
from segnext_pafpn.data.readers.outlines import fill_polygon, paint_largest_first
from segnext_pafpn.data.readers.patterns import find_below, scan
from segnext_pafpn.data.readers.splits import SPLITS
from segnext_pafpn.errors import UserError, counted, nearest
from segnext_pafpn.files import read_lines

_BEYOND = 0.01  # how far a point may lie outside the picture, as a share of its side, and is moved to its edge
_NO_LABELS = ("classes.txt", "notes.txt")  # that annotation tools leave among the labels
_LINE = "'class x y x y x y ...' a line"
_BOXES = ("refuse", "skip", "fill")
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


@dataclass(kw_only=True)
class YoloReader(ImageSetReader):
    """``images/SPLIT/NAME.jpg`` with ``labels/SPLIT/NAME.txt``, a line for each object: ``class x y x y x y ...``.

    x and y are shares of width and height. The label of an image lies where the last folder called ``images`` in its
    path is called ``labels``, or beside it where none is. Pixels in no outline are the card's first class, and so are
    those of an image without a label file; of outlines that overlap the smaller one is on top.

    Args:
        train, val, test: folders of images, or text files with the path of an image in each line, below the root. Of
            paths of another machine the longest end is taken that is there.
        names: the class of the card that each number in the labels means; several may mean one, and ``""`` is not
            drawn. Empty: the card's classes but the first, in their order.
        boxes: whether to ``refuse``, ``skip`` or ``fill`` boxes of detection, ``class x y width height``.
    """

    train: str | list[str] = "images/train"
    val: str | list[str] = "images/val"
    test: str | list[str] = "images/test"
    names: list[str] = field(default_factory=list)
    boxes: str = "refuse"

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.card.class_names
        for name in self.names:
            if name and name not in known:
                raise UserError(
                    f"layout.names: '{name}' is no class of the card.{nearest(name, known)} Known: {', '.join(known)}."
                )
        if self.boxes not in _BOXES:
            raise UserError(
                f"layout.boxes: '{self.boxes}' is not known.{nearest(self.boxes, _BOXES)} Known: {', '.join(_BOXES)}."
            )
        names = self.names or known[1:]
        self._ids = [raw_id(self.card, known.index(name)) if name else None for name in names]

    @property
    def places_splits(self) -> bool:
        return True

    def place(self, split: str) -> Path:
        sources = self._sources(split) or [self.root / split]
        return next((source for source in sources if source.exists()), sources[0])

    def is_placed(self, split: str) -> bool:
        return any(source.exists() for source in self._sources(split))

    def splits(self) -> list[str]:
        """A test split without a label is left out: there is nothing to check it against or score it by."""
        return [split for split in super().splits() if split != "test" or self._has_labelled_test()]

    def _has_labelled_test(self) -> bool:
        try:
            images = self.find_images("test").values()
        except UserError:  # whoever asks for the split is told
            return False
        return any(label_path(Path(image)).is_file() for image in images)

    def _sources(self, split: str) -> list[Path]:
        """Folders and lists of a split's images, whether they are there or not."""
        given = {"train": self.train, "val": self.val, "test": self.test}.get(split, [])
        return [find_below(self.root, text) for text in ([given] if isinstance(given, str) else given) if text]

    def _missing(self, split: str) -> str:
        if split not in SPLITS:
            return f"expected {', '.join(SPLITS[:-1])} or {SPLITS[-1]}"
        where = f"{self.place(split)} is not there" if self._sources(split) else f"{self.card.path} does not say where"
        draw = "" if split == "train" else f', or draw it by --data.layout "{{{split}_fraction: 0.2}}"'
        return f"{where}. Correct '{split}:' in {self.card.path}{draw}"

    def _unplace(self, split: str) -> str:
        return f"set layout.{split} to ''"

    def find_images(self, split: str) -> dict[str, str]:
        self._require(split)
        sources = self._sources(self.source_of(split))
        paths = [path for source in sources for path in self._images_of(source)]
        if not paths:
            raise UserError(
                f"{' or '.join(map(str, sources))}: holds no image. Expected the images of '{split}' there, such as "
                f"NAME.jpg."
            )
        base = str(sources[0]) if len(sources) == 1 and sources[0].is_dir() else self._base(paths)
        images: dict[str, str] = {}
        for path in paths:
            name = Path(os.path.relpath(path, base)).with_suffix("").as_posix()
            if images.setdefault(name, path) != path:
                raise UserError(f"{images[name]} and {path}: two images of one name, '{name}'. Rename one of them.")
        return dict(sorted(images.items()))

    def _base(self, paths: list[str]) -> str:
        """The folder below which images are called by their paths: the root, unless some lie elsewhere."""
        folders = {os.path.abspath(os.path.dirname(path)) for path in paths}
        root = str(self.root.absolute())
        return root if all(Path(folder).is_relative_to(root) for folder in folders) else os.path.commonpath(folders)

    def _images_of(self, source: Path) -> Iterator[str]:
        """Paths of the images in a folder or a list."""
        if source.is_dir():
            names = (name for name in scan(str(source), None) if name.lower().endswith(self.image_types))
            yield from (str(source / name) for name in names)
        elif source.is_file():
            for _, line in read_lines(source, "the path of an image a line"):
                beside = source.parent / line
                yield str(beside if line.startswith("./") and beside.exists() else find_below(self.root, line))
        else:
            raise UserError(f"{source}: no such folder or list of images. Correct it in {self.card.path}.")

    def list_samples(self, split: str) -> Listing:
        images = self.find_images(split)
        names, problems = self.select(split, images)
        listing = Listing([], problems)
        for name in names:
            image = Path(images[name])
            if image.is_file():
                label = label_path(image)
                listing.samples.append(Sample(name, image, label if label.is_file() else None))
            else:
                listing.problems.append(f"{image}: no such image, but a list names it. Add it, or remove its line.")
        self._tell_of_labels(listing, split)
        orphans = self._orphans(split, images)
        listing.warnings += [f"{label}: a label without an image. Add the image, or remove it." for label in orphans]
        listing.num_unpaired = len(orphans)
        return listing

    def _tell_of_labels(self, listing: Listing, split: str) -> None:
        """Say how many images have no label file, and whether what is outlined is what is not."""
        empty = [label_path(sample.image) for sample in listing.samples if sample.mask is None]
        count, first = counted(len(listing.samples), "image"), self.card.class_names[0]
        if empty and len(empty) == len(listing.samples):
            listing.problems.append(
                f"split '{split}': none of {count} has a label file, expected {empty[0]} and so on. Put them there."
            )
        elif empty:
            listing.warnings.append(
                f"split '{split}': {len(empty)} of {count} without a label file, {empty[0]} first: all {first}."
            )
        if split == "train" and first in self.names and first.casefold() != "background":
            listing.warnings.append(
                f"layout.names: '{first}' is the card's first class, which pixels in no outline are, too. Add a class "
                f"for these before it."
            )

    def _orphans(self, split: str, images: dict[str, str]) -> list[Path]:
        """Label files of a split's folders that no image has; those of lists may be another split's."""
        wanted = {label_path(Path(image)) for image in images.values()}
        sources = (source for source in self._sources(self.source_of(split)) if source.is_dir())
        folders = {label_path(source / "any").parent for source in sources}
        files = (folder / inside for folder in sorted(folders) if folder.is_dir() for inside in scan(str(folder), None))
        texts = (file for file in files if file.suffix.lower() == ".txt" and file.name not in _NO_LABELS)
        return sorted(file for file in texts if file not in wanted)

    def read_mask(self, sample: Sample) -> np.ndarray:
        size = self.size(sample)
        mask = np.full(size, raw_id(self.card, 0), np.uint16)
        if sample.mask is None:
            return mask
        outlines = [
            self._parse(line, f"{sample.mask}: line {number}") for number, line in read_lines(sample.mask, _LINE)
        ]
        paint_largest_first(
            mask,
            ((value, fill_polygon(points * size[::-1], size)) for value, points in outlines if value is not None),
        )
        return mask

    def _parse(self, line: str, where: str) -> tuple[int | None, np.ndarray]:
        """The raw id that an outline is drawn with, None for none, and its points ``(N, 2)``, shares of the picture.

        Raises:
            UserError: if the line is no outline of a known class.
        """
        try:
            numbers = np.array(line.split(), dtype=np.float64)
        except ValueError as error:
            raise UserError(f"{where}: '{line[:40]}' is no list of numbers. Expected {_LINE}.") from error
        index, points = numbers[0], numbers[1:]
        if not (index.is_integer() and 0 <= index < len(self._ids)):
            raise UserError(
                f"{where}: the class {line.split()[0]} has no name. Expected 0 to {len(self._ids) - 1}; add it to "
                f"names, or correct the line."
            )
        value = self._ids[int(index)]
        if not np.isfinite(points).all():
            raise UserError(f"{where}: holds a value that is no number. Correct the line, or remove it.")
        if len(points) == 4:
            if self.boxes == "refuse":
                raise UserError(
                    f"{where}: is a box, as for detection, expected an outline of 3 points or more. Outline the "
                    f"object, or set layout.boxes to skip, or to fill."
                )
            points = (points[:2] + _CORNERS * points[2:]).ravel()
            value = None if self.boxes == "skip" else value
        elif len(points) < 6 or len(points) % 2:
            raise UserError(
                f"{where}: has {len(points)} numbers after the class, expected x and y of 3 points or more. Correct "
                f"the line, or remove it."
            )
        if points.min() < -_BEYOND or points.max() > 1 + _BEYOND:
            raise UserError(
                f"{where}: has points of {points.min():g} to {points.max():g}, expected 0 to 1, as shares of width and "
                f"height. Divide them by the picture's sides if they are in pixels."
            )
        return value, points.clip(0, 1).reshape(-1, 2)


def label_path(image: Path) -> Path:
    """Where an image's label lies: its last folder called ``images`` is called ``labels``."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")
