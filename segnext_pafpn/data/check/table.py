"""A check's findings on the terminal and as JSON."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict

import numpy as np
from rich.table import Table

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.check.report import DataReport, SplitReport, ids_in_files
from segnext_pafpn.errors import counted

_EMPTY = 3  # masks without foreground that are named
_CHANNELS = 8  # that are shown; the JSON has all


def check_table(card: Card, reports: Sequence[SplitReport]) -> Table:
    """Class shares per split, in percent of the pixels that are not ignored."""
    overlap = ", of several classes or none each" if card.multi_label else ""
    title = f"{card.title or card.name}: share of each class in percent of the labelled pixels{overlap}"
    table = Table(title=title)
    table.add_column("class")
    for report in reports:
        table.add_column(report.name, justify="right")
    for index, row in enumerate(card.classes):
        table.add_row(row.name, *(class_share(report, index) for report in reports))
    table.add_section()
    table.add_row("ignored, of all pixels", *(ignored_share(report) for report in reports))
    samples = "slices" if any(report.slices for report in reports) else "pictures"
    table.add_row(samples, *(str(report.num_samples) for report in reports))
    table.add_row("width x height", *(describe_counts(report.sizes, 1) for report in reports))
    for name, read in (KINDS | COUNTS).items():
        values = [read(report) for report in reports]
        if any(value not in ("0", "-") for value in values):
            table.add_row(name, *values)
    for row in [*volume_rows(reports), *statistics_rows(card, reports)]:
        table.add_row(*row)
    return table


def volume_rows(reports: Sequence[SplitReport]) -> list[list[str]]:
    """Rows of how many volumes there are, of how many slices and with which spacing; none for pictures."""
    if not any(report.slices for report in reports):
        return []
    shows = {
        "volumes": lambda report: str(len(report.slices)),
        "slices of a volume": lambda report: _range(report.slices.values()) if report.slices else "-",
        "mm between slices, rows, columns": lambda report: (
            ", ".join(_range(side) for side in zip(*report.spacings, strict=True)) or "unknown"
        ),
    }
    return [[name, *(show(report) for report in reports)] for name, show in shows.items()]


def _range(values: Collection[float]) -> str:
    low, high = (f"{value:.4g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def statistics_rows(card: Card, reports: Sequence[SplitReport]) -> list[list[str]]:
    """Rows of the images' values, three for each of the first channels; none for 8-bit RGB."""
    if not any(report.statistics for report in reports):
        return []
    low, high = card.image.percentiles
    of = "of any class" if card.multi_label else "all classes but the first"
    measured_on = f" ({of})" if card.image.statistics == "foreground" else ""
    of_slice = " of each slice, its neighbours alike" if card.image.neighbours else ""
    shows = {
        f"mean and deviation{measured_on}": lambda s, c: f"{s.mean[c]:.5g} ± {s.std[c]:.4g}",
        f"{low:g} to {high:g} %": lambda s, c: f"{s.percentile_low[c]:.5g} to {s.percentile_high[c]:.5g}",
        "lowest to highest": lambda s, c: f"{s.lowest[c]:.5g} to {s.highest[c]:.5g}",
    }
    return [
        [f"channel {c + 1}{of_slice}: {name}", *(show(r.statistics, c) if r.statistics else "-" for r in reports)]
        for c in range(min(_CHANNELS, card.image.slice_channels))
        for name, show in shows.items()
    ]


def class_share(report: SplitReport, index: int) -> str:
    """Percent of the labelled pixels that are of a class, be they of others too or not."""
    if index >= len(report.pixels) or not report.pixels[index]:
        return "-"
    return f"{100 * report.pixels[index] / report.num_labelled:.2f}"


def ignored_share(report: SplitReport) -> str:
    """Percent of all pixels that are ignored."""
    if not report.pixels.sum():
        return "-"
    return f"{100 * report.pixels[-1] / (report.num_labelled + report.pixels[-1]):.2f}"


def describe_counts(counts: Counter, most: int) -> str:
    """The commonest kinds and how many there are besides; sizes as width x height."""
    if not counts:
        return "-"
    kinds = [f"{kind[1]}x{kind[0]}" if isinstance(kind, tuple) else str(kind) for kind, _ in counts.most_common(most)]
    return "; ".join(kinds) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _empty(report: SplitReport) -> str:
    if not report.empty:
        return "0"
    return f"{len(report.empty)} ({100 * len(report.empty) / report.num_samples:.0f} %)"


def empty_masks(reports: Sequence[SplitReport]) -> list[str]:
    """A line for each split that has masks of one class or none, which names the first of them."""
    return [
        f"split '{report.name}': {counted(len(report.empty), 'mask')} of one class or none: "
        + ", ".join(report.empty[:_EMPTY])
        + (f" and {len(report.empty) - _EMPTY} more; --json PATH lists all" if len(report.empty) > _EMPTY else "")
        for report in reports
        if report.empty
    ]


COUNTS = {
    "files without a partner": lambda report: str(report.num_unpaired),
    "files that cannot be read": lambda report: str(len(report.unreadable)),
    "masks of one class or none": _empty,
}
KINDS = {
    "images are": lambda report: describe_counts(report.kinds("image_kind"), 2),
    "masks are": lambda report: describe_counts(report.kinds("mask_kind"), 2),
}


def check_values(data: DataReport) -> dict:
    """Everything that was found, as JSON can hold it."""
    return {
        "card": data.card.name,
        "training_may_start": not data.problems,
        "image_mean": _rounded(data.mean),
        "image_std": _rounded(data.std),
        "image_range": [data.low, data.high],
        "splits": [_split(report, data.card) for report in data.splits],
        "shared_between_splits": [
            {
                "exact": twins.exact,
                twins.first_split: str(twins.first.label),
                twins.second_split: str(twins.second.label),
            }
            for twins in data.twins
        ],
        "likely_causes": [{"text": cause.text, "yaml": cause.yaml} for cause in data.causes],
    }


def _split(report: SplitReport, card: Card) -> dict:
    pixels = report.pixels.tolist() or [0] * (len(card.classes) + 1)
    return {
        "name": report.name,
        "pairs": report.num_samples,
        "files_without_partner": report.num_unpaired,
        "masks_of_one_class_or_none": len(report.empty),
        "empty_masks": report.empty,
        "class_pixels": dict(zip(card.class_names, pixels[:-1], strict=True)),
        "ignored_pixels": pixels[-1],
        "labelled_pixels": report.num_labelled,
        "raw_ids": {str(i): int(report.raw_ids[i]) for i in ids_in_files(report, card)[:1000]},
        "volumes": _volumes(report),
        "sizes": {f"{width}x{height}": count for (height, width), count in report.sizes.most_common()},
        "image_statistics": None if report.statistics is None else asdict(report.statistics),
        "image_kinds": dict(report.kinds("image_kind")),
        "mask_kinds": dict(report.kinds("mask_kind")),
        "problems": report.problems,
        "unreadable": report.unreadable,
        "warnings": report.warnings,
    }


def _volumes(report: SplitReport) -> dict | None:
    if not report.slices:
        return None
    return {
        "count": len(report.slices),
        "slices": dict(report.slices),
        "spacing_mm": [[min(side), max(side)] for side in zip(*report.spacings, strict=True)] or None,
    }


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]
