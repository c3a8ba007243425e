"""Two runs on the same images: how far apart, class by class, and whether these images can tell them apart.

Slices of a volume are alike, so that they are drawn together: what is resampled are cases, and an image that is no
slice is a case.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import ImageMatrices, right_and_union
from segnext_pafpn.evaluation.score_table import ABSENT, percent, percent_text
from segnext_pafpn.evaluation.scores import Scores, scores_from_matrix

_ROUND = 256  # resamples at a time, to bound memory


@dataclass(frozen=True, eq=False)
class Comparison:
    """The second run against the first.

    Args:
        class_names: K.
        first, second: scores of the two over all images.
        difference: mIoU of the second less that of the first, a fraction.
        low, high: ends of the difference's 95 % interval over resampled cases; NaN of a single case.
        better: share of the resamples in which the second scores higher.
        num_images, num_cases, num_resamples, seed: what the interval rests on.
    """

    class_names: tuple[str, ...]
    first: Scores
    second: Scores
    difference: float
    low: float
    high: float
    better: float
    num_images: int
    num_cases: int
    num_resamples: int
    seed: int


def compare_images(first: ImageMatrices, second: ImageMatrices, num_resamples: int = 2000, seed: int = 0) -> Comparison:
    """Scores of both, and a paired bootstrap of the difference in mIoU over cases.

    Each resample draws as many cases as there are, with replacement, the same ones for both runs; its mIoU is that
    of the drawn cases' pixels together, as the score itself is. The interval holds the middle 95 % of the
    differences (the percentile interval of B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).
    It says how the score moves with the cases, not with the seed of the training.

    scipy.stats.bootstrap would gather every drawn case's counts; drawing how often each case comes makes one matrix
    product of a resample.

    Raises:
        UserError: if the two are of other classes, splits or images, or their truths differ.
        ValueError: if num_resamples is less than 100.
    """
    if num_resamples < 100:
        raise ValueError(f"num_resamples is {num_resamples}, expected at least 100.")
    first, second = _same_images(first, second)
    num_images = len(first.names)
    first, second = first.by_case(), second.by_case()
    rng = np.random.default_rng(seed)
    count = len(first.names)
    counts = [np.concatenate(right_and_union(images.matrices), axis=1).astype(np.float64) for images in (first, second)]
    differences = []
    for start in range(0, num_resamples, _ROUND):
        draws = rng.multinomial(count, np.full(count, 1 / count), size=min(_ROUND, num_resamples - start))
        weights = draws.astype(np.float64)
        differences.append(_miou(weights @ counts[1]) - _miou(weights @ counts[0]))
    spread = np.concatenate(differences)
    low, high = np.nanpercentile(spread, [2.5, 97.5]) if count > 1 else (math.nan, math.nan)
    scores = [scores_from_matrix(images.matrices.sum(axis=0, dtype=np.int64)) for images in (first, second)]
    return Comparison(
        class_names=first.class_names,
        first=scores[0],
        second=scores[1],
        difference=scores[1].mIoU - scores[0].mIoU,
        low=float(low),
        high=float(high),
        better=float((spread > 0).mean()),
        num_images=num_images,
        num_cases=count,
        num_resamples=num_resamples,
        seed=seed,
    )


def _miou(counts: np.ndarray) -> np.ndarray:
    """Mean IoU (R,) over the measured classes, from TP and unions side by side, (R, 2 K)."""
    right, union = np.split(counts, 2, axis=1)
    iou = np.divide(right, union, out=np.zeros_like(right), where=union > 0)
    measured = (union > 0).sum(axis=1)
    return np.divide(iou.sum(axis=1), measured, out=np.full(len(iou), np.nan), where=measured > 0)


def _same_images(first: ImageMatrices, second: ImageMatrices) -> tuple[ImageMatrices, ImageMatrices]:
    """Both, the second in the first's order; where one does not know its images' cases, the other's hold."""
    if first.class_names != second.class_names:
        raise UserError(
            f"the first run has the classes {', '.join(first.class_names)}; "
            f"the second {', '.join(second.class_names)}, expected the same. Compare runs of one card."
        )
    place = {name: i for i, name in enumerate(second.names)}
    missing = [name for name in first.names if name not in place]
    if missing or len(first.names) != len(second.names):
        example = f", '{missing[0]}' not among the second's" if missing else ""
        raise UserError(
            f"the first run was scored on {len(first.names)} images, the second on {len(second.names)}{example}; "
            f"expected the same images. Score both with segnext-pafpn val on one split."
        )
    matrices = second.matrices[[place[name] for name in first.names]]
    if first.matrices.ndim != matrices.ndim:
        raise UserError(
            "one of the runs has several labels per pixel (multi_label: true), the other one label; "
            "expected two of a kind. Compare runs of one card."
        )
    unlike = first.matrices.sum(axis=-1) != matrices.sum(axis=-1)
    differ = np.flatnonzero(unlike.reshape(len(unlike), -1).any(axis=1))
    if differ.size:
        raise UserError(
            f"{first.names[differ[0]]}: its truth has other pixels in the two runs ({len(differ)} such images), "
            f"expected the same masks at the same size. Score both with segnext-pafpn val and the same data options."
        )
    theirs = tuple(second.cases[place[name]] for name in first.names) if second.cases else ()
    cases = first.cases or theirs
    differ = [name for name, a, b in zip(first.names, cases, theirs or cases, strict=False) if a != b]
    if differ:
        raise UserError(
            f"{differ[0]}: is of another case in the two runs ({len(differ)} such images), expected the same. Score "
            f"both with segnext-pafpn val and the same data options."
        )
    return replace(first, cases=cases), replace(first, matrices=matrices, cases=cases)


def verdict(comparison: Comparison) -> str:
    """What the interval allows to say, in a sentence."""
    c = comparison
    if c.num_cases < 2:
        return f"mIoU {100 * c.difference:+.2f} points: of a single case, so that nothing tells it from chance."
    kind = "images" if c.num_cases == c.num_images else "cases"
    what = (
        f"mIoU {100 * c.difference:+.2f} points, 95 % interval {100 * c.low:+.2f} to {100 * c.high:+.2f} "
        f"(paired bootstrap of {c.num_cases} {kind}, {c.num_resamples} resamples, seed {c.seed})"
    )
    if c.low > 0:
        return f"{what}: on {kind} like these the second is better."
    if c.high < 0:
        return f"{what}: on {kind} like these the first is better."
    return f"{what}: these {kind} cannot tell the two apart."


def comparison_table(comparison: Comparison, names: tuple[str, str]) -> Table:
    """IoU of each class in percent, side by side, and the difference in points."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("IoU, %", "mIoU", overflow="ellipsis")
    first, second = comparison.first, comparison.second
    footers = (percent_text(first.mIoU), percent_text(second.mIoU), _signed(comparison.difference))
    for heading, footer in zip((*names, "difference"), footers, strict=True):
        table.add_column(Text(heading), footer, justify="right")
    for name, a, b in zip(comparison.class_names, first.iou, second.iou, strict=True):
        table.add_row(Text(name), percent_text(a), percent_text(b), _signed(b - a))
    return table


def comparison_values(comparison: Comparison) -> Mapping[str, object]:
    """What JSON can hold of it, in percent."""
    c = comparison
    return {
        "mIoU": [percent(c.first.mIoU), percent(c.second.mIoU)],
        "difference": percent(c.difference),
        "interval_95": [percent(c.low), percent(c.high)],
        "share_of_resamples_second_better": round(c.better, 4),
        "images": c.num_images,
        "cases": c.num_cases,
        "resamples": c.num_resamples,
        "seed": c.seed,
        "per_class": [
            {"name": name, "IoU": [percent(a), percent(b)], "difference": percent(b - a)}
            for name, a, b in zip(c.class_names, c.first.iou, c.second.iou, strict=True)
        ],
    }


def _signed(fraction: float) -> str:
    return ABSENT if np.isnan(fraction) else f"{100 * fraction:+.2f}"
