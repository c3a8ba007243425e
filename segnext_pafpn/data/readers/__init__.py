"""Readers: one file a layout. A new layout is a new file and its row in :data:`READERS`."""

from dataclasses import fields
from pathlib import Path

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.readers.base import Listing, Reader, Sample
from segnext_pafpn.data.readers.folder import FolderReader
from segnext_pafpn.data.readers.synthetic import SyntheticReader
from segnext_pafpn.errors import UserError, nearest

READERS: dict[str, type[Reader]] = {
    "folder": FolderReader,
    "synthetic": SyntheticReader,
}

__all__ = ["READERS", "FolderReader", "Listing", "Reader", "Sample", "SyntheticReader", "build_reader"]


def build_reader(card: Card, root: str | None = None) -> Reader:
    """The reader that ``card.layout`` asks for.

    Args:
        root: the data set's folder, in place of the card's own.

    Raises:
        UserError: naming an unknown reader or option, or a missing folder.
    """
    options = dict(card.layout)
    name = options.pop("reader")
    if name not in READERS:
        raise UserError(
            f"{card.path}: layout.reader: '{name}' is not known.{nearest(name, READERS)} Known: {', '.join(READERS)}."
        )
    types = {field.name: field.type for field in fields(READERS[name])}
    for key, value in options.items():
        if key not in types or key == "root":
            raise UserError(
                f"{card.path}: layout: reader '{name}' has no option '{key}'.{nearest(key, types)} "
                f"Known: {', '.join(t for t in types if t != 'root')}."
            )
        wanted = (int, float) if types[key] is float else types[key]
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise UserError(f"{card.path}: layout.{key}: expected {types[key].__name__}, found {value!r}.")
    if "root" in types:
        folder = root or card.root
        if folder is None:
            raise UserError(f"{card.path}: no root is given. Say where the data set is with --data.root.")
        options["root"] = Path(folder)
    return READERS[name](**options)
