"""Street-scene scores beside the evaluation script of Cityscapes, on the same PNG files, and beside definitions."""

import cv2
import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as reference
from cityscapesscripts.helpers.labels import labels as city_labels
from PIL import Image

from segnext_pafpn.evaluation.metrics import ConfusionMatrix
from segnext_pafpn.evaluation.scores import scores_from_matrix
from segnext_pafpn.evaluation.streets import (
    CITYSCAPES_INSTANCE_SIZES,
    BoundaryIoU,
    InstanceIoU,
    boundary_band,
    merge_classes,
)
from tests.evaluation.city_script import verdict_of

IGNORE = 255
CLASSES = sorted((row for row in city_labels if 0 <= row.trainId < IGNORE), key=lambda row: row.trainId)
NAMES = [row.name for row in CLASSES]
CATEGORIES = [row.category for row in CLASSES]
SIZES = [CITYSCAPES_INSTANCE_SIZES.get(name) for name in NAMES]
TO_TRAIN = np.full(256, IGNORE, dtype=np.uint8)
for row in CLASSES:
    TO_TRAIN[row.id] = row.trainId


def city_pair(random, height=48, width=64):
    """Label ids and instance ids of a small street, with ignored regions, groups and instances of all kinds."""
    labels = random.choice([row.id for row in city_labels if row.id >= 0], size=(height // 8, width // 8))
    labels = labels.repeat(8, axis=0).repeat(8, axis=1).astype(np.int32)
    instances = labels.copy()
    for number in range(25):
        row = CLASSES[random.integers(11, 19)] if number % 5 else city_labels[29 + number % 2]  # caravans, trailers
        y, x = random.integers(0, height - 6), random.integers(0, width - 6)
        box = np.s_[y : y + random.integers(1, 14), x : x + random.integers(1, 14)]
        labels[box], instances[box] = row.id, 1000 * row.id + number
    box = np.s_[2:12, 3:20]
    labels[box], instances[box] = 26, 26  # a group of cars: cars that are no instances
    prediction = np.where(random.random(labels.shape) < 0.6, labels, random.permutation(labels))
    valid = TO_TRAIN[prediction] != IGNORE
    return labels, instances, np.where(valid, prediction, 7)  # networks predict nothing that is ignored


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    """Three pairs as PNG files, the reference's verdict on them, and our metrics of the same files."""
    folder, random = tmp_path_factory.mktemp("city"), np.random.default_rng(0)
    truths, predictions = [], []
    for i in range(3):
        labels, instances, prediction = city_pair(random)
        truths.append(str(folder / f"a_{i}_gtFine_labelIds.png"))
        predictions.append(str(folder / f"a_{i}_prediction.png"))
        Image.fromarray(labels.astype(np.uint8)).save(truths[-1])
        Image.fromarray(instances.astype(np.uint16)).save(truths[-1].replace("labelIds", "instanceIds"))
        Image.fromarray(prediction.astype(np.uint8)).save(predictions[-1])
    verdict = verdict_of(predictions, truths)

    matrix = ConfusionMatrix(len(CLASSES))
    by_class, by_category = InstanceIoU(SIZES), InstanceIoU(SIZES, CATEGORIES)
    for truth, predicted in zip(truths, predictions, strict=True):
        ids = np.asarray(Image.open(truth.replace("labelIds", "instanceIds"))).astype(np.int32)
        target, prediction = (
            torch.from_numpy(TO_TRAIN[np.asarray(Image.open(path))])[None] for path in (truth, predicted)
        )
        instances = torch.from_numpy(np.where(ids < 1000, 0, ids))[None]
        matrix.update(prediction, target)
        for metric in (by_class, by_category):
            metric.update(prediction, target, instances)
    return verdict, matrix.compute(), by_class, by_category


def test_the_confusion_matrix_is_that_of_the_cityscapes_script(city):
    verdict, matrix, _, _ = city
    ids = [row.id for row in CLASSES]
    assert np.array_equal(np.array(verdict["confMatrix"])[np.ix_(ids, ids)], matrix.numpy())
    assert matrix.sum() > 5000


def test_iou_of_classes_is_that_of_the_cityscapes_script_to_the_last_digit(city):
    verdict, matrix, _, _ = city
    scores = scores_from_matrix(matrix)
    assert scores.iou.tolist() == [verdict["classScores"][name] for name in NAMES]
    assert scores.mIoU == pytest.approx(verdict["averageScoreClasses"], rel=1e-15)


def test_iou_of_categories_is_that_of_the_cityscapes_script_to_the_last_digit(city):
    verdict, matrix, _, _ = city
    names, merged = merge_classes(matrix, CATEGORIES)
    assert names == ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
    scores = scores_from_matrix(merged)
    assert scores.iou.tolist() == [verdict["categoryScores"][name] for name in names]
    assert scores.mIoU == pytest.approx(verdict["averageScoreCategories"], rel=1e-15)


def test_instance_iou_is_that_of_the_cityscapes_script_to_the_last_digit(city):
    verdict, _, by_class, by_category = city
    ours = dict(zip(NAMES, by_class.compute().tolist(), strict=True))
    theirs = {name: verdict["classInstScores"][name] for name in NAMES}
    np.testing.assert_array_equal(list(ours.values()), list(theirs.values()))
    assert sum(not np.isnan(score) for score in ours.values()) == 8
    ours = dict(zip(by_category.names, by_category.compute().tolist(), strict=True))
    theirs = [verdict["categoryInstScores"][name] for name in ours]
    np.testing.assert_array_equal(list(ours.values()), theirs)
    assert [name for name, score in ours.items() if not np.isnan(score)] == ["human", "vehicle"]


def test_instance_sizes_are_those_of_the_cityscapes_script():
    assert {name: reference.args.avgClassSize[name] for name in CITYSCAPES_INSTANCE_SIZES} == CITYSCAPES_INSTANCE_SIZES


def test_instance_iou_worked_by_hand():
    """Mean size 4. Instance 1 has 1 pixel, right: weight 4. Instance 2 has 2 pixels, one right: weight 2 each.

    One false positive on class 0: IoU = (4 + 2) / (4 + 2 + 2 + 1).
    """
    metric = InstanceIoU([None, 4.0])
    target, instances = torch.tensor([[[1, 0, 1, 1, 0, 255]]]), torch.tensor([[[1, 0, 2, 2, 0, 3]]])
    metric.update(torch.tensor([[[1, 0, 1, 0, 1, 1]]]), target, instances)
    scores = metric.compute()
    assert scores[0].isnan() and scores[1].item() == 6 / 9


def test_instance_numbers_may_repeat_between_pictures():
    target = torch.ones(2, 1, 4, dtype=torch.uint8)
    prediction = torch.tensor([[[1, 1, 1, 1]], [[1, 1, 0, 0]]])
    together, apart = InstanceIoU([None, 4.0]), InstanceIoU([None, 4.0])
    together.update(prediction, target, torch.ones(2, 1, 4, dtype=torch.int32))
    apart.update(prediction, target, torch.tensor([[[1, 1, 1, 1]], [[2, 2, 2, 2]]]))
    assert together.compute()[1] == apart.compute()[1] == 6 / 8


def test_categories_need_one_name_per_class():
    with pytest.raises(ValueError, match="2 categories for 3 classes"):
        InstanceIoU([None, 1.0, 2.0], ["a", "b"])
    with pytest.raises(ValueError, match=r"2 categories for a matrix \(3, 3\)"):
        merge_classes(np.zeros((3, 3)), ["a", "b"])


def blobs(seed, height=37, width=53, num_classes=4):
    random = np.random.default_rng(seed)
    small = random.integers(0, num_classes, size=(6, 8)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_the_band_is_what_erosion_takes_off_each_class(width):
    labels = blobs(0)
    square = np.ones((3, 3), dtype=np.uint8)
    for k in range(4):
        mask = np.pad((labels == k).astype(np.uint8), 1)
        eroded = cv2.erode(mask, square, iterations=width)[1:-1, 1:-1]
        expected = (labels == k) & (eroded == 0)
        np.testing.assert_array_equal(boundary_band(labels, width) & (labels == k), expected)


def test_the_band_of_one_label_is_the_rim():
    band = boundary_band(np.zeros((6, 7), dtype=np.int64), 2)
    assert not band[2:-2, 2:-2].any() and band.sum() == 6 * 7 - 2 * 3


def test_boundary_iou_is_that_of_eroded_masks():
    truth, prediction = blobs(1), np.roll(blobs(1), 2, axis=1)
    truth[:5, :9] = IGNORE
    metric = BoundaryIoU(5, dilation_ratio=0.05)
    metric.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None])
    seen, steps = np.where(truth == IGNORE, IGNORE, prediction), round(0.05 * np.hypot(37, 53))
    scores = metric.compute()
    for k in range(4):
        bands = []
        for labels in (truth, seen):
            mask = np.pad((labels == k).astype(np.uint8), 1)
            bands.append((mask - cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=steps)) > 0)
        expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
        assert scores[k].item() == expected and 0 < expected < 1
    assert scores[4].isnan()


def test_boundary_iou_of_the_truth_itself_is_1_and_sums_over_pictures():
    truth = torch.from_numpy(np.stack([blobs(2), blobs(3)]))
    perfect = BoundaryIoU(4)
    perfect.update(truth, truth)
    assert perfect.compute().tolist() == [1, 1, 1, 1]
    other = torch.from_numpy(np.stack([blobs(4), blobs(5)]))
    whole, parts = BoundaryIoU(4), BoundaryIoU(4)
    whole.update(other, truth)
    for i in range(2):
        parts.update(other[i : i + 1], truth[i : i + 1])
    assert torch.equal(whole.compute(), parts.compute()) and whole.compute().max() < 1


def test_boundary_iou_minds_a_shift_more_than_iou_does():
    truth = np.zeros((100, 100), dtype=np.uint8)
    truth[20:80, 20:80] = 1
    prediction = np.roll(truth, 3, axis=1)
    boundary, matrix = BoundaryIoU(2), ConfusionMatrix(2)
    for metric in (boundary, matrix):
        metric.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None])
    assert boundary.compute()[1] < 0.6 < 0.9 < scores_from_matrix(matrix.compute()).iou[1]
