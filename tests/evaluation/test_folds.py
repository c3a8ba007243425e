"""Sums over the folds of a cross-validation, beside statistics' own and the scores of all images at once."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segnext_pafpn.cli import main
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.case_rows import CaseRows
from segnext_pafpn.evaluation.cases import CaseTable
from segnext_pafpn.evaluation.fields.medical import medical_report
from segnext_pafpn.evaluation.fold_cases import cases_of_folds
from segnext_pafpn.evaluation.folds import cross_validate, fold_tables, fold_values, pool_folds
from segnext_pafpn.evaluation.per_image import ImageMatrices, save_images
from segnext_pafpn.evaluation.scores import scores_from_matrix
from segnext_pafpn.files import write_json
from segnext_pafpn.training.config_file import save_config
from segnext_pafpn.training.pretrain.config import PretrainConfig
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
    for name in ("mIoU", "mDice", "aAcc"):
        check_spread(values[name], [getattr(score, name) for score in scores], getattr(together, name))
    for k in range(3):
        for name, key in (("IoU", "iou"), ("Dice", "dice")):
            of_folds = [getattr(score, key)[k] for score in scores]
            check_spread(values["per_class"][k][name], of_folds, getattr(together, key)[k])


def check_spread(found: dict, of_folds: list[float], together: float) -> None:
    """Against the standard library's, in percent."""
    measured = [100 * float(value) for value in of_folds if not np.isnan(value)]
    assert found["folds"] == len(measured)
    assert found["mean"] == (pytest.approx(statistics.mean(measured), abs=1e-3) if measured else None)
    assert found["sd"] == (pytest.approx(statistics.stdev(measured), abs=1e-3) if len(measured) > 1 else None)
    assert found["together"] == (None if np.isnan(together) else pytest.approx(100 * float(together), abs=1e-3))


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
    flipped = out.replace("runs/a-", "runs/b-").replace("split 'val'", "split 'val', test-time augmentation flip")
    assert capsys.readouterr().out.split() == flipped.split()


def test_a_class_that_a_fold_lacks_is_averaged_over_the_others():
    there, absent = np.array([[[8, 2], [2, 8]]]), np.array([[[10, 0], [0, 0]]])
    result = cross_validate([fold(there, 0), fold(absent, 1), fold(there, 2)], ["a", "b", "c"])
    _, classes = fold_tables(result)
    assert classes.rows[0][1].startswith("77.78 ± 19.25") and classes.rows[1][1] == "66.67 ± 0.00 (2)"


def test_two_cross_validations_are_compared(runs, capsys):
    better = [replace(one, matrices=one.matrices + np.array([[30, 0], [0, 30]])) for one in random_folds(12)]
    worse = [replace(one, matrices=np.flip(one.matrices, axis=2)) for one in better]
    save_images(better[0], Path("runs/whole/metrics_val_images.npz"))
    for i, part in enumerate((slice(0, 3), slice(3, 12))):
        images = replace(worse[0], names=worse[0].names[part], matrices=worse[0].matrices[part])
        save_images(images, Path(f"runs/worse-{i}/metrics_val_images.npz"))
    assert (
        main(["compare", "[runs/worse-0, runs/worse-1]", "runs/whole", "--resamples", "100", "--json", "c.json"]) == 0
    )
    values = json.loads(Path("c.json").read_text())
    assert values["runs"] == [["runs/worse-0", "runs/worse-1"], "runs/whole"] and values["images"] == 12
    first, second = (scores_from_matrix(side[0].matrices.sum(axis=0)).mIoU for side in (worse, better))
    assert first < second and values["difference"] == pytest.approx(100 * (second - first), abs=1e-3)
    out = capsys.readouterr().out
    assert "runs/worse-0 and 1 more" in out and "the second is better" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs/a-0"], "folds: expected the folders of two runs or more, found runs/a-0."),
        (["runs/a-0", "runs/a-0"], "runs/a-0: was scored on i0, as runs/a-0 was"),
        (["runs/a-0", "runs/a-3"], "runs/a-3: no such folder. Did you mean 'a-"),
        (["runs/a-0", "runs/a-1", "--split", "test"], "runs/a-0/metrics_test_images.npz: no such file"),
        (["runs/a-0", "runs/encoder"], "runs/encoder: is a run of pretrain, which folds cannot take"),
        (["[runs/a-0, 3]"], "[runs/a-0, 3]: expected folders of runs in brackets"),
        (["[runs/a-0"], "[runs/a-0: expected folders of runs in brackets"),
        (["runs/a-0", "runs/a-1", "--json", "runs"], "runs: cannot be written: it is a folder."),
    ],
)
def test_mistakes_are_told_in_a_line(runs, capsys, arguments, words):
    if "runs/encoder" in arguments:
        Path("runs/encoder").mkdir()
        save_config(PretrainConfig(), Path("runs/encoder/config.yaml"))
    assert words in error_of(capsys, "folds", *arguments)


def test_a_run_is_not_compared_with_itself(runs, capsys):
    assert "compare: runs/a-0 is given twice, expected two runs." in error_of(capsys, "compare", "runs/a-0", "runs/a-0")


def blob(side: int, shift: int) -> np.ndarray:
    volume = np.zeros((3, side, side), np.int64)
    volume[1:, 2 + shift : 6 + shift, 2:7] = 1
    return volume


def write_cases(folder: Path, cases: dict[str, int], unit: str = "mm", whole: CaseTable | None = None) -> None:
    """As ``val --metrics medical`` leaves them; of each case the shift of the prediction, below 0 without truth."""
    table = CaseTable({1: "tumour"})
    for case, shift in cases.items():
        truth = blob(12, 0) if shift >= 0 else np.zeros_like(blob(12, 0))
        for one in (table, whole) if whole else (table,):
            one.add(case, blob(12, abs(shift)), truth, spacing=(2.0, 1.0, 1.0))
    table.scored.write(folder, "metrics_val_medical")
    write_json({"images": 6}, folder / "metrics_val.json")
    summary = {"images": 6, "distance_unit": unit, "incomplete_cases": [f"lacks-{folder.name}"]}
    write_json(summary, folder / "metrics_val_medical.json")


def test_the_cases_of_all_folds_are_those_of_one_table(runs, capsys):
    whole = CaseTable({1: "tumour"})
    for i, run in enumerate(runs[:2]):
        write_cases(Path(run), {f"case{i}0": i, f"case{i}1": -1 - i}, whole=whole)
    found = cases_of_folds([Path(run) for run in runs[:2]], "metrics_val")
    incomplete = ["lacks-a-0", "lacks-a-1"]
    expected = medical_report(whole.scored, "mm", incomplete)
    assert found.values["cases"] == 4 and found.values["incomplete_cases"] == incomplete
    assert [table.rows for table in found.tables] == [table.rows for table in expected.tables]
    assert main(["folds", *runs[:2], "--json", "all.json"]) == 0
    assert json.loads(Path("all.json").read_text())["medical"] == found.values
    assert "4 cases: mean ± standard deviation" in capsys.readouterr().out


def test_a_fold_whose_cases_lack_slices_does_not_change_the_unit(runs):
    write_cases(Path(runs[0]), {"case0": 1})
    write_cases(Path(runs[1]), {}, unit="mixed")
    found = cases_of_folds([Path(run) for run in runs[:2]], "metrics_val").values
    assert (found["cases"], found["distance_unit"], found["incomplete_cases"]) == (1, "mm", ["lacks-a-0", "lacks-a-1"])


def other_structure(run: Path) -> None:
    table = CaseTable({1: "organ"})
    table.add("case1", blob(12, 0), blob(12, 0))
    table.scored.write(run, "metrics_val_medical")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda run: (run / "metrics_val_medical.csv").unlink(),
            r"medical\.csv: no such file, expected the cases of all",
        ),
        (lambda run: write_json({"images": 5}, run / "metrics_val.json"), r"medical\.csv: is of another evaluation"),
        (lambda run: (run / "metrics_val.json").write_text("{"), r"metrics_val\.json: cannot be read"),
        (lambda run: (run / "metrics_val.json").write_text("[]"), r"metrics_val\.json: expected a mapping of scores"),
        (lambda run: write_cases(run, {"case0": 0}), "runs/a-1: was scored on case case0, as runs/a-0 was"),
        (
            other_structure,
            r"medical\.csv: has the structures organ; runs/a-0 tumour, expected the same",
        ),
    ],
)
def test_cases_that_are_not_those_of_the_folds_are_refused(runs, damage, words):
    for i, run in enumerate(runs):
        write_cases(Path(run), {f"case{i}": i})
    damage(Path(runs[1]))
    with pytest.raises(UserError, match=words):
        cases_of_folds([Path(run) for run in runs], "metrics_val")


def test_the_cases_of_two_runs_are_compared_in_pairs(runs, capsys):
    first, second = (random_folds(4)[0], random_folds(4)[0])
    for i, (images, shifts) in enumerate(((first, (0, 1, 2, -1)), (second, (1, 1, 3, 0)))):
        run = Path(f"runs/c-{i}")
        save_images(images, run / "metrics_val_images.npz")
        write_cases(run, {f"case{k}": shift for k, shift in enumerate(shifts)})
    assert main(["compare", "runs/c-0", "runs/c-1", "--resamples", "100", "--json", "c.json"]) == 0
    dice, hd95 = json.loads(Path("c.json").read_text())["medical"]
    tables = [CaseRows.read(Path(f"runs/c-{i}/metrics_val_medical.csv")) for i in range(2)]
    values = [np.array([scores.dice for _, _, scores in table.rows]) for table in tables]
    assert dice["cases"] == 4 and dice["difference"] == pytest.approx(100 * np.mean(values[1] - values[0]), abs=1e-3)
    assert dice["means"] == pytest.approx([100 * side.mean() for side in values], abs=1e-3)
    assert dice["interval_95"][0] < dice["difference"] < dice["interval_95"][1]
    assert hd95["cases"] == 3  # one of case3's is infinite
    out = capsys.readouterr().out
    assert f"{dice['difference']:+.2f} [{dice['interval_95'][0]:+.2f}" in out and "hd95, mm" in out
    write_cases(Path("runs/c-1"), {f"case{k}": 0 for k in range(4)}, unit="pixels")
    assert main(["compare", "runs/c-0", "runs/c-1", "--resamples", "100"]) == 0
    assert "not compared: distances are in mm here, in pixels there" in capsys.readouterr().out
    write_cases(Path("runs/c-1"), {"case0": 0})
    assert "case case1, tumour: was scored in one of the runs alone" in error_of(
        capsys, "compare", "runs/c-0", "runs/c-1"
    )
