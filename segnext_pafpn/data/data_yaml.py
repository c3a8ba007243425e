"""Ultralytics' ``data.yaml`` as the content of a card, so that its data sets need no card of their own.

The format is that of docs.ultralytics.com/datasets/segment: ``path``, ``train``, ``val``, ``test`` and ``names``.
"""

from pathlib import Path
from typing import Any

from segnext_pafpn.data.class_rows import brief
from segnext_pafpn.errors import UserError
from segnext_pafpn.files import expand_home

FILE = "data.yaml"
_BACKGROUND = "background"
_SPLITS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}


def is_data_yaml(content: Any) -> bool:
    """Whether it is one, rather than a card."""
    keys = content.keys() if isinstance(content, dict) else ()
    return ("names" in keys or {"train", "nc"} <= set(keys)) and not {"classes", "layout"} & set(keys)


def card_content(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """What a card for it would hold: ``name``, ``classes``, ``root`` and ``layout``.

    The first class is the background, which no outline covers; one of the names may call itself so.

    Args:
        content: of the file.
        path: of the file.

    Raises:
        UserError: naming the file, the key, what was found and what was expected.
    """
    if "kpt_shape" in content:
        raise UserError(f"{path}: kpt_shape: is of key points, expected outlines of objects. Give a data set of those.")
    names = _names(content.get("names"), path)
    if str(content.get("nc", len(names))) != str(len(names)):
        raise UserError(f"{path}: nc is {content['nc']}, but names has {len(names)}. Correct one of them.")
    layout: dict[str, Any] = {"reader": "yolo", "names": names}
    for split, keys in _SPLITS.items():
        places = next((content[key] for key in keys if content.get(key)), [])
        places = [places] if isinstance(places, str) else places
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise UserError(f"{path}: {split}: expected a folder, a list file, or several, found {brief(places)}.")
        layout[split] = places
    if not layout["train"]:
        raise UserError(f"{path}: train: is missing, expected a folder of images such as images/train. Add it.")
    root = content.get("path") or "."
    if not isinstance(root, str):
        raise UserError(f"{path}: path: expected a folder, found {brief(root)}. Put its name in quotes.")
    root = expand_home(root)
    background = next((name for name in names if name.casefold() == _BACKGROUND), _BACKGROUND)
    return {
        "name": path.parent.resolve().name if path.stem in ("data", "dataset") else path.stem,
        "classes": [{"name": name} for name in dict.fromkeys([background, *names])],
        # of another machine, or meant from another folder: the data lie beside the file then
        "root": root if (path.parent / root).is_dir() else ".",
        "layout": layout,
    }


def _names(names: Any, path: Path) -> list[str]:
    """The names by number, of a list or a mapping."""
    if isinstance(names, dict):
        by_number = {str(number): name for number, name in names.items()}
        numbers = [str(number) for number in range(len(names))]
        if by_number.keys() != set(numbers):
            raise UserError(f"{path}: names: expected the numbers from 0 to {len(names) - 1}, found {list(names)}.")
        names = [by_number[number] for number in numbers]
    if not isinstance(names, list) or not names:
        found = "is missing" if names is None else f"found {brief(names)}"
        raise UserError(f"{path}: names: {found}, expected a name for each class, as in names: [leaf, spot].")
    for number, name in enumerate(names):
        if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
            raise UserError(f"{path}: names: {number}: expected a name, found {brief(name)}. Put it in quotes.")
    if all(str(name).casefold() == _BACKGROUND for name in names):
        raise UserError(f"{path}: names: expected a class besides background, found {names}. Add it.")
    return [str(name) for name in names]
