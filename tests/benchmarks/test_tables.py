"""Every kind of result file becomes a table, and the page of benchmarks names what there is."""

import re

import pytest

from tests.benchmarks.conftest import FOLDER

ENVIRONMENT = {
    "device": "a CPU", "cpu_cores": 2, "torch_threads": 1, "versions": {"torch": "2.11"}, "commit": "abc",
    "date": "2026-01-02",
}  # fmt: skip
TIMED = {"million_parameters": 4.04, "gflop": 20.0, "batch": 2, "threads": 1}
RESULTS = {
    "speed": (
        {
            "size": [8, 4], "rounds": 3, "rows": [
                {"network": "A", "job": "train", "path": "p", **TIMED, "ms": 4.0, "images_per_second": 500.0},
                {"network": "A", "job": "train", "path": "q", **TIMED, "not_measured": "has no fuse()"},
                {"network": "B", "job": "train", "path": "p", "million_parameters": 1.0, "batch": 2, "threads": 1,
                 "not_measured": "does not train"},
                {"network": "C", "job": "train", "path": "q", **TIMED, "ms": 4.0, "images_per_second": 250.0},
                *({"network": name, "job": "train", "path": "s", "batch": 2, "threads": 1,
                   "not_measured": "needs more"} for name in "ABC"),
                {"network": "A", "job": "predict", "path": "r", **TIMED, "ms": 4.0, "images_per_second": 500.0,
                 "floor_ms": 1.0, "share_of_floor": 0.25},
            ],
        },
        ["| A | 4.0 | 10.0 | 500.0 | - |", "| A | 4.0 | 10.0 | 500.0 (25 %) |", "| B | 1.0 | - | - | - |",
         "| C | 4.0 | 10.0 | - | 250.0 |",
         "Not measured: has no fuse() (A); needs more (all); does not train (B)."],
    ),
    "loader": (
        {
            "crop": [8, 4], "rows": [
                {"format": "png", "workers": 1, "loader": "ours", "cache": "none", "images_per_second": 7.4},
                {"format": "png", "workers": 1, "loader": "ours", "cache": "ram", "images_per_second": 9.4},
                {"format": "png", "workers": 1, "loader": "plain", "cache": "none", "images_per_second": 5.6},
            ],
        },
        ["| format | workers | ours | ours, cache: ram | plain |", "| png | 1 | 7 | 9 | 6 |"],
    ),
    "metric": (
        {"size": [8, 4], "batch": 2, "rows": [{"classes": 11, "metric": "m", "ms": 1.234}]},
        ["| 11 | 1.23 |"],
    ),
    "layers": (
        {
            "size": [8, 4], "batch": 2, "rounds": 3, "rows": [
                {"what": "A", "layout": "NCHW", "precision": "float32", "pytorch_ms": 8.04, "ours_ms": 2.0},
                {"what": "A", "layout": "channels_last", "precision": "float32", "pytorch_ms": 3.0, "ours_ms": 4.0},
            ],
        },
        ["| layer or network | NCHW, float32 | channels_last, float32 |",
         "| A | 8.0 / 2.0 = 4.02 | 3.0 / 4.0 = 0.75 |"],
    ),
    "check": (
        {"data": "card 'x'", "rows": [{"way": "w", "seconds": 2.0, "pairs_per_second": 12.3}]}, ["| w | 2.00 | 12 |"]
    ),
    "volumes": (
        {
            "arguments": {"cases": 2, "slices": 4, "side": 8},
            "slices_per_second": {"kept": {"first_epoch": 1.6, "later_epochs": 9.2}},
        },
        ["Slices a second of 2 volumes of 4 slices of 8x8. Measured on a CPU, 2 cores, 1 threads, torch 2.11, "
         "commit abc, 2026-01-02.", "| kept | 2 | 9 |"],
    ),
    "quickstart": (
        {"mIoU": 71.25, "pictures": 48, "split": "val", "seconds": 3.5, "rows": [{"command": "c", "seconds": 3.5}]},
        ["| `c` | 3.5 |", "| all | 3.5 |"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", RESULTS)
def test_every_kind_of_result_has_its_table(kind):
    from table_kinds import KINDS

    result, expected = RESULTS[kind]
    lines = KINDS[kind]({"benchmark": kind, "environment": ENVIRONMENT, **result}).splitlines()
    for line in expected:
        assert line in lines, "\n".join(lines)


def test_the_page_of_benchmarks_names_what_there_is():
    page = (FOLDER.parent / "docs" / "benchmarks.md").read_text()
    for script in re.findall(r"python benchmarks/(\w+\.py)", page):
        assert (FOLDER / script).is_file(), script
    for script in re.findall(r"benchmarks/(\w+\.py)", (FOLDER.parent / "Makefile").read_text()):
        assert f"python benchmarks/{script}" in page, script
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (FOLDER.parent / "docs" / target).exists(), target
