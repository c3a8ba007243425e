"""The rows of a card: what a class is called, how it is shown, and what stands for it in mask files.

Everything here raises :class:`UserError`, naming the card, the row's key, what was found and what was expected.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.ids import MAX_ID, is_whole

_ROW_KEYS = ("name", "color", "ids", "mask_colors", "category")
_TAKEN_FOLDERS = ("color", "overlay", "probabilities")  # which predictions have besides


@dataclass(frozen=True)
class ClassRow:
    """One class: its name, its colour in pictures (RGB), and the ids that stand for it in the mask files.

    ``mask_colors`` are the colours that stand for it in mask files of colours; its own if none are given. ``category``
    is what its owners count it to, for scores of categories; empty if nothing.
    """

    name: str
    color: tuple[int, int, int]
    ids: tuple[int, ...]
    mask_colors: tuple[tuple[int, int, int], ...] = ()
    category: str = ""


def parse_row(row: Any, index: int, path: Path, multi_label: bool) -> ClassRow:
    """Row ``index`` of the card at ``path``; a colour and an id that it does not give follow from its place."""
    where = f"{path}: classes[{index}]"
    if not isinstance(row, dict) or "name" not in row:
        raise UserError(f"{where}: expected {{name: ..., color: [r, g, b], ids: [...]}}, found {brief(row)}.")
    for key in row:
        if key not in _ROW_KEYS:
            raise UserError(f"{where}: unknown key '{key}'.{nearest(str(key), _ROW_KEYS)}")
    default = _default_color(index + multi_label)  # black is for no class, where that may be
    (color,) = parse_colors([row.get("color", default)], f"{where}: color")
    ids = parse_ids(row.get("ids", [index]), f"classes[{index}].ids", path)
    mask_colors = parse_colors(row.get("mask_colors", [color]), f"{where}: mask_colors")
    category = str(row.get("category", ""))
    return ClassRow(name=str(row["name"]), color=color, ids=tuple(ids), mask_colors=mask_colors, category=category)


def parse_colors(colors: Any, where: str) -> tuple[tuple[int, int, int], ...]:
    """A list of RGB triples."""
    if not isinstance(colors, list):
        raise UserError(f"{where}: expected a list of [r, g, b], found {brief(colors)}.")
    for color in colors:
        if not isinstance(color, list | tuple) or len(color) != 3 or not all(is_whole(c, 255) for c in color):
            raise UserError(f"{where}: expected three integers of 0 to 255, found {brief(color)}.")
    return tuple(tuple(color) for color in colors)


def parse_ids(ids: Any, where: str, path: Path) -> list[int]:
    """A list of ids, or one id alone."""
    ids = [ids] if isinstance(ids, int) else ids
    if not isinstance(ids, list) or not all(is_whole(i, MAX_ID) for i in ids):
        raise UserError(f"{path}: {where}: expected a list of integers of 0 to 65535, found {brief(ids)}.")
    return ids


def class_folders(class_names: Sequence[str]) -> list[str]:
    """The folder of each class's masks, where each has masks of its own: letters, digits, ``-`` and ``_`` of its name.

    Two classes that would share a folder, and names that predictions need, have their number before them.
    """
    names = [re.sub(r"[^\w-]+", "_", name) for name in class_names]
    numbered = [f"{i}_{name}" for i, name in enumerate(names)]
    taken = {*_TAKEN_FOLDERS, *numbered}
    return [
        number if names.count(name) > 1 or name in taken else name for name, number in zip(names, numbered, strict=True)
    ]


def _default_color(index: int) -> tuple[int, int, int]:
    """A distinct colour per class by the bit-reversal rule of Pascal VOC's palette."""
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return tuple(color)


def brief(value: Any) -> str:
    """A value as it stands in a message, 60 characters at most."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
