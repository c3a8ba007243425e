"""Objects outlined in a JSON file as COCO's are, and drawn into one mask an image."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.masks import raw_id
from segnext_pafpn.data.readers.outlines import Pixels, paint_largest_first
from segnext_pafpn.data.readers.pattern_images import PatternImages
from segnext_pafpn.data.readers.patterns import scan
from segnext_pafpn.data.readers.refusals import MissingPackageError
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.ids import IGNORED_ID

_EXPECTED = "Expected a COCO file with 'images', 'annotations' and 'categories'."


@dataclass(kw_only=True)
class CocoReader(PatternImages):
    """Polygons and run lengths (both of COCO's kinds) of a JSON file; needs the extra ``coco`` (pycocotools).

    A category is the class of the card with its name. Pixels in no object are the card's first class, crowd regions
    are ignored, and of objects that overlap the smaller one is on top.

    Args:
        annotations: the JSON below the root; ``{split}`` in it stands for the split.
        images: folder of images below the root, to which the ``file_name`` of the JSON is relative.
        categories: category to class, for names that differ, as in ``{car: vehicle, truck: vehicle}``.
        skip: categories that are not drawn.
    """

    images: str = "images"
    annotations: str = "annotations/{split}.json"
    categories: dict[str, str] = field(default_factory=dict)
    skip: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _mask_api()
        if "{name}" in self.images or self.recursive or self.image_prefix or self.image_suffix:
            raise UserError("layout.images: expected a folder; the names of the images are in the JSON file.")
        super().__post_init__()
        for category, name in self.categories.items():
            if name not in self.card.class_names:
                raise UserError(
                    f"layout.categories: '{name}' (for '{category}') is no class of the card."
                    f"{nearest(name, self.card.class_names)} Known: {', '.join(self.card.class_names)}."
                )
        self._read: dict[Path, _Outlines] = {}

    @property
    def places_splits(self) -> bool:
        return "{split}" in self.annotations

    def place(self, split: str) -> Path:
        return self.root / self.annotations.replace("{split}", self._folder_name(split))

    def is_placed(self, split: str) -> bool:
        return self.place(split).is_file()

    def find_images(self, split: str) -> dict[str, str]:
        self._require(split)
        folder = self.root / self.images.replace("{split}", self._source(split))
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder. Expected the images of '{split}' there; see the card's layout.")
        path = self.place(self.source_of(split))
        return {name: str(folder / file_name) for name, file_name in sorted(self._outlines(path).by_name.items())}

    def list_samples(self, split: str) -> Listing:
        images = self.find_images(split)
        names, problems = self.select(split, images)
        folder = self.root / self.images.replace("{split}", self._source(split))
        path = self.place(self.source_of(split))
        outlines = self._outlines(path)
        there = {str(folder / relative) for relative in scan(str(folder), None)}
        problems += [
            f"{images[name]}: no such image, but {path} names it. Add the image, or remove its entry."
            for name in names
            if images[name] not in there
        ]
        chosen = {Path(images[name]) for name in names}
        problems += [line for file_name, line in outlines.problems if folder / file_name in chosen]
        samples = [Sample(name, Path(images[name]), path) for name in names if images[name] in there]
        return Listing(samples, problems, num_unpaired=len(names) - len(samples))

    def read_mask(self, sample: Sample) -> np.ndarray:
        outlines = self._outlines(sample.mask)
        file_name = outlines.by_name[sample.name]
        height, width = self.size(sample)
        if outlines.sizes[file_name] != (height, width):
            h, w = outlines.sizes[file_name]
            raise UserError(
                f"{sample.image}: is {width}x{height}, but {sample.mask} outlines it at {w}x{h} (width x height). "
                f"They must agree; export one of them again."
            )
        mask = np.full((height, width), raw_id(self.card, 0), dtype=np.int32)
        paint_largest_first(
            mask,
            (
                (
                    IGNORED_ID if item.get("iscrowd") else item["class_id"],
                    Pixels.of(self._draw(item, (height, width), sample)),
                )
                for item in outlines.objects[file_name]
            ),
        )
        return mask

    def _draw(self, item: dict, size: tuple[int, int], sample: Sample) -> np.ndarray:
        """One object, ``(H, W)`` bool."""
        api, shape = _mask_api(), item["segmentation"]
        try:
            if isinstance(shape, dict):
                _check_runs(shape, size)
            encoded = isinstance(shape, dict) and isinstance(shape["counts"], str)
            runs = shape if encoded else api.frPyObjects(shape, *size)
            return api.decode(api.merge(runs) if isinstance(runs, list) else runs).astype(bool)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise UserError(
                f"{sample.mask}: annotation {item.get('id')} of {sample.image.name} cannot be drawn in "
                f"{size[1]}x{size[0]} pixels ({error})."
            ) from error

    def _outlines(self, path: Path) -> "_Outlines":
        if path not in self._read:
            self._read[path] = self._load(path)
        return self._read[path]

    def _load(self, path: Path) -> "_Outlines":
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file. {_EXPECTED}") from error
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError(f"{path}: is not a readable JSON file ({error}). {_EXPECTED}") from error
        if not isinstance(content, dict) or not all(content.get(k) for k in ("images", "annotations", "categories")):
            raise UserError(f"{path}: has no images, annotations or categories. {_EXPECTED}")
        try:
            return self._parse(content, path)
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}: an entry lacks {error}. {_EXPECTED}") from error

    def _parse(self, content: dict[str, Any], path: Path) -> "_Outlines":
        ids = self._class_ids(content["categories"], path)
        file_names = {image["id"]: _plain(image["file_name"]) for image in content["images"]}
        sizes = {_plain(image["file_name"]): (image["height"], image["width"]) for image in content["images"]}
        outlines = _Outlines(sizes, _by_name(sizes, path))
        for item in content["annotations"]:
            where = f"{path}: annotation {item.get('id')}"
            if item["image_id"] not in file_names:
                raise UserError(f"{where}: its image {item['image_id']} is not among the images. {_EXPECTED}")
            if item["category_id"] not in ids:
                raise UserError(f"{where}: its category {item['category_id']} is not among the categories. {_EXPECTED}")
            if ids[item["category_id"]] is None:
                continue
            file_name = file_names[item["image_id"]]
            if wrong := _wrong_shape(item.get("segmentation")):
                outlines.problems.append((file_name, f"{where} of {file_name}: {wrong}"))
            else:
                outlines.objects[file_name].append({**item, "class_id": ids[item["category_id"]]})
        return outlines

    def _class_ids(self, categories: list[dict], path: Path) -> dict[int, int | None]:
        """The raw id that each category becomes; None for those that are not drawn."""
        names = self.card.class_names
        ids: dict[int, int | None] = {}
        for category in categories:
            name = self.categories.get(category["name"], category["name"])
            if category["name"] in self.skip:
                ids[category["id"]] = None
            elif name in names:
                ids[category["id"]] = int(raw_id(self.card, names.index(name)))
            else:
                raise UserError(
                    f"{path}: category '{name}' is no class of the card.{nearest(name, names)} Add a class of this "
                    f"name, or name it in layout.categories or layout.skip."
                )
        return ids


@dataclass
class _Outlines:
    """A COCO file: sizes (height, width), objects and problems by file name, and file names by picture's name."""

    sizes: dict[str, tuple[int, int]]
    by_name: dict[str, str]
    objects: dict[str, list[dict]] = field(default_factory=lambda: defaultdict(list))
    problems: list[tuple[str, str]] = field(default_factory=list)


def _plain(file_name: str) -> str:
    """A JSON's path as the folder's listing writes it: ``./a\\b.png`` is ``a/b.png``."""
    return PurePosixPath(file_name.replace("\\", "/")).as_posix()


def _by_name(file_names: Iterable[str], path: Path) -> dict[str, str]:
    """File names by what they are without their suffix."""
    names: dict[str, str] = {}
    for file_name in file_names:
        first = names.setdefault(file_name.rsplit(".", 1)[0], file_name)
        if first != file_name:
            raise UserError(f"{path}: the images {Path(first).name} and {file_name} have one name. Rename one.")
    return names


def _wrong_shape(shape: Any) -> str | None:
    """What is wrong with an annotation's ``segmentation``."""
    if isinstance(shape, dict) and "size" in shape and isinstance(shape.get("counts"), list | str):
        return None
    if not isinstance(shape, list) or not shape:
        return "its list of polygons is empty. Outline the object, or remove the annotation."
    for polygon in shape:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            found = len(polygon) if isinstance(polygon, list) else type(polygon).__name__
            return f"a polygon has {found} numbers, expected x and y of 3 points or more."
    return None


def _check_runs(shape: dict, size: tuple[int, int]) -> None:
    """Raise ValueError if run lengths are of another picture: pycocotools would read past its end."""
    if tuple(shape["size"]) != size:
        raise ValueError(f"run lengths of {shape['size'][1]}x{shape['size'][0]} pixels")
    counts = shape["counts"] if isinstance(shape["counts"], list) else _unpacked(shape["counts"])
    if sum(counts) != size[0] * size[1] or min(counts) < 0:
        raise ValueError(f"run lengths of {sum(counts)} pixels, expected {size[0] * size[1]}")


def _unpacked(text: str) -> list[int]:
    """COCO's packed run lengths.

    A number is written as characters of five bits each, the lowest first, on top of the character ``0``: bit 32 says
    that another one follows, bit 16 of the last is the sign. From the fourth on, a number is the difference from the
    one two before.

    Raises:
        ValueError: if the text ends inside a number.
    """
    codes = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - ord("0")
    ends = np.flatnonzero(codes & 32 == 0)
    if not ends.size or ends[-1] + 1 != len(codes):
        raise ValueError("run lengths that are cut short")
    starts = np.append(0, ends[:-1] + 1)
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    numbers = np.add.reduceat((codes & 31) << shifts, starts)
    numbers -= np.where(codes[ends] & 16, np.int64(1) << (shifts[ends] + 5), 0)
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers.tolist()


def _mask_api() -> Any:
    """pycocotools' drawing.

    Raises:
        MissingPackageError: if it is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingPackageError("layout.reader: coco", "pycocotools", "coco") from error
    return mask
