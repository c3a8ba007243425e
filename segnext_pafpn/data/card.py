"""Data set cards: one YAML that says what the classes are and how the files lie.

::

    name: my-data
    classes:                                   # one row per class; its place in the list is its training id
      - {name: background, color: [0, 0, 0], ids: [0]}
      - {name: vessel, color: [220, 50, 47], ids: [1, 255]}
    ignore: [2]                                # raw ids that are neither learnt nor scored
    root: my-data                              # relative to this file
    layout: {reader: folder, images: "images/{split}", masks: "masks/{split}"}

Where masks hold colours (``mask_format: rgb`` in the layout), a row's ``mask_colors`` are those that mean the class,
and ``ignore_colors`` stands beside ``ignore``. Images that are not 8-bit RGB have an ``image`` key
(:mod:`~segnext_pafpn.data.image_format`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from segnext_pafpn.data import data_yaml
from segnext_pafpn.data.class_rows import ClassRow, brief, parse_colors, parse_ids, parse_row
from segnext_pafpn.data.dataset_json import FILE, card_content
from segnext_pafpn.data.image_format import ImageFormat, parse_image_format
from segnext_pafpn.data.regions import parse_regions
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.files import expand_home, shipped_folder
from segnext_pafpn.ids import MAX_CLASSES


@dataclass(frozen=True)
class Card:
    """A data set: see the module's example. ``layout`` holds the reader's name and its options.

    ``boundary`` are the names of the classes that divide cells, for scores of cells. ``regions`` are unions of classes
    that are scored besides them: the classes' names by the region's. With ``multi_label`` a pixel may be of several
    classes or none, and each class has mask files of its own.
    """

    name: str
    classes: tuple[ClassRow, ...]
    layout: dict[str, Any]
    ignore: tuple[int, ...] = ()
    ignore_colors: tuple[tuple[int, int, int], ...] = ()
    boundary: tuple[str, ...] = ()
    regions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    multi_label: bool = False
    root: Path | None = None
    title: str = ""
    source: str = ""
    terms: str = ""
    image: ImageFormat = field(default_factory=ImageFormat)
    path: Path | None = field(default=None, compare=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the training ids."""
        return tuple(row.name for row in self.classes)

    @property
    def region_ids(self) -> dict[str, tuple[int, ...]]:
        """Training ids of the classes of each region, by its name."""
        return {name: tuple(map(self.class_names.index, parts)) for name, parts in self.regions.items()}

    @property
    def class_colors(self) -> tuple[tuple[int, int, int], ...]:
        """K RGB triples, in the order of the training ids."""
        return tuple(row.color for row in self.classes)

    @property
    def class_ids(self) -> tuple[int, ...] | None:
        """K ids of the mask files, the first of each class; None where a class has none, as with ``multi_label``."""
        if self.multi_label or not all(row.ids for row in self.classes):
            return None
        return tuple(row.ids[0] for row in self.classes)


def shipped_cards() -> list[str]:
    """Names of the cards that come with the package."""
    return sorted(path.stem for path in shipped_folder("datasets").glob("*.yaml"))


def load_card(name_or_path: str) -> Card:
    """Read a card by the name of a shipped one or the path of a YAML file; or what stands in its place.

    These are the folder of a data set of nnU-Net, and a ``data.yaml`` of Ultralytics or its folder.

    Raises:
        UserError: naming the file, the key and what is wrong with it.
    """
    path = _find_card(name_or_path)
    if path.name == FILE:
        return _parse_card({**card_content(path.parent), "root": "."}, path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
    if data_yaml.is_data_yaml(content):
        return _parse_card(data_yaml.card_content(content, path), path)
    return _parse_card(_with_dataset_json(content, path), path)


def shipped_card(name: str) -> Path | None:
    """The file of the card that comes with the package under this name; None where there is none."""
    path = shipped_folder("datasets") / f"{name}.yaml"
    return path if not is_yaml(name) and path.is_file() else None


def is_yaml(path: str | Path) -> bool:
    """Whether it is called as a YAML file is."""
    return Path(path).suffix in (".yaml", ".yml")


def _find_card(name_or_path: str) -> Path:
    """The file that a card's name or path means: a YAML file, or nnU-Net's ``dataset.json``."""
    path = Path(name_or_path)
    inside = [path / FILE, path / data_yaml.FILE]
    candidates = [path] if is_yaml(path) else [shipped_card(name_or_path), *inside]
    found = next((file for file in candidates if file is not None and file.is_file()), None)
    if found is not None:
        return found
    if is_yaml(path):
        raise UserError(
            f"data.card: {path}: no such card, looked for from {Path.cwd()}. Give its path with --data.card, or a "
            f"shipped one's name: {', '.join(shipped_cards())}."
        )
    if path.is_dir():
        cards = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        hint = f"Did you mean {cards[0]}?" if cards else ""
        raise UserError(
            f"data.card: {path} is a folder, expected a card: a shipped one's name or the path of a .yaml file; or a "
            f"folder with nnU-Net's {FILE} or Ultralytics' {data_yaml.FILE}, which are not in it. "
            f"{hint or 'Give the folder with --data.root, or write a card for it (docs/your-data.md).'}"
        )
    raise UserError(
        f"data.card: no card is called '{name_or_path}'.{nearest(name_or_path, shipped_cards())} "
        f"Shipped: {', '.join(shipped_cards())}; for your own give the path of a .yaml file, or of a data.yaml of "
        f"Ultralytics, or the folder of a data set of nnU-Net."
    )


def _with_dataset_json(content: Any, path: Path) -> Any:
    """A card of nnU-Net's data without classes takes these, and all else that it leaves out, from dataset.json."""
    if not isinstance(content, dict) or content.get("classes") or not isinstance(content.get("root"), str):
        return content
    layout = content.get("layout")
    layout = {"reader": layout} if isinstance(layout, str) else layout
    if not isinstance(layout, dict) or layout.get("reader") != "nnunet":
        return content
    found = card_content(path.parent / expand_home(content["root"]))
    return {**found, **content, "classes": found["classes"], "layout": {**found["layout"], **layout}}


def _parse_card(content: Any, path: Path) -> Card:
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping with 'classes' and 'layout', found {type(content).__name__}.")
    known = ("name", "title", "source", "terms", "classes", "ignore", "ignore_colors")
    known += ("boundary", "regions", "multi_label", "root", "layout", "image")
    for key in content:
        if key not in known:
            raise UserError(f"{path}: unknown key '{key}'.{nearest(str(key), known)} Known: {', '.join(known)}.")
    root = content.get("root")
    if root is not None and not isinstance(root, str):
        raise UserError(f"{path}: root: expected a folder, found {brief(root)}. Put its name in quotes.")
    for key in ("classes", "layout"):
        if not content.get(key):
            raise UserError(f"{path}: the key '{key}' is missing. See datasets/README.md for an example.")
    rows, multi_label = content["classes"], content.get("multi_label", False)
    if not isinstance(multi_label, bool):
        raise UserError(f"{path}: multi_label: expected true or false, found {brief(multi_label)}.")
    least = 1 if multi_label else 2
    if not isinstance(rows, list) or not least <= len(rows) <= MAX_CLASSES:
        alone = isinstance(rows, list) and len(rows) == 1
        hint = " The background is a class, too, the first." if alone else ""
        raise UserError(
            f"{path}: classes: expected a list of {least} to {MAX_CLASSES} rows, found {brief(rows)}.{hint}"
        )
    classes = tuple(parse_row(row, index, path, multi_label) for index, row in enumerate(rows))
    if multi_label and (row := next((row for row in rows if "ids" in row), None)):
        raise UserError(
            f"{path}: class '{row['name']}' has ids, which mean nothing with multi_label: true, where each class has "
            f"mask files of its own. Remove them."
        )
    ignore = tuple(parse_ids(content.get("ignore", []), "ignore", path))
    _refuse_repeats([row.name for row in classes], "class name", path)
    _refuse_repeats([i for row in classes for i in row.ids] + list(ignore), "mask id", path)
    layout = content["layout"]
    if isinstance(layout, str):
        layout = {"reader": layout}
    if not isinstance(layout, dict) or not isinstance(layout.get("reader"), str):
        raise UserError(f"{path}: layout: expected a reader's name or a mapping with 'reader', found {brief(layout)}.")
    return Card(
        name=str(content.get("name", path.stem)),
        title=str(content.get("title", "")),
        source=str(content.get("source", "")),
        terms=str(content.get("terms", "")),
        classes=classes,
        ignore=ignore,
        ignore_colors=parse_colors(content.get("ignore_colors", []), f"{path}: ignore_colors"),
        boundary=_parse_boundary(content.get("boundary", []), [row.name for row in classes], path),
        regions=parse_regions(content.get("regions"), [row.name for row in classes], multi_label, path),
        multi_label=multi_label,
        layout=layout,
        image=parse_image_format(content.get("image"), f"{path}: image"),
        root=None if root is None else path.parent / expand_home(root),
        path=path,
    )


def _parse_boundary(names: Any, known: list[str], path: Path) -> tuple[str, ...]:
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list):
        raise UserError(f"{path}: boundary: expected a list of names of classes, found {brief(names)}.")
    for name in names:
        if name not in known:
            raise UserError(f"{path}: boundary: {brief(name)} is no class.{nearest(str(name), known)}")
    return tuple(names)


def _refuse_repeats(values: list, what: str, path: Path) -> None:
    for value in values:
        if values.count(value) > 1:
            raise UserError(f"{path}: {what} {value!r} stands in more than one row. Each may stand in one only.")
