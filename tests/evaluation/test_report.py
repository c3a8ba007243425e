import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation import report
from segnext_pafpn.evaluation.report import scores_table, write_confusion, write_scores
from segnext_pafpn.evaluation.scores import scores_from_matrix

NAMES = ["road", "[red]sky[/red]", "tram"]
MATRIX = np.array([[1, 0, 0], [1, 2, 0], [0, 0, 0]])  # IoU 1/2, 2/3, absent; see test_metrics


@pytest.fixture
def scores():
    return scores_from_matrix(MATRIX)


def printed(table, width=80):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def test_table_shows_percent_per_class_and_the_means(scores):
    lines = [line.split() for line in printed(scores_table(scores, NAMES, "camvid test"))]
    assert ["camvid", "test"] in lines
    assert ["road", "50.00", "66.67", "100.00", "25.00"] in lines
    assert ["[red]sky[/red]", "66.67", "80.00", "66.67", "75.00"] in lines
    assert ["mean", "over", "2", "of", "3", "classes", "58.33", "73.33", "83.33"] in lines
    assert ["aAcc", "75.00", "mIoU", "58.33", "mAcc", "83.33", "mDice", "73.33", "(percent)"] in lines


def test_overlapping_classes_have_their_share_of_the_pixels_each():
    scores = scores_from_matrix(np.array([[[1, 0], [0, 3]], [[2, 0], [0, 2]]]))
    lines = [line.split() for line in printed(scores_table(scores, ["disc", "cup"], "eyes"))]
    assert ["disc", "100.00", "100.00", "100.00", "75.00"] in lines
    assert ["cup", "100.00", "100.00", "100.00", "50.00"] in lines


def test_table_shows_a_dash_for_what_an_absent_class_has_not(scores):
    lines = [line.split() for line in printed(scores_table(scores, NAMES, "test"))]
    assert ["tram", "-", "-", "-", "-"] in lines


def test_table_tells_a_rare_class_from_none():
    scores = scores_from_matrix(np.array([[99_999, 0, 0], [0, 1, 0], [0, 0, 0]]))
    lines = [line.split() for line in printed(scores_table(scores, ["a", "b", "c"], "test"))]
    assert ["b", "100.00", "100.00", "100.00", "<0.01"] in lines


def test_table_of_no_pixels_is_all_dashes():
    lines = [line.split() for line in printed(scores_table(scores_from_matrix(np.zeros((2, 2))), "ab", "test"))]
    assert ["mean", "over", "0", "of", "2", "classes", "-", "-", "-"] in lines


def test_table_fits_80_columns_and_keeps_its_numbers_whole():
    names = ["a class name that is far too long for any table that fits in a terminal", "b"]
    lines = printed(scores_table(scores_from_matrix(np.eye(2)), names, "test"))
    assert max(map(len, lines)) <= 80
    assert sum("100.00" in line for line in lines) == 4


def test_json_holds_percent_with_null_for_absent_classes_and_the_extra_keys(scores, tmp_path):
    extra = {"split": "test", "checkpoint": Path("runs/best.ckpt")}
    write_scores(scores, NAMES, tmp_path / "new" / "folder", "test", extra)
    assert json.loads((tmp_path / "new" / "folder" / "test.json").read_text()) == {
        "split": "test",
        "checkpoint": "runs/best.ckpt",
        "aAcc": 75.0,
        "mIoU": 58.3333,
        "mAcc": 83.3333,
        "mDice": 73.3333,
        "num_averaged": 2,
        "num_classes": 3,
        "per_class": [
            {"name": "road", "IoU": 50.0, "Dice": 66.6667, "accuracy": 100.0, "truth_pixels": 1},
            {"name": "[red]sky[/red]", "IoU": 66.6667, "Dice": 80.0, "accuracy": 66.6667, "truth_pixels": 3},
            {"name": "tram", "IoU": None, "Dice": None, "accuracy": None, "truth_pixels": 0},
        ],
    }


def test_csv_has_a_row_per_class_and_one_of_means(scores, tmp_path):
    write_scores(scores, ["road", "sky, clouds", "tram"], tmp_path, "test", {})
    with (tmp_path / "test.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["name", "IoU", "Dice", "accuracy", "truth_pixels"],
        ["road", "50.0", "66.6667", "100.0", "1"],
        ["sky, clouds", "66.6667", "80.0", "66.6667", "3"],
        ["tram", "", "", "", "0"],
        ["mean", "58.3333", "73.3333", "83.3333", ""],
    ]


@pytest.mark.parametrize("matrix", [MATRIX, torch.tensor(MATRIX)], ids=["numpy", "torch"])
def test_confusion_csv_holds_the_matrix_under_its_class_names(matrix, tmp_path):
    write_confusion(matrix, ["a", "b", "c"], tmp_path, "test")
    assert (tmp_path / "test_confusion.csv").read_text().splitlines() == [
        "truth \\ prediction,a,b,c",
        "a,1,0,0",
        "b,1,2,0",
        "c,0,0,0",
    ]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(scores, tmp_path, monkeypatch):
    write_scores(scores, NAMES, tmp_path, "test", {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fill_the_disk(self, text, encoding, errors):
        self.write_bytes(text.encode()[:10])
        raise OSError("No space left on device")

    monkeypatch.setattr(report.Path, "write_text", fill_the_disk)
    with pytest.raises(UserError, match="cannot be written .No space"):
        write_scores(scores_from_matrix(np.eye(3)), NAMES, tmp_path, "test", {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_extra_that_json_cannot_hold_writes_nothing(scores, tmp_path):
    with pytest.raises(TypeError):
        write_scores(scores, NAMES, tmp_path, "test", {"model": object()})
    assert not list(tmp_path.iterdir())


def test_an_extra_key_may_not_hide_a_score(scores, tmp_path):
    with pytest.raises(ValueError, match=r"extra keys \['mIoU'\] are names of scores in test.json"):
        write_scores(scores, NAMES, tmp_path, "test", {"mIoU": 99.9})


def test_one_name_per_class_is_asked_for(scores, tmp_path):
    for write in (
        lambda: scores_table(scores, ["road"], "test"),
        lambda: write_scores(scores, ["road"], tmp_path, "test", {}),
        lambda: write_confusion(MATRIX, ["road"], tmp_path, "test"),
    ):
        with pytest.raises(ValueError, match="1 class names for 3 classes"):
            write()
