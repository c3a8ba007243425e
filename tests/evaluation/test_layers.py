"""Scores and pictures where a pixel may be of several classes."""

import numpy as np
import pytest
import torch

from segnext_pafpn.evaluation.figures import picture_sheet
from segnext_pafpn.evaluation.metrics import LayerMatrices, count_each_image, count_layers
from segnext_pafpn.evaluation.per_image import ImageMatrices
from segnext_pafpn.evaluation.pictures import SheetRow, colorize, error_picture, wrong_and_ignored
from segnext_pafpn.evaluation.scores import scores_from_matrix

# two classes in a picture of 1x4: they overlap in the second pixel, the last does not count for the second class
TRUTH = torch.tensor([[[[1, 1, 0, 0]], [[0, 1, 1, 255]]]], dtype=torch.uint8)
SAID = torch.tensor([[[[1, 0, 0, 1]], [[0, 1, 0, 1]]]])
BY_HAND = [[[1, 1], [1, 1]], [[1, 0], [1, 1]]]  # [[TN, FP], [FN, TP]] of each


def test_each_class_is_counted_against_everything_else_and_overlaps_count_twice():
    assert count_layers(SAID, TRUTH)[0].tolist() == BY_HAND
    assert count_each_image(SAID, TRUTH, 2).dtype == torch.int32
    metric = LayerMatrices(2)
    metric.update(SAID, TRUTH)
    metric.update(SAID, TRUTH)
    assert metric.compute().tolist() == (2 * np.array(BY_HAND)).tolist()


def test_scores_by_hand():
    scores = scores_from_matrix(np.array(BY_HAND))
    np.testing.assert_allclose(scores.iou, [1 / 3, 1 / 2])
    np.testing.assert_allclose(scores.dice, [1 / 2, 2 / 3])
    np.testing.assert_allclose(scores.accuracy, [1 / 2, 1 / 2])
    assert scores.truth_pixels.tolist() == [2, 2] and scores.num_classes == 2
    assert scores.aAcc == pytest.approx(4 / 7) and scores.mIoU == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_three_classes_are_not_taken_for_three_matrices():
    """(3, 3) is one matrix; (3, 2, 2) are three; anything else is refused."""
    assert scores_from_matrix(np.eye(3, dtype=int)).num_classes == 3
    assert scores_from_matrix(np.ones((3, 2, 2), int)).num_classes == 3
    with pytest.raises(ValueError, match=r"expected \(K, K\) or \(K, 2, 2\)"):
        scores_from_matrix(np.ones((3, 2), int))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected both as \(B, 2, H, W\)"):
        LayerMatrices(2).update(SAID[:, 0], TRUTH[:, 0])


def test_pictures_are_ranked_by_the_mean_of_their_classes():
    bad = np.array([[[0, 4], [0, 0]], [[3, 0], [1, 0]]])
    empty = np.array([[[4, 0], [0, 0]], [[4, 0], [0, 0]]])
    images = ImageMatrices(("ok", "bad", "empty"), np.stack([BY_HAND, bad, empty]), ("a", "b"), "val")
    np.testing.assert_allclose(images.iou(), [[1 / 3, 1 / 2], [0, 0], [np.nan, np.nan]])
    np.testing.assert_allclose(images.accuracy(), [4 / 7, 3 / 8, 1])
    assert [images.names[i] for i in images.worst_first()] == ["bad", "ok"]


def test_a_pixel_has_the_mean_colour_of_its_classes():
    picture = colorize(TRUTH[0].numpy(), [(200, 0, 0), (0, 100, 50)])
    assert picture[0].tolist() == [[200, 0, 0], [100, 50, 25], [0, 100, 50], [0, 0, 0]]


def test_a_pixel_is_wrong_if_one_of_its_classes_is_and_ignored_if_none_counts(tmp_path):
    truth, said = TRUTH[0].numpy().copy(), SAID[0].to(torch.uint8).numpy()
    row = SheetRow("a", np.zeros((1, 4, 3), np.uint8), truth, said)
    wrong, ignored = wrong_and_ignored(row, 255)
    assert wrong.tolist() == [[False, True, True, True]] and not ignored.any()
    truth[:, 0, 0] = 255
    wrong, ignored = wrong_and_ignored(row, 255)
    assert ignored.tolist() == [[True, False, False, False]] and not wrong[0, 0]
    assert (error_picture(row, 255)[0, 1:] == [255, 0, 255]).all()
    picture_sheet([row], ["a", "b"], [(200, 0, 0), (0, 100, 50)], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000
