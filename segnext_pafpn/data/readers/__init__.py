"""Readers: one file a layout. A new layout is a new file and its row in :data:`READERS`."""

from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.readers.base import Listing, Reader, Sample
from segnext_pafpn.data.readers.cityscapes import CityscapesReader
from segnext_pafpn.data.readers.coco import CocoReader
from segnext_pafpn.data.readers.folder import FolderReader
from segnext_pafpn.data.readers.nnunet import NnunetReader
from segnext_pafpn.data.readers.rle import RleReader
from segnext_pafpn.data.readers.synthetic import SyntheticReader
from segnext_pafpn.data.readers.volumes import VolumeReader
from segnext_pafpn.data.readers.yolo import YoloReader
from segnext_pafpn.errors import UserError, nearest

READERS: dict[str, type[Reader]] = {
    "folder": FolderReader,
    "cityscapes": CityscapesReader,
    "rle": RleReader,
    "coco": CocoReader,
    "yolo": YoloReader,
    "volumes": VolumeReader,
    "nnunet": NnunetReader,
    "synthetic": SyntheticReader,
}

_GIVEN = ("root", "card")  # fields that are no options of a layout

__all__ = ["READERS", "FolderReader", "Listing", "Reader", "Sample", "SyntheticReader", "build_reader"]


def build_reader(card: Card, root: str | None = None, layout: dict[str, Any] | None = None) -> Reader:
    """The reader that ``card.layout`` asks for.

    Args:
        root: the data set's folder, in place of the card's own.
        layout: options in place of the card's own, such as ``{"fold": 1}``.

    Raises:
        UserError: naming an unknown reader or option, or a missing folder.
    """
    options = {**card.layout, **(layout or {})}
    name = options.pop("reader")
    if name not in READERS:
        raise UserError(
            f"{card.path}: layout.reader: '{name}' is not known.{nearest(name, READERS)} Known: {', '.join(READERS)}."
        )
    types = {field.name: field.type for field in fields(READERS[name])}
    known = [field.name for field in fields(READERS[name]) if field.init and field.name not in _GIVEN]
    for key, value in options.items():
        if key not in known:
            raise UserError(
                f"{card.path}: layout: reader '{name}' has no option '{key}'.{nearest(key, known)} "
                f"Known: {', '.join(known)}."
            )
        if not _fits(value, types[key]):
            raise UserError(f"{card.path}: layout.{key}: expected {_type_name(types[key])}, found {value!r}.")
    if "root" in types:
        folder = root or card.root
        if folder is None:
            raise UserError(f"{card.path}: no root is given. Say where the data set is with --data.root.")
        options["root"] = Path(folder)
    if "card" in types:
        options["card"] = card
    reader = READERS[name](**options)
    if card.multi_label and not reader.has_layers:
        raise UserError(
            f"{card.path}: multi_label: true needs a mask file for each class: reader folder with mask_format: files "
            f"and class_suffixes of every class. Found reader '{name}' and class_suffixes of "
            f"{', '.join(options.get('class_suffixes', {})) or 'none'}; see docs/metrics.md."
        )
    return reader


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a YAML value is of a field's type: a plain type, a union, ``list[...]`` or ``dict[..., ...]``."""
    if isinstance(wanted, UnionType):
        return any(_fits(value, part) for part in get_args(wanted))
    if get_origin(wanted) is list:
        return isinstance(value, list) and all(_fits(item, get_args(wanted)[0]) for item in value)
    if get_origin(wanted) is dict:
        keys, values = get_args(wanted)
        return isinstance(value, dict) and all(_fits(k, keys) and _fits(v, values) for k, v in value.items())
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)


def _type_name(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) and get_origin(wanted) is None else str(wanted)
