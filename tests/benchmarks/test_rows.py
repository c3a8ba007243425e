"""Result files: a recipe is told from another, a row takes its place, and the command can be given again."""

import json
import math
import shlex
import sys
from types import SimpleNamespace

import pytest

from segnext_pafpn.training.config import TrainConfig, TrainerConfig
from tests.benchmarks.conftest import FOLDER


@pytest.mark.parametrize(("epochs", "distance"), [(50, 10), (12, 12), (40, 20), (7, 7)])
def test_a_shorter_run_is_still_evaluated_after_its_last_epoch(epochs, distance):
    from rows import with_length

    trainer = TrainerConfig(max_epochs=400, check_val_every_n_epoch=20)
    shorter = with_length(TrainConfig(name="run", trainer=trainer), epochs, None).trainer
    assert (shorter.max_epochs, shorter.check_val_every_n_epoch) == (epochs, distance)


def test_a_new_setting_at_its_default_is_no_other_recipe():
    from rows import same_recipe

    default = {"loss": {"dice": 1.0, "focal": 0.0}, "optim": {"lr": 1.0}}
    old = {"loss": {"dice": 0.5}, "optim": {"lr": 0.1}}
    assert same_recipe(old, {"loss": {"dice": 0.5, "focal": 0.0}, "optim": {"lr": 0.1}}, default)
    assert not same_recipe(old, {"loss": {"dice": 0.5, "focal": 1.0}, "optim": {"lr": 0.1}}, default)
    assert not same_recipe(old, {"loss": {"dice": 0.5, "focal": 0.0}, "optim": {"lr": 0.2}}, default)


def test_a_setting_that_is_gone_is_another_recipe():
    from rows import same_recipe

    assert not same_recipe({"loss": {"dice": 1.0, "old": 1.0}}, {"loss": {"dice": 1.0}}, {"loss": {"dice": 1.0}})


@pytest.mark.parametrize(("old", "new"), [({"fold": 1}, {}), ({}, {"fold": 1}), ({"fold": 1}, {"fold": 2})])
def test_options_of_a_layout_are_part_of_the_recipe(old, new):
    from rows import same_recipe

    assert same_recipe({"layout": new}, {"layout": new}, {"layout": {}})
    assert not same_recipe({"layout": old}, {"layout": new}, {"layout": {}})


@pytest.mark.parametrize("name", ["camvid-cpu-585", "camvid-cpu-article"])
def test_the_filed_recipes_are_those_of_their_commands(name):
    """What was measured under an older package can be added to: the settings it has not yet stand at their defaults."""
    from accuracy import _base
    from result_files import RESULTS, read
    from rows import read_rows, recipe_of

    path = RESULTS / f"{name}.json"
    words = shlex.split(read(path)["command"])
    options = {key: words[words.index(f"--{key}") + 1] for key in ("epochs", "precision")}
    base = _base(SimpleNamespace(config="camvid-cpu", **{**options, "epochs": int(options["epochs"])}))
    assert read_rows(path, recipe_of(base)) == read(path)["rows"]


def test_a_row_takes_the_place_of_its_like_and_all_else_stays(tmp_path):
    from rows import put_fields, put_row

    path, keys = tmp_path / "new/out.json", ("network", "seed")
    put_row(path, {"command": "first"}, {"network": "b", "seed": 0, "mIoU": 1.0}, keys)
    put_fields(path, {"step_ms": {"b": 2.0}})
    put_row(path, {"command": "second"}, {"network": "a", "seed": 0, "mIoU": 3.0}, keys)
    rows = put_row(path, {"command": "third"}, {"network": "b", "seed": 0, "mIoU": 4.0}, keys)
    assert [(row["network"], row["mIoU"]) for row in rows] == [("a", 3.0), ("b", 4.0)]
    assert json.loads(path.read_text()) == {"command": "third", "step_ms": {"b": 2.0}, "rows": rows}
    ordered = put_row(path, {}, {"network": "A", "seed": 1, "mIoU": 5.0}, keys, order=lambda row: -row["mIoU"])
    assert [row["mIoU"] for row in ordered] == [5.0, 4.0, 3.0]
    assert [file.name for file in path.parent.iterdir()] == ["out.json"]


def test_a_result_that_json_cannot_hold_leaves_the_file_as_it_was(tmp_path):
    from result_files import read, write_result

    path = tmp_path / "out.json"
    write_result({"mIoU": 1.0}, path)
    with pytest.raises(ValueError):
        write_result({"mIoU": math.nan}, path)
    assert read(path) == {"mIoU": 1.0} and list(tmp_path.iterdir()) == [path]


def test_the_score_of_a_class_that_is_not_there_is_none():
    from training import percent

    assert percent(0.12345) == 12.35 and percent(math.nan) is None


@pytest.mark.parametrize(
    ("given", "filed"),
    [
        (["--root", "/data/CamVid", "--epochs", "8"], "--root PATH --epochs 8"),
        (["accuracy", "--root=../CamVid", "--only", "FPN A", "B"], "accuracy --root=PATH --only 'FPN A' B"),
        (["--root", "camvid", "speed", "--card", "camvid"], "--root PATH speed --card camvid"),
        (["--out", str(FOLDER / "results/x.json")], "--out benchmarks/results/x.json"),
        (["--out=/elsewhere/x.json", "--runs", "runs/mine"], "--out=x.json --runs runs/mine"),
        (["--options", "--steps 1 --batch 2"], "--options '--steps 1 --batch 2'"),
    ],
)  # fmt: skip
def test_the_command_is_filed_as_it_was_given_but_for_places_of_this_machine(monkeypatch, given, filed):
    from result_files import given_command

    monkeypatch.setattr(sys, "argv", [str(FOLDER / "check.py"), *given])
    assert given_command() == f"python benchmarks/check.py {filed}"


def test_what_was_measured_on_the_cpu_does_not_name_a_gpu(monkeypatch):
    import torch
    from environment import describe_environment

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert [describe_environment(d)["device"] == "a GPU" for d in ("auto", "cuda", "cpu")] == [True, True, False]
