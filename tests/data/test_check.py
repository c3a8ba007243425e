"""What the check counts and finds, its page, its JSON, and its command."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.check import check_values
from segnext_pafpn.data.check.page import spread_over, write_check_page
from segnext_pafpn.data.check.sample import count_ids
from tests.conftest import write_pair
from tests.data.spoilers import (
    NAMES,
    inspect,
    masks,
    spoil_duplicate,
    spoil_off_by_one,
)
from tests.strict_html import read_page


def test_good_data_has_no_cause_and_no_twins(dataset):
    found, _ = inspect(dataset)
    assert (found.problems, found.warnings, found.causes, found.twins) == ([], [], [], [])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_are_counted_as_numpy_counts_them(dtype):
    mask = np.random.default_rng(0).integers(0, 200, (31, 57)).astype(dtype)
    ids, counts = count_ids(mask[:, ::2])
    expected = np.unique(mask[:, ::2], return_counts=True)
    assert np.array_equal(ids, expected[0]) and np.array_equal(counts, expected[1])


def test_mean_and_deviation_are_those_of_all_pixels_together(dataset):
    found, _ = inspect(dataset)
    paths = sorted((dataset / "images").rglob("*.png"))
    pixels = np.concatenate([np.asarray(Image.open(p)).reshape(-1, 3) for p in paths]) / 255
    assert found.mean == pytest.approx(pixels.mean(axis=0), abs=1e-6)
    assert found.std == pytest.approx(pixels.std(axis=0), abs=1e-6)
    assert (found.low, found.high) == (round(255 * pixels.min()), round(255 * pixels.max()))


def test_masks_of_one_class_are_counted(dataset):
    for path in masks(dataset)[:2]:
        Image.fromarray(np.full((48, 64), 3, np.uint8)).save(path)
    found, _ = inspect(dataset)
    assert [len(split.empty) for split in found.splits] == [2, 0]


def test_flat_pictures_are_not_taken_for_copies_unless_they_are(dataset):
    for split, name, level in (("train", "t0", 100), ("val", "v0", 101), ("val", "v1", 100)):
        Image.fromarray(np.full((48, 64, 3), level, np.uint8)).save(dataset / f"images/{split}/{name}.png")
    found, _ = inspect(dataset)
    assert [(t.first.name, t.second.name, t.exact) for t in found.twins] == [("t0", "v1", True)]


def test_scenes_that_are_merely_alike_are_not_twins(tmp_path):
    for i in range(30):
        write_pair(tmp_path, "train", f"t{i}", seed=i)
        write_pair(tmp_path, "val", f"v{i}", seed=1000 + i)
    assert inspect(tmp_path)[0].twins == []


def test_the_page_is_whole_and_shows_problems_as_text(dataset, tmp_path):
    spoil_duplicate(dataset)
    Image.fromarray(np.full((48, 64), 99, np.uint8)).save(masks(dataset)[0])
    rows = [{"name": '<b>sky</b> & "co"'}, *({"name": name} for name in NAMES[1:])]
    found, reader = inspect(dataset, classes=rows)
    write_check_page(found, reader, tmp_path / "check.html")
    page = read_page(tmp_path / "check.html")
    assert len(page.images) == 2 * (6 + 6) + 2
    assert '<b>sky</b> & "co"' in page.text
    for words in ("Training may not start: 1 problem", "value 99 is not in the card", "ignore: [99]", "64x48"):
        assert words in page.text


def test_a_page_of_data_that_cannot_be_read_at_all_is_still_a_page(dataset, tmp_path):
    for path in dataset.rglob("*.png"):
        path.write_bytes(b"nothing")
    found, reader = inspect(dataset)
    write_check_page(found, reader, tmp_path / "check.html")
    assert "cannot be decoded" in read_page(tmp_path / "check.html").text
    assert json.loads(json.dumps(check_values(found), allow_nan=False))["image_mean"] == [None] * 3


def test_the_command_writes_json_and_page_and_exits_with_what_they_say(capsys, dataset, tmp_path):
    outputs = ["--json", str(tmp_path / "a/check.json"), "--html", str(tmp_path / "check.html")]
    assert main(["check", "--data", str(dataset / "card.yaml"), *outputs]) == 0
    values = json.loads((tmp_path / "a/check.json").read_text())
    assert values["training_may_start"] and values["shared_between_splits"] == []
    assert [split["pairs"] for split in values["splits"]] == [6, 5]
    assert sum(values["splits"][0]["class_pixels"].values()) == 6 * 48 * 64
    assert values["splits"][1]["sizes"] == {"64x48": 3, "56x40": 2}
    assert values["splits"][0]["image_kinds"] == {"PNG RGB, 3 x uint8": 6}
    read_page(tmp_path / "check.html")

    with_one = ["--threads", "1", "--json", str(tmp_path / "one.json")]
    assert main(["check", "--data", str(dataset / "card.yaml"), *with_one]) == 0
    assert json.loads((tmp_path / "one.json").read_text()) == values

    spoil_off_by_one(dataset)
    capsys.readouterr()
    assert main(["check", "--data", str(dataset / "card.yaml"), *outputs]) == 2
    captured = capsys.readouterr()
    assert "likely cause: " in captured.out and "ids: [8]}" in captured.out
    assert captured.err.startswith("error: ")
    values = json.loads((tmp_path / "a/check.json").read_text())
    assert not values["training_may_start"] and "ids: [8]" in values["likely_causes"][0]["yaml"]


def test_warnings_without_number_do_not_bury_the_rest(capsys, dataset):
    for i in range(50):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(dataset / f"masks/train/orphan{i}.png")
    assert main(["check", "--data", str(dataset / "card.yaml")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 7 and lines[-1] == "warning: 50 in all; --json PATH lists them"


def test_a_split_that_training_needs_may_not_be_missing(capsys, dataset):
    for folder in ("images/val", "masks/val"):
        shutil.rmtree(dataset / folder)
    assert main(["check", "--data", str(dataset / "card.yaml")]) == 2
    assert "there is no split 'val'" in capsys.readouterr().err


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.integers(1, 8), st.integers(0, 99))
def test_pictures_to_show_are_spread_and_hold_what_classes_they_can(number, classes, count, seed):
    holds = np.random.default_rng(seed).random((number, classes)) < 0.15
    places = spread_over(holds, count)
    assert len(places) == len(set(places)) == min(count, number) and places == sorted(places)
    even = np.linspace(0, number - 1, min(count, number)).round().astype(int)
    assert holds[places].any(axis=0).sum() >= holds[even].any(axis=0).sum()
    if count > classes:
        assert np.array_equal(holds[places].any(axis=0), holds.any(axis=0))
