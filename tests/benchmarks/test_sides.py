"""The benchmarks of two sides that take turns: large images, files, fed steps, the share of the scores."""

import numpy as np
import pytest

from tests.data.layouts import make_camvid


@pytest.fixture
def table(run):
    """The table that the pages have of a result."""

    def lines(content: dict) -> list[str]:
        from table_kinds import KINDS

        return KINDS[content["benchmark"]](content).splitlines()

    return lines


def test_both_sides_label_a_large_picture_alike_and_ours_in_less_memory(run, table):
    small = ("--side", 640, "--window", 128, "--device", "cpu", "--classes", 8)
    content = run("windows", *small, "--only", "segnext_pafpn")
    rows = {row["name"]: row for row in content["rows"]}
    ours, theirs = rows["segnext_pafpn"], rows[content["reference"]]
    assert content["windows"] == 81 and theirs["equal_labels_percent"] == 100
    assert ours["equal_labels_percent"] > 99.9
    assert len(rows) == 2
    assert ours["seconds"] > 0 and ours["grown_mib"] < theirs["grown_mib"]
    assert any("MONAI" in line for line in table(content))


def test_the_large_picture_is_always_the_same():
    from windows_sides import large_picture

    picture = large_picture(300)
    assert picture.shape == (300, 300, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, large_picture(300))
    assert len(np.unique(picture)) > 50


def test_files_are_predicted_beside_the_bare_network(run, table):
    content = run("predict", "--device", "cpu", "--images", 3, "--size", 64, 48, "--rounds", 2, "--formats", "png")
    (row,) = content["rows"]
    assert content["images"] == 3 and content["size"] == [64, 48]
    assert 0 < row["share"] < 2
    assert row["files_per_second"] > 0 and row["network_per_second"] > 0
    assert any("png" in line for line in table(content))


def test_fed_steps_are_timed_beside_ready_ones(run, table, tmp_path):
    make_camvid(tmp_path / "camvid")
    small = ("--crop", 48, 32, "--batch", 2, "--steps", 1, "--rounds", 2)
    content = run("fed", "--root", tmp_path / "camvid", "--device", "cpu", "--workers", 0, 1, "--caches", "ram", *small)
    assert [(row["cache"], row["workers"]) for row in content["rows"]] == [("ram", 0), ("ram", 1)]
    assert all(row["share"] > 0 and row["ready_ms"] > 0 and row["fed_ms"] > 0 for row in content["rows"])
    assert len(table(content)) >= 4


def test_the_share_of_the_scores_is_that_of_the_update(run, table):
    content = run("metric_share", "--device", "cpu", "--batch", 1, "--size", 64, 48, "--classes", 5, "--rounds", 3)
    (row,) = content["rows"]
    assert row["classes"] == 5
    assert row["share"] == pytest.approx(row["update_ms"] / row["forward_ms"], rel=1)
    assert row["both_ms"] > row["update_ms"]
    assert len(table(content)) >= 3
