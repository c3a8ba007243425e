"""From the ids in mask files to training ids 0..K-1 and 255 (ignored)."""

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.ids import IGNORE_INDEX, IGNORED_ID

UNKNOWN = 254  # a raw id that the card does not name; never reaches the network


class LabelMap:
    """The card's ids as one table; built once, applied to every mask.

    ``card.classes[k].ids`` become k, ``card.ignore`` becomes 255. A raw 255 that the card does not
    name is ignored too, as everywhere in the field. With ``card.multi_label`` there is nothing to map: readers give
    layers of 0, 1 and 255.
    """

    def __init__(self, card: Card):
        self.multi_label = card.multi_label
        self.table = np.full(IGNORED_ID + 1, UNKNOWN, dtype=np.uint8)
        self.table[[IGNORE_INDEX, IGNORED_ID]] = IGNORE_INDEX
        self.table[list(card.ignore)] = IGNORE_INDEX
        for index, row in enumerate(card.classes):
            self.table[list(row.ids)] = index
        self.num_classes = len(card.classes)
        named = [i for row in card.classes for i in row.ids] + list(card.ignore)
        self.ids = sorted(named)
        self.known = _ranges(self.ids)

    def __call__(self, mask: np.ndarray) -> np.ndarray:
        """Raw ids ``(H, W)``, an unsigned integer type, to training ids ``(H, W)`` uint8; layers stay as they are."""
        return mask if self.multi_label else self.table[mask]

    def unknown_ids(self, mask: np.ndarray) -> list[int]:
        """The raw ids in ``mask`` ``(H, W)`` that the card does not name."""
        unknown = self.table[mask] == UNKNOWN
        return np.unique(mask[unknown]).tolist() if unknown.any() else []


def _ranges(ids: list[int]) -> str:
    """[0, 1, 2, 3, 7] -> '0-3, 7'."""
    parts: list[list[int]] = []
    for i in ids:
        if parts and i == parts[-1][1] + 1:
            parts[-1][1] = i
        else:
            parts.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
