"""Scores of cases beside MONAI's and torchmetrics', and on shapes whose distances are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import (
    compute_average_surface_distance,
    compute_confusion_matrix_metric,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    get_confusion_matrix,
)
from torchmetrics.functional.classification import binary_auroc

from segnext_pafpn.evaluation.medical import area_under_roc, case_scores

DISTANCES = ("hd", "hd95", "asd")
OVERLAPS = ("dice", "iou", "sensitivity", "specificity", "precision", "volume_similarity")


def blob(shape, center, radius):
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return sum((axis - c) ** 2 for axis, c in zip(grid, center, strict=True)) <= radius**2


def rough_pair(shape, seed):
    random = np.random.default_rng(seed)
    truth = blob(shape, [n / 2 for n in shape], min(shape) / 3)
    prediction = blob(shape, [n / 2.4 for n in shape], min(shape) / 2.2) ^ (random.random(shape) < 0.02)
    return prediction, truth


def as_monai(mask):
    """(H, W) or (D, H, W) to (1, 1, ...)."""
    return torch.from_numpy(mask.astype(np.float32))[None, None]


def monai_distances(prediction, truth, spacing):
    options = {"y_pred": as_monai(prediction), "y": as_monai(truth), "include_background": True, "spacing": spacing}
    return {
        "hd": compute_hausdorff_distance(**options).item(),
        "hd95": compute_hausdorff_distance(percentile=95, **options).item(),
        "asd": compute_average_surface_distance(symmetric=True, **options).item(),
    }


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((60, 47), None), ((60, 47), [0.5, 2.0]), ((12, 30, 28), None), ((12, 30, 28), [5.0, 0.7, 0.9])],
)
def test_distances_are_monais_in_pictures_and_volumes_with_and_without_spacing(shape, spacing):
    prediction, truth = rough_pair(shape, seed=0)
    scores = case_scores(prediction, truth, spacing)
    for name, expected in monai_distances(prediction, truth, spacing).items():
        assert getattr(scores, name) == pytest.approx(expected, rel=1e-6), name
    assert 0 < scores.asd < scores.hd95 < scores.hd


def test_overlaps_are_monais():
    prediction, truth = rough_pair((12, 30, 28), seed=1)
    scores, pair = case_scores(prediction, truth), {"y_pred": as_monai(prediction), "y": as_monai(truth)}
    assert scores.dice == pytest.approx(compute_dice(**pair).item(), rel=1e-6)
    assert scores.iou == pytest.approx(compute_iou(**pair).item(), rel=1e-6)
    counts = get_confusion_matrix(**pair)
    for name in ("sensitivity", "specificity", "precision"):
        expected = compute_confusion_matrix_metric(name, counts).item()
        assert getattr(scores, name) == pytest.approx(expected, rel=1e-6), name


@pytest.mark.filterwarnings("ignore:.*may result in nan/inf distance")
@pytest.mark.parametrize("which", ["both", "prediction", "truth"])
def test_empty_masks_are_scored_as_monai_scores_them(which):
    full, empty = blob((20, 20), (9, 9), 5), np.zeros((20, 20), dtype=bool)
    prediction = empty if which in ("both", "prediction") else full
    truth = empty if which in ("both", "truth") else full
    scores = case_scores(prediction, truth)
    expected = compute_dice(as_monai(prediction), as_monai(truth), ignore_empty=False).item()
    assert scores.dice == scores.iou == scores.volume_similarity == expected == (which == "both")
    theirs = monai_distances(prediction, truth, None)
    np.testing.assert_array_equal([scores.hd, scores.asd], [theirs["hd"], theirs["asd"]])
    # MONAI's quantile of infinite distances is NaN; a percentile of numbers that are all infinite is infinite
    assert math.isnan(theirs["hd95"])
    np.testing.assert_array_equal(scores.hd95, math.nan if which == "both" else math.inf)
    assert math.isnan(scores.sensitivity) == (which != "prediction")
    assert math.isnan(scores.precision) == (which != "truth")


def test_two_squares_a_known_way_apart():
    """Squares of 2 x 2 pixels, one shifted by 3 pixels of 0.5: each pixel is 1.5 or 1.0 from the nearest."""
    truth = np.zeros((6, 9), dtype=np.uint8)
    truth[2:4, 1:3] = 1
    prediction = np.roll(truth, 3, axis=1)
    scores = case_scores(prediction, truth, spacing=(4.0, 0.5))
    assert (scores.hd, scores.asd, scores.dice) == (1.5, 1.25, 0)
    assert scores.hd95 == pytest.approx(1.5)
    assert (scores.volume_similarity, scores.sensitivity, scores.specificity) == (1, 0, 46 / 50)


def test_scores_worked_by_hand():
    """TP 1, FP 1, FN 2, TN 4."""
    scores = case_scores(np.array([[1, 1, 0, 0], [0, 0, 0, 0]]), np.array([[1, 0, 1, 1], [0, 0, 0, 0]]))
    assert scores.dice == 2 / 5 and scores.iou == 1 / 4
    assert (scores.sensitivity, scores.specificity, scores.precision) == (1 / 3, 4 / 5, 1 / 2)
    assert scores.volume_similarity == 1 - 1 / 5
    assert math.isnan(scores.auc)


def test_pixels_that_do_not_count_change_nothing():
    prediction, truth = rough_pair((30, 30), seed=2)
    probability = np.random.default_rng(0).random((30, 30))
    valid = np.zeros((30, 30), dtype=bool)
    valid[:, :20] = True
    part = case_scores(prediction[:, :20], truth[:, :20], probability=probability[:, :20])
    prediction[:, 20:] ^= True
    assert case_scores(prediction, truth, probability=probability, valid=valid) == part


masks = st.tuples(st.integers(2, 3), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[1]).random((2, *[(9, 8), (4, 6, 5)][drawn[0] - 2])) < 0.3
)


@settings(deadline=None, max_examples=40)
@given(masks, st.floats(0.1, 10))
def test_identity_is_perfect_exchange_is_fair_and_spacing_scales(pair, scale):
    prediction, truth = pair
    perfect, scores = case_scores(truth, truth), case_scores(prediction, truth)
    assert (perfect.dice, perfect.iou, perfect.hd, perfect.hd95, perfect.asd) == (1, 1, 0, 0, 0)
    exchanged = case_scores(truth, prediction)
    for name in (*DISTANCES, "dice", "iou", "volume_similarity"):
        assert getattr(exchanged, name) == pytest.approx(getattr(scores, name), rel=1e-12), name
    assert (exchanged.sensitivity, exchanged.precision) == (scores.precision, scores.sensitivity)
    scaled = case_scores(prediction, truth, spacing=[scale] * truth.ndim)
    for name in DISTANCES:
        assert getattr(scaled, name) == pytest.approx(scale * getattr(scores, name), rel=1e-9), name
    for name in OVERLAPS:
        assert getattr(scaled, name) == getattr(scores, name), name


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 200), st.sampled_from([5, 100_000]))
def test_area_under_roc_is_torchmetrics_with_and_without_ties(seed, size, levels):
    random = np.random.default_rng(seed)
    truth = random.random(size) < 0.4
    truth[:2] = True, False
    probability = (random.integers(0, levels, size) / levels).astype(np.float32)
    expected = binary_auroc(torch.from_numpy(probability), torch.from_numpy(truth).long()).item()
    assert area_under_roc(probability, truth) == pytest.approx(expected, abs=1e-6)
    assert area_under_roc(-probability, truth) == pytest.approx(1 - area_under_roc(probability, truth), abs=1e-12)


def test_area_under_roc_of_one_class_is_nan():
    assert math.isnan(area_under_roc(np.ones(4), np.ones(4)))
    assert math.isnan(area_under_roc(np.ones(4), np.zeros(4)))


def test_torch_tensors_are_taken_as_they_are():
    prediction, truth = rough_pair((30, 30), seed=3)
    assert (
        case_scores(torch.from_numpy(prediction), torch.from_numpy(truth)).dice == case_scores(prediction, truth).dice
    )


def test_a_wrong_shape_or_spacing_is_refused():
    mask = np.ones((4, 4))
    with pytest.raises(ValueError, match=r"prediction is \(4, 5\), expected \(4, 4\)"):
        case_scores(np.ones((4, 5)), mask)
    with pytest.raises(ValueError, match=r"spacing is \(1.0,\), expected one positive number for each of 2 axes"):
        case_scores(mask, mask, spacing=(1.0,))
    with pytest.raises(ValueError, match="spacing"):
        case_scores(mask, mask, spacing=(1.0, 0.0))
