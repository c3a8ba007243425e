"""Regions are scored as the union of their classes, as nnU-Net and BraTS score them."""

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
)

from segnext_pafpn.evaluation.cases import CaseTable
from segnext_pafpn.evaluation.fields import MedicalCases, Picture
from segnext_pafpn.evaluation.regions import region_report, region_scores

NAMES = ("background", "whole (rest)", "core (rest)", "enhancing")
REGIONS = {"whole": (1, 2, 3), "core": (2, 3)}


def test_a_region_counts_confusions_of_its_own_classes_as_right():
    matrix = np.array([[90, 1, 1, 0], [2, 10, 3, 0], [0, 4, 5, 1], [1, 0, 2, 6]])
    whole = region_scores(matrix, REGIONS["whole"])  # 31 right, 2 wrongly predicted, 3 missed
    assert whole.iou[1] == 31 / 36 and whole.dice[1] == 62 / 67 and whole.accuracy[1] == 31 / 34
    core = region_scores(matrix, REGIONS["core"])  # 14 right, 1 + 3 wrongly predicted, 4 + 1 missed
    assert core.iou[1] == 14 / 23 and core.truth_pixels[1] == 19


def test_the_report_names_the_classes_of_each_region_and_there_is_none_without_regions():
    matrix = np.diag([90, 10, 5, 0])
    report = region_report(matrix, REGIONS, NAMES)
    row = report.values["per_region"][0]
    assert (row["name"], row["IoU"], row["truth_pixels"]) == ("whole", 100, 15) and row["classes"] == list(NAMES[1:])
    assert report.tables[0].rows[1] == ["core", "100.00", "100.00", "100.00", "4.76"]
    assert "core = core (rest) + enhancing" in report.tables[0].note
    empty = region_report(matrix, {"enhancing or not": (3,)}, NAMES)
    assert empty.values["per_region"][0]["Dice"] is None and empty.tables[0].rows[0][1] == "-"
    assert region_report(matrix, {}, NAMES).values == {} and not region_report(matrix, {}, NAMES).tables


def test_a_region_of_a_case_is_counted_by_hand():
    truth = np.array([[1, 1, 2, 3], [0, 0, 0, 255]])
    prediction = np.array([[2, 1, 3, 0], [0, 0, 1, 3]])
    table = CaseTable({1: "rest", 2: "core (rest)", 3: "enhancing"}, regions=REGIONS)
    table.add("a", prediction, truth)
    dice = {name: table.scored.summary(name)["dice"].mean for name in table.members}
    assert list(dice) == ["whole", "core", "rest", "core (rest)", "enhancing"]
    assert dice["whole"] == 2 * 3 / (4 + 4)  # three of four true ones found, one too many
    assert dice["core"] == 2 * 1 / (2 + 2)
    assert dice["rest"] == 2 * 1 / (2 + 2) and dice["enhancing"] == 0


def test_regions_of_a_case_are_monais_of_the_union():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (9, 24, 20)), indexing="ij"))
    distance = np.sqrt((((grid.T - [4, 12, 10]) * [2, 1, 1]).T ** 2).sum(axis=0))
    truth = (distance < 9).astype(np.uint8) + (distance < 6) + (distance < 3)
    prediction = np.where(rng.random(truth.shape) < 0.1, rng.integers(0, 4, truth.shape), np.roll(truth, 1, axis=2))
    spacing = (2.0, 0.5, 0.75)
    metric = MedicalCases({1: "rest", 2: "core (rest)", 3: "enhancing"}, regions=REGIONS)
    metric.add(Picture(name="a", prediction=prediction, truth=truth, spacing=spacing))
    found = metric.report().values["structures"]
    for name, classes in REGIONS.items():
        masks = [torch.from_numpy(np.isin(m, classes).astype(np.float32))[None, None] for m in (prediction, truth)]
        pair = {"y_pred": masks[0], "y": masks[1]}
        surface = {**pair, "include_background": True, "spacing": spacing}
        expected = {
            "dice": 100 * compute_dice(**pair).item(),
            "iou": 100 * compute_iou(**pair).item(),
            "hd95": compute_hausdorff_distance(percentile=95, **surface).item(),
            "asd": compute_average_surface_distance(symmetric=True, **surface).item(),
        }
        for score, value in expected.items():
            assert found[name][score]["mean"] == pytest.approx(value, abs=1e-3), (name, score)


def test_a_regions_probability_is_that_of_its_classes_together():
    truth = np.array([[0, 1, 2, 0]])
    probabilities = np.array([[[0.5, 0.4, 0.3, 0.9]], [[0.4, 0.1, 0.0, 0.1]], [[0.1, 0.5, 0.7, 0.0]]])
    metric = MedicalCases({2: "b"}, regions={"both": (1, 2)})
    metric.add(Picture(name="a", prediction=probabilities.argmax(0), truth=truth, probabilities=probabilities))
    structures = metric.report().values["structures"]
    assert structures["both"]["auc"]["mean"] == 100  # 0.6 and 0.7 against 0.5 and 0.1
    assert structures["b"]["auc"]["mean"] == 100 and list(structures) == ["both", "b"]
