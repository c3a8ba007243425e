"""Regions of a card: unions of classes that are scored besides the classes, such as a tumour of several tissues."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segnext_pafpn.errors import UserError, nearest


def parse_regions(value: Any, classes: Sequence[str], multi_label: bool, path: Path) -> dict[str, tuple[str, ...]]:
    """Names of the classes of each region, by its name, from a card's ``regions``; empty without such.

    Raises:
        UserError: naming the card, the region, what was found and what was expected.
    """
    if value is None:
        return {}
    if not isinstance(value, dict) or not value:
        raise UserError(f"{path}: regions: expected {{NAME: [class, class]}}, found {value!r:.60}.")
    if multi_label:
        raise UserError(
            f"{path}: regions: multi_label: true lets classes overlap, so that each is scored whole already. Make the "
            f"region a class with mask files of its own, or remove it."
        )
    for name, parts in value.items():
        where = f"{path}: regions: '{name}'"
        if name in classes:
            raise UserError(f"{where} is also the name of a class, and each row of a table needs its own. Rename one.")
        if not isinstance(parts, list) or not parts:
            raise UserError(f"{where}: expected a list of names of classes, found {parts!r:.60}.")
        for part in parts:
            if part not in classes:
                raise UserError(f"{where}: {part!r} is no class.{nearest(str(part), classes)}")
            if parts.count(part) > 1:
                raise UserError(f"{where}: class '{part}' stands there twice. Name it once.")
    return {str(name): tuple(parts) for name, parts in value.items()}
