"""The scores of a confusion matrix, as fractions 0..1. Does without torch.

K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one confusion matrix, as fractions 0..1, NaN where there is nothing to measure.

    With TP, FP, FN the true positive, false positive and false negative pixels of a class:

    Attributes:
        aAcc: right pixels / all pixels.
        mIoU: mean of ``iou`` over the classes in truth or prediction.
        mAcc: mean of ``accuracy`` over the classes in the truth.
        mDice: mean of ``dice`` over the classes in truth or prediction.
        iou: TP / (TP + FP + FN), (K,).
        dice: 2 TP / (2 TP + FP + FN), (K,).
        accuracy: TP / (TP + FN), the recall of the class, (K,).
        truth_pixels: TP + FN, (K,) int64.
        predicted_pixels: TP + FP, (K,) int64.
        counted_pixels: all that were counted for the class, TP + FP + FN + TN, (K,) int64.
        num_averaged: number of classes in truth or prediction: those that mIoU and mDice average.
        num_classes: K.
    """

    aAcc: float
    mIoU: float
    mAcc: float
    mDice: float
    iou: np.ndarray
    dice: np.ndarray
    accuracy: np.ndarray
    truth_pixels: np.ndarray
    predicted_pixels: np.ndarray
    counted_pixels: np.ndarray
    num_averaged: int
    num_classes: int


def scores_from_matrix(matrix: np.ndarray) -> Scores:
    """Scores of a confusion matrix (K, K) of pixel counts, rows truth, columns prediction; or of K of them, (K, 2, 2).

    Of several, ``aAcc`` is the share of right answers over all pixels and classes.

    Raises:
        ValueError: if the matrix is not square.
    """
    counts = np.asarray(matrix)
    if not (counts.ndim == 2 and counts.shape[0] == counts.shape[1]) and counts.shape[1:] != (2, 2):
        raise ValueError(f"the confusion matrix is {counts.shape}, expected (K, K) or (K, 2, 2).")
    if counts.ndim == 3:
        right, truth, predicted = counts[:, 1, 1], counts[:, 1].sum(axis=1), counts[:, :, 1].sum(axis=1)
    else:
        right, truth, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    all_right = np.trace(counts, axis1=-2, axis2=-1).sum()
    iou = _ratio(right, truth + predicted - right)
    dice = _ratio(2 * right, truth + predicted)
    accuracy = _ratio(right, truth)
    return Scores(
        aAcc=float(_ratio(all_right, counts.sum())),
        mIoU=mean_of_measured(iou),
        mAcc=mean_of_measured(accuracy),
        mDice=mean_of_measured(dice),
        iou=iou,
        dice=dice,
        accuracy=accuracy,
        truth_pixels=truth.astype(np.int64),
        predicted_pixels=predicted.astype(np.int64),
        counted_pixels=np.broadcast_to(counts.sum(axis=(-2, -1)), len(counts)).astype(np.int64),
        num_averaged=int(np.count_nonzero(truth + predicted)),
        num_classes=len(counts),
    )


def grouped(matrix: np.ndarray, group_of_class: Sequence[int], num_groups: int) -> np.ndarray:
    """A confusion matrix (K, K) of classes as one of G groups of them, (G, G): confusing two of one group is no error.

    Args:
        matrix: pixels, rows truth, columns prediction.
        group_of_class: the place of each class's group, K numbers of 0..G-1.
        num_groups: G; a group may be without classes.
    """
    groups = np.zeros((num_groups, num_groups), dtype=matrix.dtype)
    np.add.at(groups, np.ix_(group_of_class, group_of_class), matrix)
    return groups


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def mean_of_measured(values: Sequence[float] | np.ndarray) -> float:
    """Mean without NaN; NaN if nothing else is left."""
    values = np.asarray(values, dtype=np.float64)
    measured = values[~np.isnan(values)]
    return float(measured.mean()) if measured.size else math.nan
