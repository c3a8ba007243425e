"""Cells that boundaries divide, as the ISBI 2012 challenge scores them: picture by picture, then the mean."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from segnext_pafpn.evaluation.fields.base import FieldMetric, FieldReport, Picture
from segnext_pafpn.evaluation.score_table import ScoreTable, percent, percent_text
from segnext_pafpn.evaluation.scores import mean_of_measured
from segnext_pafpn.evaluation.segments import SegmentScores, segment_scores, segments_from_boundaries

NAMES = tuple(SegmentScores.__dataclass_fields__)
_BITS = ("vi_split", "vi_merge")  # no shares
_LABELS = {
    "rand": "V^Rand, %",
    "rand_split": "V^Rand split, %",
    "rand_merge": "V^Rand merge, %",
    "info": "V^Info, %",
    "info_split": "V^Info split, %",
    "info_merge": "V^Info merge, %",
    "vi_split": "VI split, bits",
    "vi_merge": "VI merge, bits",
}
THRESHOLDS = tuple(round(0.1 * step, 1) for step in range(1, 10))


class CellSegments(FieldMetric):
    """Rand and information scores inside true cells (:mod:`~segnext_pafpn.evaluation.segments`).

    A true cell is a connected region of pixels that are of no boundary class. The predicted ones are cut out twice:
    where the network decides for a boundary, and at each of :data:`THRESHOLDS` of the boundary's probability, of which
    the one with the best mean is told, as the challenge does. Boundaries are given to the nearest cell before scoring.

    Args:
        boundary: indices of the classes that divide cells.
    """

    name = "segments"
    wants_probabilities = True

    def __init__(self, boundary: Sequence[int], ignore_index: int = 255):
        self.boundary = sorted(boundary)
        self.ignore_index = ignore_index
        self.decided: list[SegmentScores] = []
        self.by_threshold: dict[float, list[SegmentScores]] = {threshold: [] for threshold in THRESHOLDS}

    def add(self, picture: Picture) -> None:
        outside = np.isin(picture.truth, self.boundary) | (picture.truth == self.ignore_index)
        truth = segments_from_boundaries(outside)
        self.decided.append(_scores(np.isin(picture.prediction, self.boundary), 0.5, truth))
        probability = picture.probabilities[self.boundary].sum(axis=0)
        for threshold, scores in self.by_threshold.items():
            scores.append(_scores(probability, threshold, truth))

    def report(self) -> FieldReport:
        decided = _means(self.decided)
        swept = {threshold: _means(scores) for threshold, scores in self.by_threshold.items()}
        values: dict[str, object] = {"pictures": len(self.decided), "at_decision": _values(decided)}
        columns = {"as decided": decided}
        for name in ("rand", "info"):
            best = max(swept, key=lambda threshold: np.nan_to_num(swept[threshold][name], nan=-1.0))
            values[f"best_{name}"] = {"threshold": best, **_values(swept[best])}
            columns[f"best V^{name.capitalize()} (at {best:g})"] = swept[best]
        values["by_threshold"] = [{"threshold": threshold, **_values(means)} for threshold, means in swept.items()]
        table = ScoreTable(
            title="Cells",
            head=["", *columns],
            rows=[
                [label, *(_text(name, means[name]) for means in columns.values())] for name, label in _LABELS.items()
            ],
            note=f"Mean of {len(self.decided)} pictures, inside true cells. The best thresholds of the boundary's "
            f"probability are those of these pictures.",
        )
        return FieldReport(values=values, tables=[table])


def _scores(probability: np.ndarray, threshold: float, truth: np.ndarray) -> SegmentScores:
    return segment_scores(segments_from_boundaries(probability, threshold, fill=True), truth)


def _means(scores: Sequence[SegmentScores]) -> dict[str, float]:
    rows = [asdict(score) for score in scores]
    return {name: mean_of_measured([row[name] for row in rows]) for name in NAMES}


def _values(means: dict[str, float]) -> dict[str, float | None]:
    bits = {name: None if np.isnan(means[name]) else round(means[name], 6) for name in _BITS}
    return {name: bits[name] if name in bits else percent(means[name]) for name in NAMES}


def _text(name: str, mean: float) -> str:
    if name in _BITS and not np.isnan(mean):
        return f"{mean:.3f}"
    return percent_text(mean)
