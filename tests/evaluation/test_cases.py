import csv
import math
from dataclasses import asdict, astuple

import numpy as np
import pytest
from scipy import stats

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.case_rows import SCORE_NAMES, CaseRows, summarize
from segnext_pafpn.evaluation.cases import CaseTable, stack_slices
from segnext_pafpn.evaluation.fields.base import Picture
from segnext_pafpn.evaluation.fields.medical import MedicalCases, medical_report


def test_mean_spread_and_interval_of_a_score():
    values = np.random.default_rng(0).normal(0.8, 0.1, size=40)
    summary = summarize([*values, math.nan], resamples=2000, seed=1)
    assert summary.mean == pytest.approx(values.mean()) and summary.sd == pytest.approx(values.std(ddof=1))
    assert (summary.num_cases, summary.num_infinite, summary.median) == (40, 0, pytest.approx(np.median(values)))
    # the interval of a normal mean is about mean +- 1.96 standard errors
    error = stats.sem(values)
    assert summary.low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert summary.high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)


def test_the_interval_follows_from_the_seed():
    values = [0.1, 0.5, 0.7, 0.9, 0.2]
    assert summarize(values, seed=3) == summarize(values, seed=3)
    assert summarize(values, 50, seed=3) != summarize(values, 50, seed=4)


def test_cases_that_are_all_alike_have_an_interval_without_width():
    summary = summarize([0.5, 0.5, 0.5])
    assert (summary.mean, summary.sd, summary.low, summary.high) == (0.5, 0, 0.5, 0.5)


def test_one_case_or_none_has_no_spread():
    one, none = summarize([0.5]), summarize([math.nan])
    assert one.mean == 0.5 and math.isnan(one.sd) and math.isnan(one.low)
    assert none.num_cases == 0 and math.isnan(none.mean) and math.isnan(none.median)


def test_a_missed_structure_is_not_left_out_of_the_mean():
    summary = summarize([1.0, 2.0, math.inf])
    assert (summary.mean, summary.median, summary.num_infinite) == (math.inf, 2.0, 1)
    assert math.isnan(summary.sd) and math.isnan(summary.low)


@pytest.fixture
def table():
    """Case a is right; case b misses the lesion and has an ignored column."""
    truth = np.zeros((6, 8), dtype=np.uint8)
    truth[1:4, 1:4], truth[4:6, 6:8] = 1, 2
    missed = np.where(truth == 2, 0, truth)
    table = CaseTable({1: "liver", 2: "lesion"})
    table.add("a", truth, truth, spacing=(1.0, 2.0))
    ignored = truth.copy()
    ignored[:, 0] = 255
    missed[:, 0] = 1
    table.add("b", missed, ignored, spacing=(1.0, 2.0))
    return table


@pytest.fixture
def filled(table):
    return table.scored


def test_a_table_has_a_row_per_case_and_structure(filled, tmp_path):
    filled.write(tmp_path / "new", "cases")
    with (tmp_path / "new" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["structure"]) for row in rows] == [
        ("a", "liver"),
        ("a", "lesion"),
        ("b", "liver"),
        ("b", "lesion"),
    ]
    assert [row["dice"] for row in rows] == ["1", "1", "1", "0"]
    assert rows[3]["hd95"] == "inf" and rows[3]["precision"] == "" and set(SCORE_NAMES) < set(rows[0])


def test_a_summary_is_over_the_cases_of_one_structure(filled):
    assert filled.summary("liver")["dice"].mean == 1
    assert filled.summary("lesion")["dice"].mean == 0.5
    assert filled.summary("lesion")["hd"].num_infinite == 1
    assert filled.summary("lesion")["auc"].num_cases == 0


def test_a_table_is_read_as_it_was_written(filled, tmp_path):
    filled.write(tmp_path, "cases")
    again = CaseRows.read(tmp_path / "cases.csv")
    assert again.structures == filled.structures
    assert [row[:2] for row in again.rows] == [row[:2] for row in filled.rows]
    for (_, _, found), (_, _, expected) in zip(again.rows, filled.rows, strict=True):
        assert astuple(found) == pytest.approx(astuple(expected), rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    "text", ["case,structure\na,b\n", "no table", "", "{head}\na\n", "{head}\na,b{cells},7\n", "{head}\na,b,x{less}\n"]
)
def test_a_damaged_table_is_named(tmp_path, text):
    head, cells = ",".join(("case", "structure", *SCORE_NAMES)), ",1" * len(SCORE_NAMES)
    (tmp_path / "cases.csv").write_text(text.format(head=head, cells=cells, less=cells[2:]))
    if not text:
        (tmp_path / "cases.csv").unlink()
    with pytest.raises(UserError, match=r"cases\.csv: not a readable file of the scores of cases \("):
        CaseRows.read(tmp_path / "cases.csv")


def test_probabilities_give_the_area_under_the_roc_curve():
    truth = np.array([[0, 0, 1, 1]])
    probabilities = np.stack([[[0.9, 0.3, 0.4, 0.1]], [[0.1, 0.7, 0.6, 0.9]]])
    table = CaseTable({1: "vessel"})
    table.add("a", probabilities.argmax(axis=0), truth, probabilities=probabilities)
    assert table.scored.summary("vessel")["auc"].mean == 3 / 4


def test_slices_in_any_order_become_a_volume():
    volume = stack_slices("a", [(number, np.full((2, 3), number)) for number in (5, 3, 4)])
    assert volume.shape == (3, 2, 3) and volume[:, 0, 0].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ([(1, np.zeros((2, 2))), (4, np.zeros((2, 2)))], r"a: slices \[2, 3\] are missing between 1 and 4"),
        ([(1, np.zeros((2, 2))), (1, np.zeros((2, 2)))], "a: slice 1 is there twice"),
        ([(1, np.zeros((2, 2))), (2, np.zeros((2, 3)))], r"a: slices of the sizes \[\(2, 2\), \(2, 3\)\]"),
    ],
)
def test_slices_that_make_no_volume_are_named(slices, message):
    with pytest.raises(ValueError, match=message):
        stack_slices("a", slices)


def test_slices_may_come_between_those_of_another_case():
    truth = np.zeros((3, 4, 5), dtype=np.uint8)
    truth[1:, 1:3, 1:4] = 1
    metric, expected = MedicalCases({1: "liver"}, {"a": 3, "b": 3}), CaseTable({1: "liver"})
    for number in (2, 0, 1):
        for case, shift in (("a", 0), ("b", 1)):
            prediction = np.roll(truth, shift, axis=1)[number]
            name = f"{case}{number}"
            metric.add(Picture(name=name, prediction=prediction, truth=truth[number], case=case, slice=number))
    for case, shift in (("a", 0), ("b", 1)):
        expected.add(case, np.roll(truth, shift, axis=1), truth)
    assert metric.report() == medical_report(expected.scored, "pixels", [])


def test_a_case_without_a_pixel_that_counts_is_left_out_and_told(table, filled):
    before = filled.summary("liver")
    table.add("nothing", np.ones((2, 6, 8), np.uint8), np.full((2, 6, 8), 255, np.uint8))
    assert filled.summary("liver") == before
    assert filled.empty_counts("liver").text().endswith("not labelled in 1 (left out)")
    assert all(math.isnan(value) for value in asdict(filled.rows[-1][2]).values())


def test_a_missed_structure_is_told_from_one_that_is_not_there(table, filled):
    truth, found = np.zeros((2, 6, 8), dtype=np.uint8)
    found[0, 0] = 2
    table.add("c", found, truth)
    table.add("d", truth, truth)
    lesion, liver = filled.empty_counts("lesion"), filled.empty_counts("liver")
    assert (lesion.missed, lesion.found_in_none, lesion.absent) == (1, 1, 1)
    assert lesion.text() == "missed in 1, found in 1 without it, rightly absent in 1 (Dice 100)"
    assert (liver.missed, liver.found_in_none, liver.absent) == (0, 0, 2)
    report = medical_report(filled, "mm", [])
    assert report.values["empty"]["lesion"] == {"missed": 1, "found_in_none": 1, "absent": 1, "unlabelled": 0}
    cells = dict(zip(report.tables[0].head, report.tables[0].rows[1], strict=True))
    assert cells["hd95, mm"] == "2 infinite (3)" and "\n" in cells["dice, %"]
    assert f"lesion: {lesion.text()}." in report.tables[0].note
