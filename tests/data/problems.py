"""What the check says of a folder of images and masks, or of a card, for tests of what users get wrong."""

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.conftest import write_card

WHOLE = {"folds": 0, "val_fraction": 0.0}  # a layout in which all cases are train
TWO = [{"name": "no", "color": [0, 0, 0]}, {"name": "yes", "color": [255, 0, 0]}]


def problems(root, split="train", classes=TWO, card=None, **layout):
    """All that the check says of a split, or what stops it from being listed."""
    layout = {"reader": "folder", "images": "i", "masks": "m", **layout}
    loaded = load_card(str(write_card(root, classes=classes, layout=layout, **(card or {}))))
    try:
        found = check_split(loaded, build_reader(loaded), split).problems
    except UserError as error:
        found = [str(error)]
    assert all("\n" not in line for line in found)
    return found


def checked_card(card, details=False, **layout):
    """The check's report of ``train``."""
    loaded = load_card(str(card))
    reader = build_reader(loaded, layout=layout)
    return check_split(reader.fitted(loaded), reader, "train", details=details)


def problems_of_card(card, **layout):
    """All that it says of ``train``."""
    found = checked_card(card, **layout).problems
    assert all("\n" not in line for line in found)
    return found


def only(found, *words):
    assert len(found) == 1, found
    for word in words:
        assert word in found[0], found[0]
