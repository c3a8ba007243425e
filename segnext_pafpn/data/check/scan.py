"""Reading every pair of a split once, several at a time."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.check.causes import find_causes, unnamed_255
from segnext_pafpn.data.check.report import SplitReport
from segnext_pafpn.data.check.sample import Finding, look_at
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import Reader
from segnext_pafpn.data.statistics import PICKED, Measured, join
from segnext_pafpn.errors import UserError
from segnext_pafpn.ids import IGNORE_INDEX
from segnext_pafpn.track import Track, untracked

_MIN_PICKED = 100  # pixels of an image, for percentiles
_NAMED = 8  # classes in one line
_KEPT = 8  # failing pairs that the search for causes looks at again


def check_split(
    card: Card,
    reader: Reader,
    split: str,
    track: Track = untracked,
    details: bool = False,
    workers: int | None = None,
) -> SplitReport:
    """Read every pair of ``split`` and compare it with the card.

    The work is done by threads: decoders, counters and hashes let go of Python's lock while they work. See
    benchmarks/check.py, which times threads beside processes.

    Args:
        track: shows how far it has come.
        details: also measure the images and take their fingerprints, which a training run can do without. The
            values of images that are normalised by them are measured in any case.
        workers: threads; None for Python's default, a few more than cores.
    """
    report = SplitReport(split)
    try:
        listing = reader.list_samples(split)
    except UserError as error:
        report.problems.append(str(error))
        return report
    report.problems += listing.problems
    report.num_unpaired = listing.num_unpaired
    report.num_samples = len(listing.samples)
    report.slices.update(sample.case for sample in listing.samples if sample.case is not None)
    report.spacings.update(sample.spacing for sample in listing.samples if sample.case is not None and sample.spacing)
    labels = LabelMap(card)
    num_classes = len(card.classes)
    report.pictures, report.picture_pixels = np.zeros((2, num_classes), dtype=np.int64)
    failing: list[Finding] = []
    measured: list[Measured] = []
    form = card.image
    wanted = form.needs_statistics or (details and not form.is_rgb8)
    most = max(_MIN_PICKED, PICKED // max(1, form.channels * len(listing.samples))) if wanted else 0
    with ThreadPoolExecutor(workers) as pool:
        findings = pool.map(lambda sample: look_at(sample, reader, labels, form, details, most), listing.samples)
        for finding in track(findings, len(listing.samples), f"check {split}"):
            _add(finding, report, labels)
            if finding.measured is not None:
                measured.append(finding.measured)
            if finding.problem and len(failing) < _KEPT:
                failing.append(finding)
    bins = np.bincount(labels.table, weights=report.raw_ids, minlength=256).astype(np.int64)
    report.pixels = np.append(bins[:num_classes], bins[IGNORE_INDEX])
    report.statistics = join(measured, form)
    if not report.problems:
        _judge_pixels(card, report)
        _judge_values(report, form.slice_channels)
        if not form.is_rgb8:
            _judge_depths(report)
    report.warnings += listing.warnings  # after what a whole split lacks, as they may be thousands
    report.problems = list(dict.fromkeys(report.problems))  # a file that cannot be read fails once for each slice
    report.unreadable = list(dict.fromkeys(report.unreadable))
    report.causes = find_causes(card, reader, report, failing or _first(listing.samples))
    return report


def _add(finding: Finding, report: SplitReport, labels: LabelMap) -> None:
    if finding.problem:
        report.num_failing += 1
        report.problems.append(finding.problem)
        if not finding.readable:
            report.unreadable.append(finding.problem)
    if finding.size:
        report.sizes[finding.size] += 1
    if finding.ids is not None:
        report.raw_ids[finding.ids] += finding.counts
        pixels = np.bincount(labels.table[finding.ids], weights=finding.counts, minlength=256).astype(np.int64)
        held = pixels[: len(report.pictures)] > 0
        of_classes = pixels[: len(held)].sum()
        report.num_labelled += int(math.prod(finding.size) - pixels[IGNORE_INDEX] if labels.multi_label else of_classes)
        if np.count_nonzero(pixels[:IGNORE_INDEX]) <= (0 if labels.multi_label else 1):
            report.empty.append(finding.sample.mask_label)
        report.pictures += held
        report.picture_pixels += held * of_classes
        report.holds.append(held)
    if finding.details is not None:
        report.details.append((finding.sample, finding.details))


def _first(samples: list) -> list[Finding]:
    return [Finding(samples[0])] if samples else []


def _judge_pixels(card: Card, report: SplitReport) -> None:
    """Say which classes never occur; a split from which nothing could be learnt is a problem."""
    split = report.name
    labelled = report.pixels[: len(card.classes)]
    if card.multi_label:
        _judge_layers(card, report)
        return
    if not labelled.any():
        report.problems.append(f"split '{split}': every pixel is ignored. Map at least one id to a class.")
    elif unnamed_255(card, report):
        report.problems.append(
            f"split '{split}': the masks hold 0 and 255 alone, and 255 is ignored because no class has it, so class "
            f"'{card.classes[1].name}' has no pixel. Give it ids: [255], or name 255 in ignore if that is meant."
        )
        return
    absent = [row for row, count in zip(card.classes, labelled, strict=True) if count == 0]
    if len(absent) == 1:
        report.warnings.append(
            f"split '{split}': class '{absent[0].name}' has no pixel, expected id {_listed(absent[0].ids)} in its "
            f"masks. Correct its ids, or split the data anew."
        )
    elif absent:
        report.warnings.append(
            f"split '{split}': {len(absent)} of {len(card.classes)} classes have no pixel: "
            + _named([f"'{row.name}' (id {_listed(row.ids)})" for row in absent])
            + ". Correct their ids, or split the data anew."
        )


def _judge_layers(card: Card, report: SplitReport) -> None:
    """The same where each class has masks of its own."""
    empty = [row.name for row, count in zip(card.classes, report.pixels, strict=False) if count == 0]
    if len(empty) == len(card.classes):
        report.problems.append(f"split '{report.name}': every mask is black, so there is nothing to learn.")
        return
    if len(empty) == 1:
        report.warnings.append(
            f"split '{report.name}': class '{empty[0]}' has no pixel: its masks are black or missing."
        )
    elif empty:
        report.warnings.append(
            f"split '{report.name}': {len(empty)} of {len(card.classes)} classes have no pixel: "
            + _named([f"'{name}'" for name in empty])
            + ". Their masks are black or missing."
        )


def _judge_values(report: SplitReport, channels: int) -> None:
    """Say which channels tell nothing; of a slice with its neighbours those of the slice."""
    if report.statistics is None:
        return
    spans = zip(report.statistics.lowest[:channels], report.statistics.highest[:channels], strict=True)
    report.warnings += [
        f"split '{report.name}': channel {i} of the images is {low:g} in every pixel, so nothing can be learnt from "
        f"it. Look at its files, or at image.window."
        for i, (low, high) in enumerate(spans, 1)
        if low == high
    ]


def _judge_depths(report: SplitReport) -> None:
    """Say that pictures of 8 bits stand among deeper ones, of which an export has most likely stretched the values."""
    pictures = [(sample, found) for sample, found in report.details if sample.case is None]
    shallow = [sample for sample, found in pictures if found.image_kind.endswith("uint8")]
    if shallow and len(shallow) < len(pictures):
        report.warnings.append(
            f"split '{report.name}': {shallow[0].label}: has 8 bits, as have {len(shallow)} of {len(pictures)} images, "
            f"the others more, expected values that mean the same in all. Export them alike."
        )


def _named(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _listed(ids: tuple[int, ...]) -> str:
    return " or ".join(map(str, ids[:6])) + (" ..." if len(ids) > 6 else "")
