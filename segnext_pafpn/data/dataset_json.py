"""nnU-Net's ``dataset.json`` as the content of a card, so that its data sets need no card of their own.

The format is that of nnU-Net v2 (github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md and
region_based_training.md).
"""

import json
from pathlib import Path
from typing import Any

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.ids import MAX_ID, is_whole

FILE = "dataset.json"
_KEYS = ("channel_names", "labels", "numTraining", "file_ending")
_ENDINGS = (".nii.gz", ".nii", ".png", ".tif", ".tiff", ".bmp", ".npy")
_NOT_NORMALISED = ("nonorm", "none")


def card_content(folder: Path) -> dict[str, Any]:
    """What a card for the data set in ``folder`` would hold: ``name``, ``classes``, ``ignore``, ``image``, ``layout``.

    Classes stand in the order of their labels. Of overlapping regions the later one wins, in the order of ``labels``,
    as it does where nnU-Net writes regions into one mask; what is left of the others is a class called the rest, and
    ``regions`` says which classes make up each, so that it is scored whole.

    Raises:
        UserError: naming the file, the key, what was found and what was expected.
    """
    values = read_dataset_json(folder)
    path = folder / FILE
    labels = dict(values["labels"])
    ignore = labels.pop("ignore", None)
    regions: dict[str, list[str]] = {}
    ids = {name: [label] for name, label in labels.items()}
    if any(isinstance(label, list) for label in labels.values()):
        members = {name: label if isinstance(label, list) else [label] for name, label in labels.items()}
        ids, regions = _classes_of_regions(members, _region_ids(labels, values, path))
    rows = sorted(ids.items(), key=lambda row: row[1][0])
    image, standardize = _image(values["channel_names"], values["file_ending"])
    return {
        "name": folder.resolve().name,
        "title": str(values.get("name", "")),
        "classes": [{"name": name, "ids": sorted(found)} for name, found in rows],
        "ignore": [] if ignore is None else [ignore],
        **({"regions": regions} if regions else {}),
        "layout": {"reader": "nnunet", **({"standardize": True} if standardize else {})},
        **({"image": image} if image else {}),
    }


def read_dataset_json(folder: Path) -> dict[str, Any]:
    """The file's content, whose keys and types are those of nnU-Net v2.

    Raises:
        UserError: naming the file, the key, what was found and what was expected.
    """
    path = folder / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file. Expected a data set of nnU-Net in {folder}, or the path of a .yaml card."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable JSON file ({' '.join(str(error).split())}). Correct it.") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected an object with {', '.join(_KEYS)}, found {type(values).__name__}.")
    if "modality" in values and "channel_names" not in values:
        raise UserError(
            f"{path}: is of the Medical Decathlon or nnU-Net v1 ('modality'), expected nnU-Net v2 ('channel_names'). "
            f"Convert it: nnUNetv2_convert_MSD_dataset -i {folder}, or nnUNetv2_convert_old_nnUNet_dataset."
        )
    if "dataset" in values:
        raise UserError(f"{path}: 'dataset' lists files one by one, expected them in imagesTr and labelsTr. Remove it.")
    for key in _KEYS:
        if key not in values:
            raise UserError(f"{path}: the key '{key}' is missing.{nearest(key, values)} nnU-Net v2 demands it.")
    for key in ("channel_names", "labels"):
        if not isinstance(values[key], dict) or not values[key]:
            raise UserError(f"{path}: {key}: expected an object, found {values[key]!r}.")
    for name, label in values["labels"].items():
        labels = label if isinstance(label, list) else [label]
        if not labels or not all(is_whole(label, MAX_ID) for label in labels):
            example = ' Write {"background": 0, ...}.' if name.isdigit() else ""
            raise UserError(
                f"{path}: labels: '{name}': expected a whole number or a list of them, found {label!r}.{example}"
            )
    if not any(label in (0, [0]) for label in values["labels"].values()):
        raise UserError(f'{path}: labels: none is 0, found {values["labels"]}. nnU-Net v2 demands "background": 0.')
    if isinstance(values["numTraining"], bool) or not isinstance(values["numTraining"], int):
        raise UserError(f"{path}: numTraining: expected a whole number, found {values['numTraining']!r}.")
    if values["file_ending"] not in _ENDINGS:
        raise UserError(
            f"{path}: file_ending: '{values['file_ending']}' cannot be read. Known: {', '.join(_ENDINGS)}. "
            f"Convert the files."
        )
    return values


def _region_ids(labels: dict[str, Any], values: dict[str, Any], path: Path) -> dict[str, list[int]]:
    """The labels that each region keeps where the later one wins.

    Raises:
        UserError: if a region keeps none, or the order and the regions contradict each other.
    """
    owner: dict[int, str] = {}
    for name, members in labels.items():
        for label in members if isinstance(members, list) else [members]:
            owner[label] = name
    ids = {name: [label for label in owner if owner[label] == name] for name in labels}
    order = values.get("regions_class_order")
    names = [name for name, members in labels.items() if members not in (0, [0])]
    if not isinstance(order, list) or len(order) != len(names):
        raise UserError(
            f"{path}: regions_class_order: labels are regions, so expected a list of one label for each of "
            f"{', '.join(names)}, found {order!r}."
        )
    for name in ids:
        if not ids[name]:
            raise UserError(
                f"{path}: labels: region '{name}' lies within regions that come after it and win, so that no pixel is "
                f"left for it. Put it after them in labels and in regions_class_order, larger regions first."
            )
    for name, label in zip(names, order, strict=True):
        if label not in ids[name]:
            raise UserError(
                f"{path}: regions_class_order: {label!r} stands for region '{name}', which keeps the labels "
                f"{ids[name]} where later regions win. Expected one of these there."
            )
    first = {name: label for name, label in zip(names, order, strict=True)}
    return {name: sorted(found, key=lambda label: label != first.get(name)) for name, found in ids.items()}


def _classes_of_regions(
    members: dict[str, list[int]], kept: dict[str, list[int]]
) -> tuple[dict[str, list[int]], dict[str, list[str]]]:
    """Labels of each class, and the classes of each region that is more than one, so that it is exactly their union.

    What a region keeps (``kept``) is one class, or several where an earlier region holds a part of it alone.
    """
    ids: dict[str, list[int]] = {}
    for name, labels in kept.items():
        parts: dict[tuple[str, ...], list[int]] = {}  # by the other regions that hold them
        for label in labels:
            parts.setdefault(tuple(n for n in members if n != name and label in members[n]), []).append(label)
        for others, found in parts.items():
            whole = set(found) == set(members[name])
            rest = "rest" if len(parts) == 1 or not others else f"in {' and '.join(others)}"
            ids[name if whole else f"{name} ({rest})"] = found
    regions = {
        name: [part for part, found in ids.items() if set(found) <= set(labels)]
        for name, labels in members.items()
        if name not in ids
    }
    return ids, regions


def _image(names: dict[str, Any], ending: str) -> tuple[dict[str, Any], bool]:
    """A card's ``image``, and whether volumes are standardised one by one: nnU-Net's choice by the channels' names."""
    kinds = {str(name).lower() for name in names.values()}
    if len(names) == 3 and ending in (".png", ".bmp") and kinds in ({"r", "g", "b"}, {"red", "green", "blue"}):
        return {}, False
    if "ct" in kinds:
        return {"channels": len(names), "normalize": "ct"}, False
    if kinds <= set(_NOT_NORMALISED):
        return {"channels": len(names), "normalize": "none"}, False
    if kinds <= {"rescale_to_0_1", "rgb_to_0_1", "r", "g", "b"}:
        return {"channels": len(names), "normalize": "rescale", "statistics": "image"}, False
    return {"channels": len(names), "normalize": "none"}, True
