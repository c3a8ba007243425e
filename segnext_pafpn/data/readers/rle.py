"""Run lengths in a CSV file, the form in which Kaggle gives masks out."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.masks import raw_id
from segnext_pafpn.data.readers.pattern_images import PatternImages
from segnext_pafpn.errors import UserError
from segnext_pafpn.ids import MAX_ID

_ORDERS = ("column", "row")


@dataclass(frozen=True)
class Run:
    """One line of the file: the pixels of one class in one image, as ``start length start length ...``."""

    line: int
    class_id: int
    text: str


@dataclass(kw_only=True)
class RleReader(PatternImages):
    """Images in a folder; a CSV with a row for each image and class.

    Pixels in no run are the card's first class. An image without a row has no other class; rows with an empty run
    say the same. Where runs overlap, the later row of the file wins.

    Args:
        annotations: the CSV below the root; ``{split}`` in it stands for the split.
        image_column: its column of image names, with or without the suffix.
        class_column: its column of classes, their ids or names in the card; empty if all rows are the second class.
        rle_column: its column of runs.
        order: whether pixels are counted down the columns (``column``, as Kaggle does) or along the rows (``row``).
        first_pixel: the number of the first pixel, 1 or 0.
    """

    annotations: str = "train.csv"
    image_column: str = "ImageId"
    class_column: str = ""
    rle_column: str = "EncodedPixels"
    order: str = "column"
    first_pixel: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in _ORDERS:
            raise UserError(f"layout.order: expected column or row, found '{self.order}'.")
        if self.first_pixel not in (0, 1):
            raise UserError(f"layout.first_pixel: expected 0 or 1, found {self.first_pixel}.")
        self._read: dict[Path, dict[str, list[Run]]] = {}

    def list_samples(self, split: str) -> Listing:
        images = self.find_images(split)
        names, problems = self.select(split, images)
        path = self.root / self.annotations.replace("{split}", self._source(split))
        runs = self._runs(path)
        keys = {name: self._key(Path(images[name]), runs) for name in images}
        strangers = sorted(set(runs) - set(keys.values()))
        if len(strangers) == len(runs):
            raise UserError(
                f"{path}: none of its {len(runs)} images is in {self.image_pattern.folder(self.root)}; the first is "
                f"'{strangers[0]}'. Is layout.image_column '{self.image_column}' right?"
            )
        if "{split}" not in self.annotations:  # one file for all splits
            strangers = sorted(set(strangers) - self._keys_of_other_splits(split, runs))
        problems += [f"{path}: line {runs[key][0].line}: there is no image '{key}'." for key in strangers]
        empty = sum(keys[name] not in runs for name in names)
        warnings = [f"{path}: {empty} of {len(names)} images of '{split}' have no line: all background."]
        samples = [Sample(name, Path(images[name]), path) for name in names]
        return Listing(samples, problems, warnings if empty else [], len(strangers))

    def read_mask(self, sample: Sample) -> np.ndarray:
        runs = self._runs(sample.mask)
        height, width = self.size(sample)
        flat = np.full(height * width, raw_id(self.card, 0), dtype=np.uint16)
        for run in runs.get(self._key(sample.image, runs), []):
            where = f"{sample.mask}: line {run.line}, {sample.image.name}"
            for start, end in decode_runs(run.text, (height, width), self.first_pixel, where):
                flat[start:end] = run.class_id
        return flat.reshape(width, height).T.copy() if self.order == "column" else flat.reshape(height, width)

    def _keys_of_other_splits(self, split: str, runs: dict[str, list[Run]]) -> set[str]:
        others = [self.find_images(other) for other in self.splits() if other != split]
        return {self._key(Path(image), runs) for images in others for image in images.values()}

    @staticmethod
    def _key(image: Path, runs: dict[str, list[Run]]) -> str:
        return image.stem if image.stem in runs else image.name

    def _runs(self, path: Path) -> dict[str, list[Run]]:
        """The file's rows by image; read once."""
        if path not in self._read:
            self._read[path] = self._load(path)
        return self._read[path]

    def _load(self, path: Path) -> dict[str, list[Run]]:
        if not path.is_file():
            raise UserError(f"{path}: no such file. Expected the run lengths there; see the card's layout.annotations.")
        runs = defaultdict(list)
        csv.field_size_limit(2**31 - 1)  # the run lengths of one large mask pass the 128 KiB that csv allows
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                table = csv.DictReader(file)
                for option in ("image_column", "class_column", "rle_column"):
                    column = getattr(self, option)
                    if column and column not in (table.fieldnames or ()):
                        found = ", ".join(table.fieldnames or ()) or "none"
                        raise UserError(f"{path}: has no column '{column}' (layout.{option}). Found: {found}.")
                for row in table:
                    if row[self.image_column] is None:
                        raise UserError(f"{path}: line {table.line_num}: is cut short, expected {table.fieldnames}.")
                    class_id = self._class_id(row.get(self.class_column), f"{path}: line {table.line_num}")
                    runs[row[self.image_column]].append(Run(table.line_num, class_id, row[self.rle_column] or ""))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: is not a readable CSV file ({error}).") from error
        if not runs:
            raise UserError(f"{path}: holds no rows. Expected one for each image and class.")
        return dict(runs)

    def _class_id(self, text: str | None, where: str) -> int:
        if not self.class_column:
            return int(raw_id(self.card, 1))
        names = self.card.class_names
        if text in names:
            return int(raw_id(self.card, names.index(text)))
        if text and text.strip().isdigit() and int(text) <= MAX_ID:
            return int(text)
        raise UserError(f"{where}: class '{text}' is neither an id nor a class of the card ({', '.join(names)}).")


def decode_runs(text: str, size: tuple[int, int], first_pixel: int, where: str) -> list[tuple[int, int]]:
    """``start length start length ...`` to half-open ranges of pixel numbers from 0.

    Args:
        size: height and width of the picture.
        first_pixel: what the text calls the first pixel.
        where: how a message calls the place.

    Raises:
        UserError: if it is no list of pairs, or a run leaves the picture.
    """
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{where}: '{text[:30]}' is no list of run lengths. Expected 'start length ...'.") from error
    if len(numbers) % 2:
        raise UserError(f"{where}: {len(numbers)} numbers, expected pairs of start and length. Is the line cut short?")
    starts, lengths = numbers[::2] - first_pixel, numbers[1::2]
    ends = starts + lengths
    height, width = size
    wrong = np.flatnonzero((starts < 0) | (lengths < 0) | (ends > height * width))
    if len(wrong):
        start, length = int(numbers[2 * wrong[0]]), int(lengths[wrong[0]])
        raise UserError(
            f"{where}: the run of {length} pixels from {start} leaves the picture of {width}x{height} pixels. "
            f"Were the runs made at another size?"
        )
    return list(zip(starts.tolist(), ends.tolist(), strict=True))
