"""A check's findings as one HTML page with charts and thumbnails."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segnext_pafpn import page
from segnext_pafpn.data.card import Card
from segnext_pafpn.data.check.report import DataReport, SplitReport, ids_in_files
from segnext_pafpn.data.check.table import (
    COUNTS,
    KINDS,
    describe_counts,
    empty_masks,
    ignored_share,
    statistics_rows,
    volume_rows,
)
from segnext_pafpn.data.labels import UNKNOWN, LabelMap
from segnext_pafpn.data.pairs import read_raw
from segnext_pafpn.data.readers import Reader, Sample
from segnext_pafpn.ids import IGNORE_INDEX, IGNORED_ID
from segnext_pafpn.intensity import viewable

_SHOWN = 60  # lines of a kind; the JSON has all
_THUMBS, _TWINS = 6, 6
_IDS = 24
_WIDTH = 300  # pixels of a thumbnail
_UNKNOWN_COLOR = (255, 0, 255)


def write_check_page(data: DataReport, reader: Reader, path: Path) -> None:
    """Write the page: verdict, causes, problems, numbers, class shares, shared pictures and thumbnails."""
    card = data.card
    parts = [
        page.heading(card.title or card.name, 1),
        page.paragraph(f"{card.path or card.name}", "soft"),
        page.paragraph("Training may start.", "good")
        if not data.problems
        else page.paragraph(f"Training may not start: {len(data.problems)} problem(s).", "bad"),
        page.tiles(
            [
                *((str(split.num_samples), f"pairs in {split.name}") for split in data.splits),
                (str(len(card.classes)), "classes"),
                (str(len(data.problems)), "problems"),
                (str(len(data.warnings)), "warnings"),
            ]
        ),
    ]
    if data.causes:
        parts.append(page.heading("Likely causes"))
        for cause in data.causes:
            parts += [page.paragraph(cause.text)] + ([page.code(cause.yaml)] if cause.yaml else [])
    parts += _lines("Problems", data.problems, "bad") + _twins(data, reader)
    parts += _lines("Warnings" if not data.twins else "Other warnings", data.oddities, "warn")
    parts += [page.heading("Splits"), _overview(data)] + _shares(data.splits, card)
    ignored = "ignored" if any(split.pixels[-1:].any() for split in data.splits) else ""
    parts += [page.heading("Pictures and masks"), page.legend(card.class_names, card.class_colors, ignored)]
    for split in data.splits:
        parts += _thumbnails(split, card, reader)
    page.write_page(path, f"check of {card.name}", parts)


def _lines(title: str, lines: Sequence[str], kind: str) -> list[str]:
    if not lines:
        return []
    more = [f"and {len(lines) - _SHOWN} more; check --json lists all"] if len(lines) > _SHOWN else []
    return [page.heading(f"{title}: {len(lines)}"), page.bullets([*lines[:_SHOWN], *more], kind)]


def _overview(data: DataReport) -> str:
    splits = data.splits
    rows = [
        ["pairs", *(str(split.num_samples) for split in splits)],
        ["width x height", *(describe_counts(split.sizes, 4) for split in splits)],
        *([name, *(read(split) for split in splits)] for name, read in (COUNTS | KINDS).items()),
        ["ignored, % of all pixels", *(ignored_share(split) for split in splits)],
        ["ids in the masks", *(_ids(split, data.card) for split in splits)],
        *volume_rows(splits),
        *statistics_rows(data.card, splits),
    ]
    text = page.table(["", *(split.name for split in splits)], rows, text_columns=len(splits) + 1)
    text += "".join(page.paragraph(line, "soft") for line in empty_masks(splits))
    if not np.isfinite(data.mean).all() or not data.card.image.is_rgb8:
        return text
    channels = ", ".join(f"{value:.3f}" for value in data.mean), ", ".join(f"{value:.3f}" for value in data.std)
    return text + page.paragraph(
        f"Images: values {data.low} to {data.high}; mean of the channels {channels[0]}, standard deviation "
        f"{channels[1]}, of values between 0 and 1.",
        "soft",
    )


def _ids(split: SplitReport, card: Card) -> str:
    ids = ids_in_files(split, card)
    listed = list(map(str, ids[:_IDS])) + ([f"{len(ids) - _IDS} more"] if len(ids) > _IDS else [])
    if split.raw_ids[IGNORED_ID]:
        listed.append("ignored")
    return ", ".join(listed) or "-"


def _shares(splits: Sequence[SplitReport], card: Card) -> list[str]:
    read = [split for split in splits if len(split.pixels) and split.pixels[:-1].any()]
    if not read:
        return []
    shares = {split.name: 100 * split.pixels[:-1] / split.num_labelled for split in read}
    largest = max(float(values.max()) for values in shares.values())
    chart = page.bars(card.class_names, shares, largest, " %")
    return [page.heading("Share of each class in the labelled pixels"), chart]


def _twins(data: DataReport, reader: Reader) -> list[str]:
    if not data.twins:
        return []
    exact = sum(pair.exact for pair in data.twins)
    parts = [
        *_lines("Pictures that two splits share", data.leaks, "warn"),
        page.paragraph(f"{exact} pair(s) equal in every pixel, {len(data.twins) - exact} nearly equal.", "warn"),
    ]
    for pair in data.twins[:_TWINS]:
        images = [_seen(sample, data.card, reader) for sample in (pair.first, pair.second)]
        both = [page.picture(image, _WIDTH, photo=True) for image in images]
        parts.append(page.figure(page.pictures([*both, "", ""], columns=4), str(pair)))
    return parts


def _thumbnails(split: SplitReport, card: Card, reader: Reader) -> list[str]:
    """A few pairs, spread over those that could be read, with as many classes on them as can be."""
    if not split.details:
        return []
    holds = np.array(split.holds) if len(split.holds) == len(split.details) else np.zeros((len(split.details), 0))
    chosen = [split.details[i][0] for i in spread_over(holds, _THUMBS)]
    labels = LabelMap(card)
    images = [picture for sample in chosen for picture in _pair(sample, card, labels, reader)]
    return [page.heading(split.name, 3), page.pictures(images, columns=4)]


def spread_over(holds: np.ndarray, count: int) -> list[int]:
    """Places of ``count`` pictures, spread evenly but where one in between holds a class that no other of them does.

    Args:
        holds: which classes each picture holds, (N, K) bool.
    """
    places = np.linspace(0, len(holds) - 1, min(count, len(holds))).round().astype(int).tolist()
    for k in np.argsort(holds.sum(axis=0), kind="stable"):
        holding = np.flatnonzero(holds[:, k])
        if not holding.size or holds[places, k].any():
            continue
        held_once = holds[places].sum(axis=0) == 1
        needed = (held_once & holds[places]).any(axis=1)
        if not needed.all():
            places[int(np.argmin(needed))] = int(holding[len(holding) // 2])
    return sorted(places)


def _seen(sample: Sample, card: Card, reader: Reader) -> np.ndarray:
    return viewable(reader.read_image(sample), neighbours=card.image.neighbours)


def _pair(sample: Sample, card: Card, labels: LabelMap, reader: Reader) -> list[str]:
    image = _seen(sample, card, reader)
    truth = labels(read_raw(reader, sample, labels))
    return [page.picture(image, _WIDTH, photo=True), page.picture(_painted(truth, card), _WIDTH, photo=False)]


def _painted(truth: np.ndarray, card: Card) -> np.ndarray:
    """``(H, W, 3)`` uint8 of training ids (H, W), ignored ones hatched; of layers (K, H, W) the last is on top."""
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(card.classes)] = card.class_colors
    colors[UNKNOWN] = _UNKNOWN_COLOR
    ignored = truth == IGNORE_INDEX
    if truth.ndim == 2:
        painted = colors[truth]
    else:
        painted, ignored = np.zeros((*truth.shape[1:], 3), np.uint8), ignored.all(axis=0)
        for layer, color in zip(truth, card.class_colors, strict=True):
            painted[layer == 1] = color
    page.hatch(painted, ignored)
    return painted
