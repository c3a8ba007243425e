"""Ultralytics' ``data.yaml`` as the content of a card, so that its data sets need no card of their own.

The format is that of docs.ultralytics.com/datasets/segment: ``path``, ``train``, ``val``, ``test`` and ``names``.
"""

from pathlib import Path
from typing import Any

from segnext_pafpn.data.class_rows import brief
from segnext_pafpn.errors import UserError

BACKGROUND = "background"
_SPLITS = ("train", "val", "test")


def is_data_yaml(content: Any) -> bool:
    """Whether it is one, rather than a card."""
    return isinstance(content, dict) and "names" in content and not {"classes", "layout"} & content.keys()


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
    names = _names(content["names"], path)
    if content.get("nc", len(names)) != len(names):
        raise UserError(f"{path}: nc is {content['nc']}, but names has {len(names)}. Correct one of them.")
    layout: dict[str, Any] = {"reader": "yolo", "names": names}
    for split in _SPLITS:
        places = content.get(split) or []
        places = [places] if isinstance(places, str) else places
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise UserError(f"{path}: {split}: expected a folder, a list file, or several, found {brief(places)}.")
        layout[split] = places
    if not layout["train"]:
        raise UserError(f"{path}: train: is missing, expected a folder of images such as images/train. Add it.")
    return {
        "name": path.parent.resolve().name if path.stem in ("data", "dataset") else path.stem,
        "classes": [{"name": name} for name in dict.fromkeys([BACKGROUND, *names])],
        "root": _root(content.get("path") or ".", layout["train"][0], path),
        "layout": layout,
    }


def _root(root: Any, first: str, path: Path) -> str:
    """The data set's folder, relative to the file; or the file's own, where ``path`` is meant from another folder."""
    if not isinstance(root, str):
        raise UserError(f"{path}: path: expected a folder, found {brief(root)}. Put its name in quotes.")
    return "." if not (path.parent / root).is_dir() and (path.parent / first).exists() else root


def _names(names: Any, path: Path) -> list[str]:
    """The names by number, of a list or a mapping."""
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise UserError(f"{path}: names: expected the numbers from 0 to {len(names) - 1}, found {list(names)}.")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f"{path}: names: expected a name for each class, found {brief(names)}.")
    return [str(name) for name in names]
