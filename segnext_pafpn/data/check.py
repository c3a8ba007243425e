"""Read a data set once, on the CPU, before a GPU meets it: everything that is wrong, with the file it is wrong in."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from rich.table import Table

from segnext_pafpn.data.card import IGNORE_INDEX, Card
from segnext_pafpn.data.dataset import describe_sizes, describe_unknown
from segnext_pafpn.data.labels import UNKNOWN, LabelMap
from segnext_pafpn.data.readers import Reader, Sample
from segnext_pafpn.errors import UserError

Track = Callable[[Iterable, int, str], Iterable]


@dataclass
class SplitReport:
    """What was found in one split.

    Args:
        name: of the split.
        num_samples: complete pairs.
        problems: what keeps training from starting, a line each.
        warnings: what is odd, a line each.
        pixels: of each class (K,), and after them the ignored ones.
        sizes: how many pictures have which (height, width).
    """

    name: str
    num_samples: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sizes: Counter = field(default_factory=Counter)


def check_split(card: Card, reader: Reader, split: str, track: Track | None = None) -> SplitReport:
    """Read every pair of ``split`` and compare it with the card.

    Args:
        track: wraps the iteration, given the number of items and a title; for a progress bar.
    """
    report = SplitReport(split)
    try:
        listing = reader.list_samples(split)
    except UserError as error:
        report.problems.append(str(error))
        return report
    report.problems += listing.problems
    report.warnings += listing.warnings
    report.num_samples = len(listing.samples)
    labels = LabelMap(card)
    bins = np.zeros(256, dtype=np.int64)
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda sample: _check_sample(sample, reader, labels), listing.samples)
        if track is not None:
            results = track(results, len(listing.samples), f"check {split}")
        for problem, size, counts in results:
            if problem:
                report.problems.append(problem)
            if size:
                report.sizes[size] += 1
            bins += counts
    num_classes = len(card.classes)
    report.pixels = np.append(bins[:num_classes], bins[IGNORE_INDEX])
    if not report.problems:
        report.problems += _two_tones(card, report, labels)
        report.warnings += [
            f"split '{split}': class '{row.name}' has no pixel."
            for row, count in zip(card.classes, report.pixels, strict=False)
            if count == 0
        ]
        if not report.pixels[:num_classes].any():
            report.problems.append(f"split '{split}': every pixel is ignored. Map at least one id to a class.")
    return report


def _two_tones(card: Card, report: SplitReport, labels: LabelMap) -> list[str]:
    """A problem if masks of 0 and 255 meet a card of 0 and 1: its second class would be ignored everywhere."""
    if len(card.classes) != 2 or IGNORE_INDEX in labels.ids or card.layout.get("mask_format", "index") != "index":
        return []
    first, second, ignored = report.pixels
    if second or not first or not ignored:
        return []
    name = card.classes[1].name
    return [
        f"split '{report.name}': class '{name}' has no pixel, but {_ignored(report)} % of the pixels are ignored, "
        f"as 255 is. If 255 means '{name}', write ids: [255] in its row; if not, write ignore: [255]."
    ]


def _check_sample(
    sample: Sample, reader: Reader, labels: LabelMap
) -> tuple[str | None, tuple[int, int] | None, np.ndarray]:
    """What is wrong with a pair (or None), its size, and its pixels per training id (256,)."""
    counts = np.zeros(256, dtype=np.int64)
    size = None
    try:
        image = reader.read_image(sample)
        size = image.shape[:2]
        raw = reader.read_mask(sample)
    except UserError as error:
        return str(error), size, counts
    if raw.shape != size:
        return f"{sample.mask_label}: {describe_sizes(image, raw)}", size, counts
    counts += np.bincount(labels(raw).ravel(), minlength=256)
    if counts[UNKNOWN]:
        return f"{sample.mask_label}: {describe_unknown(labels.unknown_ids(raw), labels, sample.mask)}", size, counts
    return None, size, counts


def check_table(card: Card, reports: Sequence[SplitReport]) -> Table:
    """Class shares per split, in percent of the pixels that are not ignored."""
    table = Table(title=f"{card.title or card.name}: share of each class in percent of the labelled pixels")
    table.add_column("class")
    for report in reports:
        table.add_column(report.name, justify="right")
    for index, row in enumerate(card.classes):
        table.add_row(row.name, *(_share(report, index) for report in reports))
    table.add_section()
    table.add_row("ignored, of all pixels", *(_ignored(report) for report in reports))
    table.add_row("pictures", *(str(report.num_samples) for report in reports))
    table.add_row("width x height", *(_sizes(report.sizes) for report in reports))
    return table


def _share(report: SplitReport, index: int) -> str:
    if index >= len(report.pixels) or not report.pixels[index]:
        return "-"
    return f"{100 * report.pixels[index] / report.pixels[:-1].sum():.2f}"


def _ignored(report: SplitReport) -> str:
    if not report.pixels.sum():
        return "-"
    return f"{100 * report.pixels[-1] / report.pixels.sum():.2f}"


def _sizes(sizes: Counter) -> str:
    if not sizes:
        return "-"
    (height, width), _ = sizes.most_common(1)[0]
    return f"{width}x{height}" + (f" and {len(sizes) - 1} more" if len(sizes) > 1 else "")
