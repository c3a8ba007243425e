"""Scores of regions, which are unions of classes, from the confusion matrix of the classes."""

from collections.abc import Mapping, Sequence

import numpy as np

from segnext_pafpn.evaluation.fields.base import FieldReport
from segnext_pafpn.evaluation.score_table import ScoreTable, percent, percent_text
from segnext_pafpn.evaluation.scores import Scores, grouped, scores_from_matrix


def region_scores(matrix: np.ndarray, classes: Sequence[int]) -> Scores:
    """Scores of two rows, everything else and the region, from a matrix (K, K) of pixels, rows truth.

    A pixel counts for the region where its class is any of these, in truth and in prediction alike: confusing two
    classes of one region is no error.

    Args:
        classes: training ids of the region's classes.
    """
    matrix = np.asarray(matrix, dtype=np.int64)
    inside = [int(label in classes) for label in range(len(matrix))]
    return scores_from_matrix(grouped(matrix, inside, 2))


def region_report(matrix: np.ndarray, regions: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> FieldReport:
    """For JSON ``per_region``, and a table; both empty without regions.

    Args:
        matrix: (K, K) pixels, rows truth, columns prediction.
        regions: training ids of each region's classes, by its name.
        class_names: K.
    """
    rows, values, notes = [], [], []
    for name, classes in regions.items():
        scores = region_scores(matrix, classes)
        found = [float(score[1]) for score in (scores.iou, scores.dice, scores.accuracy)]
        pixels, total = int(scores.truth_pixels[1]), int(scores.truth_pixels.sum())
        parts = [class_names[label] for label in classes]
        rows.append([name, *map(percent_text, found), percent_text(pixels / total if total else np.nan)])
        named = dict(zip(("IoU", "Dice", "accuracy"), map(percent, found), strict=True))
        values.append({"name": name, "classes": parts, **named, "truth_pixels": pixels})
        notes.append(f"{name} = {' + '.join(parts)}")
    if not rows:
        return FieldReport(values={})
    head = ["region", "IoU, %", "Dice, %", "accuracy, %", "% of truth"]
    note = f"Each region is scored as the union of its classes: {'; '.join(notes)}. mIoU is of the classes alone."
    table = ScoreTable(title="Regions", head=head, rows=rows, note=note)
    return FieldReport(values={"per_region": values}, tables=[table])
