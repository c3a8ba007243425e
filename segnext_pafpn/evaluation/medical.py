"""Scores of one medical case: an image (H, W) or a volume (D, H, W), one structure against everything else.

TP, FP, FN, TN are the true and false positive and negative pixels (voxels). Shares are fractions 0..1; distances
are in the unit of the spacing, which is millimetres where the images say so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import KDTree

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Scores of a structure in one case. NaN means: nothing to measure.

    In a case without a pixel that counts all are NaN. If truth and prediction are both empty, Dice, IoU and volume
    similarity are 1 and the distances NaN; if one of them is, the first three are 0 and the distances infinite. (MONAI
    gives the same distances, and the same Dice with ``ignore_empty=False``.)

    Attributes:
        dice: 2 TP / (2 TP + FP + FN).
        iou: TP / (TP + FP + FN).
        hd: Hausdorff distance: from the surface pixel that is farthest from the other surface.
        hd95: of each of the two directions the 95th percentile (linear between pixels), then the larger.
        asd: average symmetric surface distance: mean over the surface pixels of both.
        sensitivity: TP / (TP + FN); NaN if the truth is empty.
        specificity: TN / (TN + FP); NaN if the truth is everywhere.
        precision: TP / (TP + FP); NaN if the prediction is empty.
        volume_similarity: 1 - abs(FN - FP) / (2 TP + FP + FN) (Taha and Hanbury 2015).
        auc: area under the ROC curve; NaN without probabilities, or if the truth is empty or everywhere.
    """

    dice: float
    iou: float
    hd: float
    hd95: float
    asd: float
    sensitivity: float
    specificity: float
    precision: float
    volume_similarity: float
    auc: float = math.nan


def case_scores(
    prediction: Array,
    truth: Array,
    spacing: Sequence[float] | None = None,
    probability: Array | None = None,
    valid: Array | None = None,
) -> CaseScores:
    """Compare a predicted structure with the true one.

    Args:
        prediction: bool, or 0 and 1, (H, W) or (D, H, W).
        truth: the same for the truth.
        spacing: distance between neighbouring pixels along each axis, in the order of the axes; default 1.
        probability: of the structure, of the same shape, for ``auc``.
        valid: pixels that count, of the same shape, such as the field of view; elsewhere nothing is counted, and the
            structure is taken to end.

    Raises:
        ValueError: if shapes differ, or spacing does not have one positive number per axis.
    """
    prediction, truth = np.asarray(prediction) != 0, np.asarray(truth) != 0
    spacing = _checked_spacing(spacing, truth.ndim)
    _check_shape("prediction", prediction.shape, truth.shape)
    inside = None if valid is None else np.asarray(valid) != 0
    if inside is not None:
        _check_shape("valid", inside.shape, truth.shape)
        prediction, truth = prediction & inside, truth & inside
    right, predicted, true = (int(np.count_nonzero(mask)) for mask in (prediction & truth, prediction, truth))
    pixels = truth.size if inside is None else int(np.count_nonzero(inside))
    far, far95, mean = _surface_scores(prediction, truth, spacing)
    alike = 1.0 if pixels else math.nan
    auc = math.nan
    if probability is not None:
        probability = np.asarray(probability)
        _check_shape("probability", probability.shape, truth.shape)
        counted = ... if inside is None else inside
        auc = area_under_roc(probability[counted], truth[counted])
    return CaseScores(
        dice=_ratio(2 * right, predicted + true, empty=alike),
        iou=_ratio(right, predicted + true - right, empty=alike),
        hd=far,
        hd95=far95,
        asd=mean,
        sensitivity=_ratio(right, true),
        specificity=_ratio(pixels - predicted - true + right, pixels - true),
        precision=_ratio(right, predicted),
        volume_similarity=1.0 - _ratio(abs(true - predicted), true + predicted, empty=1.0 - alike),
        auc=auc,
    )


def surface_distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each surface pixel of the prediction to the surface of the truth, and the other way round.

    A surface pixel is one of the structure with a neighbour across a face that is not, or with the picture's rim
    there. The nearest is found in a tree of the surface pixels, so that the cost does not grow with the volume.

    Args:
        prediction, truth: bool, (H, W) or (D, H, W), neither empty.
        spacing: of each axis.
    """
    points = [_surface_pixels(mask) * np.asarray(spacing, dtype=np.float64) for mask in (prediction, truth)]
    trees = [KDTree(p, leafsize=32, balanced_tree=False, compact_nodes=False) for p in points]
    return trees[1].query(points[0])[0], trees[0].query(points[1])[0]


def area_under_roc(probability: Array, truth: Array) -> float:
    """The share of pairs of a true and a false pixel in which the true one is more probable; ties count half.

    This is the area under the ROC curve of all thresholds. NaN if there is no such pair.

    Args:
        probability: any shape, any float type; only its order matters.
        truth: bool, or 0 and 1, of the same shape.
    """
    probability, truth = np.asarray(probability), np.asarray(truth) != 0
    _check_shape("probability", probability.shape, truth.shape)
    positive, negative = probability[truth], np.sort(probability[~truth])
    if not positive.size or not negative.size:
        return math.nan
    positive = np.sort(positive)  # searching in order is several times faster
    below = int(np.searchsorted(negative, positive, side="left").sum())
    not_above = int(np.searchsorted(negative, positive, side="right").sum())
    return (below + not_above) / (2 * positive.size * negative.size)


def _surface_scores(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> tuple[float, float, float]:
    """Farthest, 95th percentile and mean distance of the surfaces."""
    empty = not prediction.any(), not truth.any()
    if any(empty):
        distance = math.nan if all(empty) else math.inf
        return distance, distance, distance
    there, back = surface_distances(prediction, truth, spacing)
    far95 = max(float(np.percentile(distances, 95)) for distances in (there, back))
    return float(max(there.max(), back.max())), far95, float(np.concatenate([there, back]).mean())


def _surface_pixels(mask: np.ndarray) -> np.ndarray:
    """Indices (N, axes) of the surface pixels of a mask that is not empty."""
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    inside = mask[box]
    return np.argwhere(inside & ~ndimage.binary_erosion(inside)) + [part.start for part in box]


def _checked_spacing(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    if spacing is None:
        return (1.0,) * axes
    if len(spacing) != axes or not all(math.isfinite(step) and step > 0 for step in spacing):
        raise ValueError(f"spacing is {tuple(spacing)}, expected one positive number for each of {axes} axes.")
    return tuple(float(step) for step in spacing)


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"{name} is {shape}, expected {expected}, the shape of the truth.")


def _ratio(part: int, whole: int, empty: float = math.nan) -> float:
    return part / whole if whole else empty
