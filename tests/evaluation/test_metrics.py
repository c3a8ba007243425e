import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.classification import multiclass_confusion_matrix

from segnext_pafpn.evaluation.metrics import ConfusionMatrix
from segnext_pafpn.evaluation.scores import scores_from_matrix

IGNORE = 255


def matrix_of(prediction, target, num_classes, ignore_index=IGNORE, dtype=torch.int64):
    metric = ConfusionMatrix(num_classes, ignore_index)
    metric.update(torch.tensor([prediction], dtype=dtype), torch.tensor([target], dtype=dtype))
    return metric.compute()


def test_rows_are_the_truth_and_columns_the_prediction():
    matrix = matrix_of(prediction=[[0, 0], [1, 1]], target=[[0, 1], [1, 1]], num_classes=2)
    assert matrix.tolist() == [[1, 0], [1, 2]]
    assert matrix.dtype == torch.int64


def test_two_by_two_picture_gives_the_scores_worked_by_hand():
    """Class 0: TP 1, FP 1, FN 0. Class 1: TP 2, FP 0, FN 1. Three of four pixels are right."""
    scores = scores_from_matrix(matrix_of([[0, 0], [1, 1]], [[0, 1], [1, 1]], num_classes=2))
    np.testing.assert_allclose(scores.iou, [1 / 2, 2 / 3])
    np.testing.assert_allclose(scores.dice, [2 / 3, 4 / 5])
    np.testing.assert_allclose(scores.accuracy, [1, 2 / 3])
    assert scores.aAcc == pytest.approx(3 / 4)
    assert scores.mIoU == pytest.approx(7 / 12)
    assert scores.mDice == pytest.approx(11 / 15)
    assert scores.mAcc == pytest.approx(5 / 6)
    assert scores.truth_pixels.tolist() == [1, 3]
    assert (scores.num_averaged, scores.num_classes) == (2, 2)


def test_ignored_pixels_do_not_change_miou():
    without = matrix_of([[0, 0], [1, 1]], [[0, 1], [1, 1]], num_classes=2)
    with_ignored = matrix_of([[0, 0], [1, 1], [0, 1]], [[0, 1], [1, 1], [IGNORE, IGNORE]], num_classes=2)
    assert torch.equal(without, with_ignored)


def test_ignore_index_may_be_a_class_or_negative():
    assert matrix_of([[0, 1]], [[0, 1]], 2, ignore_index=0).tolist() == [[0, 0], [0, 1]]
    assert matrix_of([[0, 1]], [[-100, 1]], 2, ignore_index=-100).tolist() == [[0, 0], [0, 1]]


def test_a_negative_ignore_index_does_not_wrap_around_in_uint8():
    """-100 and 156 are the same byte."""
    matrix = matrix_of([[0, 156]], [[0, 156]], 157, ignore_index=-100, dtype=torch.uint8)
    assert matrix[156, 156] == 1


def test_class_in_neither_truth_nor_prediction_is_left_out_of_the_means():
    scores = scores_from_matrix(np.array([[1, 0, 0], [1, 2, 0], [0, 0, 0]]))
    assert np.isnan([scores.iou[2], scores.dice[2], scores.accuracy[2]]).all()
    assert scores.mIoU == pytest.approx(7 / 12)
    assert scores.mAcc == pytest.approx(5 / 6)
    assert (scores.num_averaged, scores.num_classes) == (2, 3)


def test_class_only_predicted_counts_as_zero_in_miou_but_not_in_macc():
    scores = scores_from_matrix(np.array([[3, 1], [0, 0]]))
    np.testing.assert_allclose(scores.iou, [3 / 4, 0])
    assert np.isnan(scores.accuracy[1])
    assert scores.mIoU == pytest.approx(3 / 8)
    assert scores.mAcc == pytest.approx(3 / 4)
    assert scores.num_averaged == 2


def test_no_pixel_at_all_gives_nan_everywhere_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = scores_from_matrix(matrix_of([[0, 1]], [[IGNORE, IGNORE]], num_classes=3))
    assert np.isnan([scores.aAcc, scores.mIoU, scores.mAcc, scores.mDice]).all()
    assert np.isnan([scores.iou, scores.dice, scores.accuracy]).all()
    assert scores.num_averaged == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_every_integer_type_counts_alike(dtype):
    """Class 20 of 21 sits in cell 440, beyond what a uint8 holds."""
    matrix = matrix_of([[20, 3]], [[20, 20]], num_classes=21, dtype=dtype)
    assert matrix[20, 20] == 1 and matrix[20, 3] == 1 and matrix.sum() == 2


def test_values_outside_the_classes_do_not_corrupt_other_cells():
    prediction, target = [[0, 1, 1, 2, -1, 9]], [[0, 2, -1, 0, 1, 1]]
    assert matrix_of(prediction, target, num_classes=2).tolist() == [[1, 0], [0, 0]]


label_maps = st.integers(2, 7).flatmap(
    lambda num_classes: st.tuples(
        st.just(num_classes),
        st.lists(
            st.tuples(st.integers(0, num_classes - 1), st.sampled_from([*range(num_classes), IGNORE])),
            min_size=1,
            max_size=60,
        ),
    )
)


@settings(deadline=None, max_examples=60)
@given(label_maps, st.data())
def test_any_split_into_batches_agrees_with_torchmetrics_on_the_whole(labels, data):
    num_classes, pixels = labels
    prediction, target = torch.tensor(pixels).T.reshape(2, 1, 1, -1)
    cut = data.draw(st.integers(0, len(pixels)))
    metric = ConfusionMatrix(num_classes)
    for part in (slice(None, cut), slice(cut, None)):
        metric.update(prediction[..., part], target[..., part].to(torch.uint8))
    assert torch.equal(
        metric.compute(), multiclass_confusion_matrix(prediction, target, num_classes, ignore_index=IGNORE)
    )

    scores = scores_from_matrix(metric.compute())
    if scores.num_averaged:
        jaccard = MulticlassJaccardIndex(num_classes, average="macro", ignore_index=IGNORE)
        jaccard.update(prediction, target)
        assert scores.mIoU == pytest.approx(jaccard.compute().item(), abs=1e-6)


def test_two_metrics_merged_by_summing_equal_one():
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randint(0, 4, (2, 6, 5, 7), generator=generator)
    whole, first, second = (ConfusionMatrix(4) for _ in range(3))
    whole.update(prediction, target)
    first.update(prediction[:2], target[:2])
    second.update(prediction[2:], target[2:])
    merged = first.metric_state["matrix"] + second.metric_state["matrix"]
    assert torch.equal(merged, whole.compute())
    first.merge_state(second)
    assert torch.equal(first.compute(), whole.compute())


def test_a_computed_matrix_keeps_its_values_when_more_is_counted():
    metric = ConfusionMatrix(2)
    metric.update(torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2, dtype=torch.int64))
    early = metric.compute()
    metric.update(torch.ones(1, 2, 2, dtype=torch.int64), torch.ones(1, 2, 2, dtype=torch.int64))
    assert early.tolist() == [[4, 0], [0, 0]]
    assert metric.compute().tolist() == [[4, 0], [0, 4]]


def test_reset_starts_again_from_zero():
    metric = ConfusionMatrix(2)
    metric.update(torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2, dtype=torch.int64))
    metric.reset()
    metric.update(torch.ones(1, 1, 1, dtype=torch.int64), torch.ones(1, 1, 1, dtype=torch.int64))
    assert metric.compute().tolist() == [[0, 0], [0, 1]]


def test_a_metric_reset_in_inference_mode_counts_on_outside_it():
    metric, zeros = ConfusionMatrix(2), torch.zeros(1, 2, 2, dtype=torch.int64)
    with torch.inference_mode():
        metric.reset()
        metric.update(zeros, zeros)
    metric.update(zeros, zeros)
    assert metric.compute().tolist() == [[8, 0], [0, 0]]


def test_an_update_never_reads_a_value_back_from_the_device():
    """Tensors on the meta device have no values, so anything that waits for one raises."""
    metric = ConfusionMatrix(3).to("meta")
    metric.update(torch.zeros(2, 4, 4, dtype=torch.int64, device="meta"), torch.zeros(2, 4, 4, device="meta").byte())
    assert metric.matrix.shape == (3, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_update_does_not_synchronise_cuda():
    metric = ConfusionMatrix(2).to("cuda")
    prediction = torch.tensor([[[0, 0], [1, 1]]], device="cuda")
    target = torch.tensor([[[0, 1], [1, 255]]], device="cuda", dtype=torch.uint8)
    metric.update(prediction, target)
    torch.cuda.set_sync_debug_mode("error")
    try:
        metric.update(prediction, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert metric.compute().tolist() == [[2, 0], [2, 2]]


def test_shapes_that_differ_are_refused_and_named():
    with pytest.raises(ValueError, match=r"prediction is \(1, 3, 2, 2\), target is \(1, 2, 2\).*argmax"):
        ConfusionMatrix(3).update(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8))


def test_maps_that_are_not_integer_are_refused():
    with pytest.raises(ValueError, match=r"prediction is torch\.float32, expected integers"):
        ConfusionMatrix(3).update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="num_classes is 1, expected at least 2"):
        ConfusionMatrix(1)


def test_scores_of_a_matrix_that_is_not_square_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\), expected \(K, K\)"):
        scores_from_matrix(np.zeros((2, 3)))
