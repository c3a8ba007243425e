"""Sums over the folds of a cross-validation, beside statistics' own and the scores of all images at once."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segnext_pafpn.cli import main
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.cases import CaseTable
from segnext_pafpn.evaluation.fields.medical import medical_report
from segnext_pafpn.evaluation.fold_cases import cases_of_folds
from segnext_pafpn.evaluation.folds import cross_validate, fold_values, pool_folds
from segnext_pafpn.evaluation.per_image import ImageMatrices, save_images
from segnext_pafpn.evaluation.scores import scores_from_matrix
from segnext_pafpn.files import write_json
from tests.conftest import error_of

CLASSES = ("background", "tumour")


def fold(matrices: np.ndarray, first: int, classes=CLASSES, cases=()) -> ImageMatrices:
    """Images called i<first>, i<first + 1>, ..."""
    names = tuple(f"i{first + k}" for k in range(len(matrices)))
    return ImageMatrices(names, np.asarray(matrices, np.int64), classes, "val", cases)


def random_folds(*counts: int) -> list[ImageMatrices]:
    rng = np.random.default_rng(0)
    starts = np.cumsum([0, *counts])
    return [fold(rng.integers(0, 50, (count, 2, 2)), start) for count, start in zip(counts, starts, strict=False)]


@settings(max_examples=50, deadline=None)
@given(st.lists(arrays(np.int64, (2, 3, 3), elements=st.integers(0, 9)), min_size=2, max_size=5))
def test_means_deviations_and_sums_are_those_of_the_folds(matrices):
    folds = [fold(m, 2 * i, ("a", "b", "c")) for i, m in enumerate(matrices)]
    runs = [f"runs/{i}" for i in range(len(folds))]
    values = fold_values(cross_validate(folds, runs))
    scores = [scores_from_matrix(m.sum(axis=0)) for m in matrices]
    together = scores_from_matrix(sum(m.sum(axis=0) for m in matrices))
    assert values["images"] == 2 * len(folds)
    for k in range(3):
        measured = [100 * float(score.iou[k]) for score in scores if not np.isnan(score.iou[k])]
        found = values["per_class"][k]["IoU"]
        assert found["mean"] == (pytest.approx(statistics.mean(measured), abs=1e-3) if measured else None)
        assert found["sd"] == (pytest.approx(statistics.stdev(measured), abs=1e-3) if len(measured) > 1 else None)
        iou = 100 * float(together.iou[k])
        assert found["together"] == (None if np.isnan(iou) else pytest.approx(iou, abs=1e-3))


def test_slices_stay_with_their_cases_and_pictures_are_cases_of_their_own():
    slices = fold(np.ones((3, 2, 2)), 0, cases=("volume", "volume", "other"))
    pooled = pool_folds([slices, fold(np.ones((2, 2, 2)), 3)], ["a", "b"])
    assert pooled.cases == ("volume", "volume", "other", "i3", "i4") and pooled.has_slices
    assert pool_folds(random_folds(2, 2), ["a", "b"]).cases == ()


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (fold(np.ones((2, 2, 2)), 1), "b: was scored on i1, as a was; expected a fold of its own for each run."),
        (fold(np.ones((2, 2, 2)), 2, ("background", "organ")), "b: has the classes background, organ; a background,"),
        (fold(np.ones((2, 2, 2, 2)), 2), "b: of it and a one has several labels per pixel"),
    ],
)
def test_what_are_no_folds_of_one_cross_validation_is_refused(second, words):
    if second.matrices.ndim == 4:
        first = ImageMatrices(("i0",), np.ones((1, 2, 2), np.int64), CLASSES, "val")
    else:
        first = fold(np.ones((2, 2, 2)), 0)
    with pytest.raises(UserError, match="^" + words.replace(".", r"\.")):
        pool_folds([first, second], ["a", "b"])


@pytest.fixture
def runs(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    for i, images in enumerate(random_folds(3, 4, 5)):
        save_images(images, tmp_path / f"runs/a-{i}/metrics_val_images.npz")
        save_images(images, tmp_path / f"runs/b-{i}/metrics_val_flip_images.npz")
    return [f"runs/a-{i}" for i in range(3)]


def test_the_command_sums_up(runs, capsys):
    assert main(["folds", *runs, "--json", "all.json"]) == 0
    values = json.loads(Path("all.json").read_text())
    assert [row["images"] for row in values["folds"]] == [3, 4, 5] and values["images"] == 12
    out = capsys.readouterr().out
    sums = values["mIoU"]
    assert "3 folds, split 'val'" in out
    assert f"{sums['mean']:.2f} ± {sums['sd']:.2f}" in out and f"{sums['together']:.2f}" in out
    assert "Cases" not in out and "medical" not in values
    assert main(["folds", f"[{', '.join(runs)}]"]) == 0 and capsys.readouterr().out == out
    assert main(["folds", "runs/b-0", "runs/b-1", "runs/b-2", "--tta", "flip"]) == 0
    assert capsys.readouterr().out == out.replace("runs/a-", "runs/b-")


def test_two_cross_validations_are_compared(runs, capsys):
    for name in ("a", "b"):
        save_images(random_folds(12)[0], Path(f"runs/{name}/metrics_val_images.npz"))
    assert main(["compare", f"[{', '.join(runs)}]", "runs/a", "--resamples", "100"]) == 0
    out = capsys.readouterr().out
    assert "runs/a-0 and 2 more" in out and "mIoU +0.00 points" in out and "12 images" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs/a-0"], "folds: expected the folders of two runs or more, found runs/a-0."),
        (["runs/a-0", "runs/a-0"], "runs/a-0: was scored on i0, as runs/a-0 was"),
        (["runs/a-0", "runs/c"], "runs/c/metrics_val_images.npz: no such file"),
        (["[runs/a-0, 3]"], "[runs/a-0, 3]: expected folders of runs in brackets"),
        (["[runs/a-0"], "[runs/a-0: expected folders of runs in brackets"),
        (["runs/a-0", "runs/a-1", "--json", "runs"], "runs: cannot be written: it is a folder."),
    ],
)
def test_mistakes_are_told_in_a_line(runs, capsys, arguments, words):
    assert words in error_of(capsys, "folds", *arguments)


def blob(side: int, shift: int) -> np.ndarray:
    volume = np.zeros((3, side, side), np.int64)
    volume[1:, 2 + shift : 6 + shift, 2:7] = 1
    return volume


def test_the_cases_of_all_folds_are_those_of_one_table(tmp_path):
    whole = CaseTable({1: "tumour"})
    for i in range(3):
        table = CaseTable({1: "tumour"})
        for case in range(2):
            for one in (table, whole):
                truth = blob(12, 0) if (i, case) != (2, 1) else np.zeros_like(blob(12, 0))
                one.add(f"case{i}{case}", blob(12, i + case), truth, spacing=(2.0, 1.0, 1.0))
        table.write(tmp_path / f"{i}", "metrics_val_medical")
        write_json({"distance_unit": "mm", "incomplete_cases": [f"x{i}"]}, tmp_path / f"{i}/metrics_val_medical.json")
    folders = [tmp_path / f"{i}" for i in range(3)]
    found = cases_of_folds(folders, "metrics_val")
    expected = medical_report(whole, "mm", ["x0", "x1", "x2"])
    assert found.values["cases"] == 6 and found.values["incomplete_cases"] == ["x0", "x1", "x2"]
    assert [table.rows for table in found.tables] == [table.rows for table in expected.tables]
    (tmp_path / "1/metrics_val_medical.csv").write_text("case,structure\na,b\n")
    with pytest.raises(UserError, match=r"1/metrics_val_medical\.csv: not a readable file of the scores of cases"):
        cases_of_folds(folders, "metrics_val")
    (tmp_path / "1/metrics_val_medical.csv").unlink()
    with pytest.raises(UserError, match=r"1/metrics_val_medical\.csv: no such file, and .*0/metrics_val_medical\.csv"):
        cases_of_folds(folders, "metrics_val")
