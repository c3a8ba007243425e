"""The benchmark scripts run, on little data, and file what they found; the counting in them is right."""

import json
import shlex
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.conftest import SMALL_RUN
from tests.data.layouts import make_camvid

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a script's ``main`` with arguments; returns what it filed."""
    monkeypatch.syspath_prepend(FOLDER)

    def call(script: str, *arguments: object) -> dict:
        out = tmp_path / f"{script}.json"
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments), "--out", str(out)])
        __import__(script).main()
        return json.loads(out.read_text())

    return call


def test_the_floor_counts_one_convolution_as_by_hand(monkeypatch):
    """64x32x(3x3) weights on an 8x8 map: 64 * 32 * 9 multiply-adds at each of 64 pixels."""
    monkeypatch.syspath_prepend(FOLDER)
    from roofline import measure_floor

    conv = nn.Conv2d(32, 64, 3, padding=1, bias=False)
    image = torch.zeros(1, 32, 8, 8)
    flop = 2 * 64 * 32 * 9 * 64
    elements = 32 * 64 + 64 * 32 * 9 + 64 * 64
    compute_bound = measure_floor(conv, image, train=False, tflops=1e-6, gbps=1e9)
    assert compute_bound.gflop == pytest.approx(flop / 1e9)
    assert compute_bound.milliseconds == pytest.approx(1000 * flop / 1e6)  # at 10^6 FLOP/s
    memory_bound = measure_floor(conv, image, train=False, tflops=1e9, gbps=1.0, element_bytes=2)
    assert memory_bound.milliseconds == pytest.approx(2 * elements / 1e9 * 1e3)
    # with the backward pass, the gradients of input and weights cost a forward pass each; a leaf image needs none
    assert measure_floor(conv, image, train=True, tflops=1.0, gbps=1.0).gflop == pytest.approx(2 * flop / 1e9)


def test_speed_interleaves_networks_and_says_what_it_could_not_measure(run):
    paths = ["train eager float32", "eager float32", "fused channels_last float32"]
    names = ["PAFPNeXt elanext_nano", "FPN resnet18"]
    content = run(
        "speed", "--device", "cpu", "--size", 64, 32, "--batch", 2, "--rounds", 2, "--only", *names, "--paths", *paths
    )
    rows = {(row["network"], row["path"]): row for row in content["rows"]}
    assert len(rows) == 6
    assert rows[names[1], paths[2]]["not_measured"] == "has no fuse()"
    for row in content["rows"]:
        if "not_measured" not in row:
            assert row["images_per_second"] == pytest.approx(2000 / row["ms"], rel=0.01)
            assert row["ms_quartiles"][0] <= row["ms"] <= row["ms_quartiles"][1]


def test_all_metrics_count_alike(run):
    rows = run("metric", "--device", "cpu", "--batch", 2, "--size", 24, 16, "--classes", 3, "--rounds", 2)["rows"]
    assert {"ConfusionMatrix", "smp get_stats"} <= {row["metric"] for row in rows} and len(rows) == 4


def test_the_loader_is_measured_beside_a_plain_one(run, tmp_path):
    make_camvid(tmp_path / "camvid")
    arguments = ["--root", tmp_path / "camvid", "--formats", "png", "--workers", 0, "--crop", 32, 24]
    rows = run("loader", *arguments, "--caches", "none", "ram", "disk", "--batch", 2, "--rounds", 1)["rows"]
    kinds = [("segnext_pafpn", cache) for cache in ("none", "ram", "disk")]
    assert [(row["loader"], row["cache"]) for row in rows] == [*kinds, ("PIL + albumentations", "none")]
    assert all(row["images_per_second"] > 0 for row in rows)


def test_a_new_setting_at_its_default_is_no_other_recipe(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from accuracy import _same_recipe

    default = {"loss": {"dice": 1.0, "focal": 0.0}, "optim": {"lr": 1.0}}
    old = {"loss": {"dice": 0.5}, "optim": {"lr": 0.1}}
    assert _same_recipe(old, {"loss": {"dice": 0.5, "focal": 0.0}, "optim": {"lr": 0.1}}, default)
    assert not _same_recipe(old, {"loss": {"dice": 0.5, "focal": 1.0}, "optim": {"lr": 0.1}}, default)
    assert not _same_recipe(old, {"loss": {"dice": 0.5, "focal": 0.0}, "optim": {"lr": 0.2}}, default)


QUICK = "--trainer.accelerator=cpu --trainer.max_epochs=1 --trainer.check_val_every_n_epoch=1 --data.check=false"


def test_the_quickstart_is_timed_command_by_command_as_the_makefile_has_it(run, tmp_path):
    options = [*SMALL_RUN, *QUICK.split(), "--data.samples_per_epoch=4", "--trainer.limit_val_batches=1"]
    content = run("quickstart", "--folder", tmp_path / "made", f"--train-options={shlex.join(options)}")
    recipe = (FOLDER.parent / "Makefile").read_text().split("\nquickstart:")[1].split("\n\n")[0].replace("$(RUN)", "$R")
    assert len(content["rows"]) == recipe.count("$(BIN)/segnext-pafpn") == 3
    commands = [row["command"].replace("runs/quickstart", "$R") for row in content["rows"]]
    commands[0] = commands[0].removesuffix(" " + shlex.join(options))
    assert all(f"$(BIN)/{command}\n" in recipe for command in commands)
    assert all(row["seconds"] > 0 for row in content["rows"])
    assert content["seconds"] == pytest.approx(sum(row["seconds"] for row in content["rows"]), abs=0.06)
    scored = json.loads((tmp_path / "made/runs/quickstart/metrics_val.json").read_text())
    assert content["mIoU"] == pytest.approx(scored["mIoU"], abs=0.005) and content["split"] == "val"
    assert content["pictures"] == len((tmp_path / "made/runs/quickstart/metrics_val_images.csv").open().readlines()) - 1
    assert len(list((tmp_path / "made/runs/quickstart/masks/overlay").iterdir())) == 4


def test_another_training_is_not_filed_as_the_quickstart(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import quickstart

    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--train-options=--trainer.max_epochs=1"])
    with pytest.raises(SystemExit, match="is not the quickstart"):
        quickstart.main()
