"""Why masks and card disagree: the mistakes that are made again and again, each with what to write into the card."""

from collections.abc import Sequence

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.check.card_lines import card_lines
from segnext_pafpn.data.check.report import Cause, SplitReport, ids_in_files
from segnext_pafpn.data.check.sample import Finding
from segnext_pafpn.data.check.wrong_files import between_ids, cause_in_files
from segnext_pafpn.data.labels import UNKNOWN, LabelMap
from segnext_pafpn.data.readers import Reader
from segnext_pafpn.ids import IGNORE_INDEX

# The 19 classes of Cityscapes by their raw ids: github.com/mcordts/cityscapesScripts, helpers/labels.py
_CITYSCAPES = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26,
    "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
_CITYSCAPES_LAST = 33

_FEW = 0.2  # of the masks, which are more likely wrong than the card
_MANY_STRANGE, _WIDE, _NEAR = 4, 32, 12  # unknown ids; span of the card's ids; distance of the former from the latter


def find_causes(card: Card, reader: Reader, report: SplitReport, examples: Sequence[Finding]) -> list[Cause]:
    """What most likely lies behind a split's problems; empty if nothing known fits.

    Args:
        examples: pairs with a problem, to be looked at again; where all ids are known, any pair.
    """
    found = ids_in_files(report, card)
    unknown = found[LabelMap(card).table[found] == UNKNOWN]
    causes = cause_in_files(card, reader, examples) if any(finding.problem for finding in examples) else []
    if (unknown.size or unnamed_255(card, report)) and not causes:
        where = str(examples[0].sample.mask or examples[0].sample.label) if examples else f"split '{report.name}'"
        rules = (_stretched_to_255, _off_by_one, _cityscapes, _grey_palette, _evenly_spread, _one_each, _smoothed)
        causes += [cause for rule in rules if (cause := rule(card, found, where))][:1] or [_other(card, found, where)]
    failing = report.num_failing
    if causes and 0 < failing <= _FEW * report.num_samples:
        where = f"{examples[0].sample.mask_label}: {failing} of {report.num_samples} masks do not fit the card"
        if unknown.size:
            return [_other(card, found, where)]
        return [Cause(f"{where}, which fits the others. Correct these files, or leave them out.")]
    return causes


def unnamed_255(card: Card, report: SplitReport) -> bool:
    """Whether the masks are 0 and 255 alone, the card has two classes, and 255 is ignored without its saying so."""
    named = {i for row in card.classes for i in row.ids} | set(card.ignore)
    if card.layout.get("mask_format", "index") != "index":
        return False
    found = ids_in_files(report, card).tolist()
    return len(card.classes) == 2 and IGNORE_INDEX not in named and IGNORE_INDEX in found and found in ([0, 255], [255])


def _stretched_to_255(card: Card, found: np.ndarray, where: str) -> Cause | None:
    if len(card.classes) != 2 or found.tolist() not in ([0, 255], [255]):
        return None
    return Cause(
        f"{where}: a mask of 0 and 255 (black and white), expected the ids of two classes. Name 255 in the card:",
        _yaml(card, [[0], [255]]),
    )


def _off_by_one(card: Card, found: np.ndarray, where: str) -> Cause | None:
    count = len(card.classes)
    ids = found[found != IGNORE_INDEX]
    plain = [list(row.ids) for row in card.classes] == [[i] for i in range(count)]
    if not plain or not ids.size or ids[-1] != count:
        return None
    shifted = [[i + 1] for i in range(count)]
    if ids[0] > 0:
        return Cause(
            f"{where}: the ids begin at 1 and end at {count}, expected 0 to {count - 1}. Shift them in the card:",
            _yaml(card, shifted),
        )
    return Cause(
        f"{where}: the ids go from 0 to {count}, one more than the card's {count} classes, expected 0 to {count - 1}. "
        f"If 0 means unlabelled (as in ADE20K), shift the classes; if not, a class is missing from the card:",
        _yaml(card, shifted, ignore=[0]),
    )


def _cityscapes(card: Card, found: np.ndarray, where: str) -> Cause | None:
    ids = found[found != IGNORE_INDEX]
    names = [row.name.lower().replace("_", " ") for row in card.classes]
    if set(names) - set(_CITYSCAPES) or len(names) < 5 or ids[-1] > _CITYSCAPES_LAST or ids[-1] < len(names):
        return None
    new = [[_CITYSCAPES[name]] for name in names]
    rest = sorted(set(range(_CITYSCAPES_LAST + 1)) - {i for row in new for i in row})
    return Cause(
        f"{where}: ids up to {ids[-1]} with Cityscapes' classes: its raw labelIds, expected trainIds of 0 to 18. "
        f"Name the raw ids in the card, or use the files that end in labelTrainIds.png:",
        _yaml(card, new, ignore=rest),
    )


def _grey_palette(card: Card, found: np.ndarray, where: str) -> Cause | None:
    """A palette picture or one of colours that was converted to grey: the ids are the colours' luminances."""
    colors = np.array(card.class_colors, np.int64)
    luma = (colors @ np.array([19595, 38470, 7471]) + 0x8000) >> 16  # as Pillow converts to "L"
    ids = set(found[found != IGNORE_INDEX].tolist())
    if len(ids) < 2 or not ids <= set(luma.tolist()) or len(set(luma.tolist())) < len(luma):
        return None
    return Cause(
        f"{where}: the ids are the brightness of the classes' colours: a colour or palette picture that was saved "
        f"in grey, expected class ids. Save the palette's indices, or name the greys in the card:",
        _yaml(card, [[value] for value in luma.tolist()]),
    )


def _evenly_spread(card: Card, found: np.ndarray, where: str) -> Cause | None:
    steps = np.unique(np.diff(found))
    if not (2 <= len(found) <= len(card.classes)) or found[0] != 0 or steps[0] < 5 or steps[-1] - steps[0] > 1:
        return None
    new = [[int(i)] for i in found] + [[int(found[-1] + steps[-1] * k)] for k in range(1, 256)]
    return Cause(
        f"{where}: the ids {_listed(found)} are evenly spread, as if stretched for the eye, expected 0 to "
        f"{len(card.classes) - 1}. Name the stretched ids in the card:",
        _yaml(card, new[: len(card.classes)]),
    )


def _one_each(card: Card, found: np.ndarray, where: str) -> Cause | None:
    """As many values as classes, of which the card knows none but 0 or 255, which may stand beside them as ignored."""
    table = LabelMap(card).table
    if any(table[i] != UNKNOWN and i not in (0, IGNORE_INDEX) for i in found):
        return None
    count = len(card.classes)
    extra: list[int] = []
    for i in (IGNORE_INDEX, 0):
        extra += [i] if i in found and len(found) - len(extra) > count else []
    ids = [i for i in found.tolist() if i not in extra]
    if len(ids) != count:
        return None
    left = f" beside {' and '.join(map(str, extra))}, taken for unlabelled" if extra else ""
    return Cause(
        f"{where}: {count} ids ({_listed(np.array(ids))}){left}, as many as the card has classes, expected "
        f"{LabelMap(card).known}. If their order is that of the classes, name them in the card:",
        _yaml(card, [[i] for i in ids], ignore=sorted({*card.ignore, *extra} - set(ids))),
    )


def _smoothed(card: Card, found: np.ndarray, where: str) -> Cause | None:
    """A mask that was resized, or saved as JPEG before, has ids around those that were meant."""
    labels = LabelMap(card)
    unknown = found[labels.table[found] == UNKNOWN]
    gaps = [min(abs(int(i) - known) for known in labels.ids) for i in unknown]
    if len(gaps) < _MANY_STRANGE or labels.ids[-1] - labels.ids[0] <= _WIDE or np.median(gaps) > _NEAR:
        return None
    return between_ids(
        card,
        f"{where}: the values {_listed(unknown)} lie around those of the card (known: "
        f"{labels.known}): was the mask saved as JPEG or resized smoothly?",
    )


def _other(card: Card, found: np.ndarray, where: str) -> Cause:
    classes = LabelMap(card).table[found]
    unknown = found[classes == UNKNOWN]
    text = f"{where}: {len(unknown)} of the ids in the masks ({_listed(unknown)}) are in no class, expected all to be. "
    if len(set(classes.tolist()) - {UNKNOWN, IGNORE_INDEX}) < 2:  # with the others ignored nothing would be learnt
        return Cause(f"{text}Give each to a class, in its ids.")
    return Cause(
        f"{text}Give each to a class; to leave them out of training and scores:",
        f"ignore: {sorted({*card.ignore, *unknown.tolist()})[:64]}",
    )


def _yaml(card: Card, ids: Sequence[list[int]], ignore: Sequence[int] | None = None) -> str:
    return card_lines(card.class_names, card.class_colors, ids, card.ignore if ignore is None else ignore)


def _listed(ids: np.ndarray) -> str:
    return ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")
