"""A run is used from other folders than the one it was trained in."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from segnext_pafpn.cli import main
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.config_file import run_folder, save_config
from segnext_pafpn.training.folder import absolute_card, is_runs_own, prepare_folder, refuse_taken
from segnext_pafpn.training.load_config import load_config
from segnext_pafpn.training.pretrain.config import PretrainConfig
from tests.conftest import error_of, write_dataset
from tests.training.small_runs import two_steps

VAL = ["--trainer.accelerator=cpu", "--data.num_workers=0"]


def test_a_run_finds_its_card_and_data_from_another_folder(tmp_path, monkeypatch, capsys):
    write_dataset(tmp_path / "data", train=2, val=2)
    monkeypatch.chdir(tmp_path)
    options = ["--data.root=data/../data", "--data.cache=disk", "--data.cache_dir=cache"]
    run = two_steps(Path("data/card.yaml"), Path("runs"), *options).resolve()
    saved = yaml.safe_load((run / "config.yaml").read_text())["data"]
    expected = [str(tmp_path / name) for name in ("data/card.yaml", "data", "cache")]
    assert [saved["card"], saved["root"], saved["cache_dir"]] == expected
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (run / "metrics_val.json").unlink()
    assert main(["val", "--checkpoint", str(run), *VAL]) == 0 and not list(Path().iterdir())
    (run / "metrics_val.json").unlink()
    assert main(["val", "--checkpoint", str(run), "--data.card=../data/card.yaml", *VAL]) == 0
    assert (run / "metrics_val.json").is_file()  # known as the run's own card
    (tmp_path / "data/card.yaml").rename(tmp_path / "data/other.yaml")
    message = error_of(capsys, "val", "--checkpoint", run, *VAL)
    assert f"data.card: {tmp_path}/data/card.yaml: no such card" in message and "--data.card" in message


def test_a_card_has_a_name_that_means_the_same_in_every_folder(tmp_path, monkeypatch):
    (tmp_path / "Dataset001").mkdir()
    monkeypatch.chdir(tmp_path)
    assert absolute_card("card.yaml") == str(tmp_path / "card.yaml")
    assert absolute_card("Dataset001/../Dataset001") == str(tmp_path / "Dataset001")
    assert absolute_card("camvid") == "camvid" and absolute_card("camvit") == "camvit"


def run_in(folder: Path) -> Path:
    """A folder that is taken for that of a run."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").touch()
    return folder


def test_a_run_that_has_overwritten_another_is_not_overwritten_by_its_own_configuration(tmp_path):
    run = run_in(tmp_path / "run")
    prepare_folder(TrainConfig(name="run", output_dir=str(tmp_path), overwrite=True), resume=False)
    assert not (run / "checkpoints").exists()
    run_in(run)
    with pytest.raises(UserError, match="run: holds a run already. Choose another --name"):
        refuse_taken(load_config(run / "config.yaml"), resume=False)


@pytest.mark.parametrize("inside", [".", "model"])
def test_weights_in_the_folder_that_is_to_be_overwritten_are_refused_and_kept(tmp_path, inside):
    run, given = run_in(tmp_path / "run"), {"name": "run", "output_dir": str(tmp_path), "overwrite": True}
    for key, config in (
        ("weights", TrainConfig(**given, weights=str(run / inside))),
        ("weights", PretrainConfig(**given, weights=str(run / inside))),
        ("model.init_from", TrainConfig(**given, model=ModelConfig(init_from=str(run / inside)))),
    ):
        with pytest.raises(UserError, match=f"^{key}: .*, which --overwrite true removes. Choose another --name"):
            prepare_folder(config, resume=False)
    assert (run / "checkpoints/last.ckpt").exists()
    prepare_folder(TrainConfig(**given, weights=str(tmp_path / "run-2")), resume=False)
    assert not (run / "checkpoints").exists()


def test_a_run_may_be_called_model(tmp_path):
    (tmp_path / "model/model").mkdir(parents=True)
    (tmp_path / "model/config.yaml").touch()
    assert run_folder(tmp_path / "model") == run_folder(tmp_path / "model/model") == tmp_path / "model"
    (tmp_path / "run/model").mkdir(parents=True)
    assert run_folder(tmp_path / "run/model") == run_folder(tmp_path / "run") == tmp_path / "run"


def test_other_data_are_told_from_those_that_moved(tmp_path):
    card = write_dataset(tmp_path / "data")
    (tmp_path / "other").mkdir()
    own = DataConfig(card=str(card), root=str(tmp_path / "data"))
    save_config(TrainConfig(name="run", output_dir=str(tmp_path), data=own), tmp_path / "run/config.yaml")
    assert is_runs_own(tmp_path / "run", own) and is_runs_own(tmp_path / "run", replace(own, root=None))
    other = replace(own, root=str(tmp_path / "other"))
    assert not is_runs_own(tmp_path / "run", other)
    assert not is_runs_own(tmp_path / "run", replace(own, layout={"val_fraction": 0.5}))
    (tmp_path / "data").rename(tmp_path / "moved")
    for moved in (card, tmp_path / "moved/card.yaml"):
        assert is_runs_own(tmp_path / "run", DataConfig(card=str(moved), root=str(tmp_path / "moved")))
