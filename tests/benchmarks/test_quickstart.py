"""The quickstart as the Makefile has it."""

import json
import shlex
import sys

import pytest

from tests.benchmarks.conftest import FOLDER
from tests.conftest import SMALL_RUN

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
    import quickstart

    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--train-options=--trainer.max_epochs=1"])
    with pytest.raises(SystemExit, match="is not the quickstart"):
        quickstart.main()


def test_the_commands_of_the_cells_train_score_and_predict():
    from quickstart import quickstart_commands

    commands = quickstart_commands("quickstart-cells")
    assert [words[1] for words in commands] == ["train", "val", "samples", "predict"]
    assert len({words[words.index("--checkpoint") + 1] for words in commands if "--checkpoint" in words}) == 1
