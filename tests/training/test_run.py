"""Runs from end to end, as processes, on a small data set."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import load_images
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.training.config import OptimConfig, TrainerConfig
from segnext_pafpn.training.evaluate import evaluate
from segnext_pafpn.training.run import fit
from tests.conftest import SMALL_RUN, run_cli, write_dataset
from tests.training.small_runs import broken_off, go_on, small_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    """A data set and a run of four epochs over it."""
    root = tmp_path_factory.mktemp("data")
    write_dataset(root)
    folder = tmp_path_factory.mktemp("runs")
    fit(small_config(root, folder, epochs=4))
    return root, folder / "run"


def test_a_run_leaves_everything_in_its_folder(finished):
    _, run = finished
    names = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert names >= {
        "config.yaml",
        "metrics.csv",
        "metrics_val.json",
        "metrics_val.csv",
        "curves.png",
        "predictions.png",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "model/config.json",
        "model/model.safetensors",
        "model/preprocessing.json",
    }
    assert list((run / "tensorboard").glob("events.*"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["crop_size"] == [32, 48] and config["optim"]["ema_decay"] == 0.9


def test_the_logs_hold_what_curves_are_drawn_from(finished):
    _, run = finished
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    for column in ("train/loss", "val/loss", "val/mIoU", "val/aAcc"):
        assert len([row for row in rows if row.get(column)]) == 4, column


def test_the_saved_model_scores_what_the_run_reported(finished):
    root, run = finished
    reported = json.loads((run / "metrics_val.json").read_text())["mIoU"]
    best = max(float(r["val/mIoU"]) for r in csv.DictReader((run / "metrics.csv").open()) if r["val/mIoU"])
    data = DataConfig(card=str(root / "card.yaml"), num_workers=0, val_batch_size=1)
    again = evaluate(str(run), data, "val", TrainerConfig(accelerator="cpu"))
    assert 100 * again.scores.mIoU == pytest.approx(reported, abs=1e-3)
    assert 100 * best == pytest.approx(reported, abs=1e-3)


def test_scores_of_what_the_run_was_trained_on_say_so_and_lie_beside_the_others(
    finished, tmp_path, caplog, monkeypatch
):
    root, run = finished
    copy = shutil.copytree(run, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in copy.glob("metrics_val*")}
    layout = {"images": "images/train", "masks": "masks/train", "val_fraction": 0.5}
    swapped = DataConfig(card=str(root / "card.yaml"), num_workers=0, val_batch_size=1, layout=layout)
    trainer = TrainerConfig(accelerator="cpu")
    result = evaluate(str(copy), swapped, "val", trainer, report=True)
    scored = json.loads(result.json.read_text())
    assert result.json.name == "metrics_tiny_val.json" and scored["layout"] == layout
    assert scored["images_trained_on"] == scored["images"] == 3
    words = "The run was trained on 3 of the 3 images of split &#x27;val&#x27;"
    page = result.page.read_text()
    assert words in page or words.replace("&#x27;", "'") in page
    assert "--data.layout" in page and "warning: The run was trained on 3" in caplog.text
    assert {path.name: path.read_bytes() for path in copy.glob("metrics_val*")} == before
    own, written = replace(swapped, layout={}), (copy / "metrics_val.html").stat().st_mtime_ns
    assert "images_trained_on" not in json.loads(evaluate(str(copy), own, "val", trainer).json.read_text())
    assert (copy / "metrics_val.html").stat().st_mtime_ns > written  # anew, as the scores are
    assert json.loads(evaluate(str(copy), own, "train", trainer).json.read_text())["images_trained_on"] == 6
    shutil.copy(root / "card.yaml", root / "other.yaml")
    monkeypatch.chdir(root)
    by_another_card = evaluate(str(copy), replace(own, card="other.yaml"), "train", trainer)
    assert "takes the place of scores of other data" not in caplog.text
    caplog.set_level("INFO")
    evaluate(str(copy), replace(swapped, layout={**layout, "seed": 1}), "val", trainer)
    assert f"{result.json}: takes the place of scores of other data" in caplog.text
    assert json.loads(by_another_card.json.read_text())["images_trained_on"] == 6


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_resumed_run_equals_one_that_never_stopped(finished, tmp_path):
    root, whole = finished
    config = small_config(root, tmp_path, epochs=4)
    config.data.num_workers = 2  # the whole one had none, which changes nothing either
    with broken_off(epoch=2):
        fit(config)
    torch.manual_seed(12345)  # whatever happened in between
    go_on(config)

    resumed = tmp_path / "run"
    for key in ("state_dict", "current_model_state"):
        expected, found = weights_of(whole)[key], weights_of(resumed)[key]
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected), key
    assert weights_of(whole)["global_step"] == weights_of(resumed)["global_step"] == 12

    def logged(run: Path) -> list[tuple]:
        keys = ("epoch", "step", "train/loss", "val/loss", "val/mIoU")
        return [tuple(row.get(k) for k in keys) for row in csv.DictReader((run / "metrics.csv").open())]

    assert logged(resumed) == logged(whole)


def test_two_processes_score_what_one_does(finished):
    root, run = finished
    single = json.loads((run / "metrics_val.json").read_text())
    images = load_images(run / "metrics_val_images.npz")
    result = run_cli(
        "val", "--checkpoint", run, "--report", "--data.num_workers", 0, "--data.val_batch_size", 1,
        "--trainer.accelerator", "cpu", "--trainer.devices", 2, "--trainer.strategy", "ddp",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    double = json.loads((run / "metrics_val.json").read_text())
    keys = ("aAcc", "mIoU", "mAcc", "mDice", "per_class")
    assert {k: double[k] for k in keys} == {k: single[k] for k in keys}
    again = load_images(run / "metrics_val_images.npz")
    assert again.names == images.names and np.array_equal(again.matrices, images.matrices)
    assert (run / "metrics_val.html").is_file()


def test_two_processes_train_one_network(dataset, tmp_path):
    result = run_cli(
        "train", "--data", dataset / "card.yaml", "--output_dir", tmp_path, "--name", "ddp", *SMALL_RUN,
        "--trainer.max_epochs", 2, "--trainer.devices", 2, "--trainer.strategy", "ddp",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    reported = json.loads((tmp_path / "ddp/metrics_val.json").read_text())
    assert sum(row["truth_pixels"] for row in reported["per_class"]) == 3 * 48 * 64 + 2 * 40 * 56
    data = DataConfig(card=str(dataset / "card.yaml"), num_workers=0)
    alone = evaluate(str(tmp_path / "ddp"), data, "val", TrainerConfig(accelerator="cpu"))
    assert 100 * alone.scores.mIoU == pytest.approx(reported["mIoU"], abs=1e-3)


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_other_precisions_and_accumulation_train(dataset, tmp_path, precision):
    trainer = TrainerConfig(accelerator="cpu", max_epochs=1, precision=precision, accumulate_grad_batches=2)
    config = small_config(dataset, tmp_path, 1, trainer=trainer, optim=OptimConfig(warmup_steps=0, ema_decay=None))
    assert 0 <= fit(config).scores.mIoU <= 1
    assert weights_of(tmp_path / "run")["global_step"] == 2


def test_auxiliary_heads_and_peers_train(dataset, tmp_path):
    ours = ModelConfig(
        encoder_name="elanext_nano", options={"decoder_channels": 16, "head_channels": 16, "auxiliary_heads": True}
    )
    peer = ModelConfig(arch="unet", encoder_name="resnet18")
    for name, model in (("ours", ours), ("peer", peer)):
        fit(small_config(dataset, tmp_path, 1, name=name, model=model))
        assert (tmp_path / name / "model" / "model.safetensors").is_file()


def test_an_earlier_run_is_not_overwritten_by_accident(finished):
    root, run = finished
    before = (run / "model" / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="holds a run already.*--resume"):
        fit(small_config(root, run.parent, 1))
    assert (run / "model" / "model.safetensors").read_bytes() == before


def test_weights_of_another_run_are_a_start(finished, tmp_path):
    root, run = finished
    trainer = TrainerConfig(accelerator="cpu", max_epochs=1, limit_train_batches=1)
    optim = OptimConfig(lr=1e-12, warmup_steps=0, weight_decay=0.0, ema_decay=None)
    fit(small_config(root, tmp_path, 1, weights=str(run), trainer=trainer, optim=optim))
    source, _ = load_bundle(run)
    started, _ = load_bundle(tmp_path / "run")
    for (name, ours), theirs in zip(started.named_parameters(), source.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6), name


def test_a_resumed_run_can_be_made_longer_but_not_learn_otherwise(finished, tmp_path, caplog):
    root, run = finished
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with pytest.raises(UserError, match=r"optim\.lr: 0\.5 is not the 0\.001.*--weights"):
        go_on(small_config(root, tmp_path, 6, optim=OptimConfig(lr=0.5, warmup_steps=1, ema_decay=0.9)))
    (copy / "metrics_test.json").write_text("{}")  # of the weights before
    with caplog.at_level("INFO"):
        go_on(small_config(root, tmp_path, 6))
        assert not (copy / "metrics_test.json").exists() and "metrics_test.json. val scores anew" in caplog.text
        assert (copy / "metrics_val.json").is_file() and (copy / "metrics_val_images.npz").is_file()
        caplog.clear()
        (copy / "metrics_test.json").write_text("{}")
        go_on(small_config(root, tmp_path, 6))
    assert "Nothing is left to train: 6 epochs are done" in caplog.text and (copy / "metrics_test.json").exists()
    rows = [row for row in csv.DictReader((copy / "metrics.csv").open()) if row["val/mIoU"]]
    assert [row["epoch"] for row in rows] == list("012345")
    state = weights_of(copy)
    assert state["global_step"] == 18
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_a_resume_that_cannot_be_changes_nothing(finished, tmp_path):
    root, run = finished
    copy = shutil.copytree(run, tmp_path / "run")
    before = (copy / "config.yaml").read_text()
    model = small_config(root, tmp_path, 6).model
    for changes, message in (
        ({"model": replace(model, encoder_name="elanext_tiny")}, "model.encoder_name: elanext_tiny is not the"),
        ({"trainer": TrainerConfig(accelerator="cpu", max_epochs=2)}, "trainer.max_epochs: 2 is less than the 4"),
        ({"trainer": TrainerConfig(accelerator="cpu", max_steps=3)}, "trainer.max_steps: 3 is less than the 12 steps"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            go_on(small_config(root, tmp_path, 6, **changes))
    assert (copy / "config.yaml").read_text() == before


def test_a_run_too_short_for_an_evaluation_keeps_its_last_weights(dataset, tmp_path, caplog):
    trainer = TrainerConfig(accelerator="cpu", max_epochs=3, check_val_every_n_epoch=2)
    with caplog.at_level("INFO"):
        fit(small_config(dataset, tmp_path, 1, trainer=trainer, name="three"))
    assert "2 does not divide the 3 epochs: the last 1 are not scored" in caplog.text
    trainer = TrainerConfig(accelerator="cpu", max_epochs=1, check_val_every_n_epoch=5)
    assert 0 <= fit(small_config(dataset, tmp_path, 1, trainer=trainer)).scores.mIoU <= 1


def test_a_card_with_other_classes_is_not_scored(finished):
    _, run = finished
    with pytest.raises(UserError, match="same classes in the same order"):
        evaluate(str(run), DataConfig(card="cells"), "val", TrainerConfig(accelerator="cpu"))


def test_steps_that_no_evaluation_follows_are_told(dataset, tmp_path, caplog):
    trainer = TrainerConfig(accelerator="cpu", max_epochs=-1, max_steps=4, limit_val_batches=1)
    result = fit(small_config(dataset, tmp_path, 1, trainer=trainer))  # 3 steps an epoch
    assert "max_steps: 4 is no multiple of the 3 steps" in caplog.text and "the last 1 are not scored" in caplog.text
    words = "Only 3 of the 5 images of split 'val' were scored."
    assert words in caplog.text and words.replace("'", "&#x27;") in result.page.read_text()


def test_scores_of_other_data_do_not_lie_beside_those_of_a_field(finished, tmp_path):
    root, run = finished
    copy = shutil.copytree(run, tmp_path / "run")
    trainer, written = TrainerConfig(accelerator="cpu"), []
    for fraction, metrics in ((0.5, ["medical"]), (0.25, [])):
        layout = {"images": "images/train", "masks": "masks/train", "val_fraction": fraction}
        config = DataConfig(card=str(root / "card.yaml"), num_workers=0, val_batch_size=1, layout=layout)
        evaluate(str(copy), config, "val", trainer, metrics=metrics)
        written.append({path.name for path in copy.glob("metrics_tiny_val*")})
    assert written[0] - written[1] == {"metrics_tiny_val_medical.json", "metrics_tiny_val_medical.csv"}
    assert "metrics_tiny_val.json" in written[1]


def test_a_split_without_labels_is_not_scored(finished, tmp_path):
    root, run = finished
    copy = shutil.copytree(run, tmp_path / "run")
    before = sorted(copy.rglob("*"))
    data = shutil.copytree(root, tmp_path / "data")
    for path in (data / "masks/val").iterdir():
        Image.fromarray(np.full_like(np.asarray(Image.open(path)), 255)).save(path)
    config = DataConfig(card=str(data / "card.yaml"), num_workers=0, val_batch_size=1)
    with pytest.raises(UserError, match=r"split 'val': no pixel of its 5 images is labelled"):
        evaluate(str(copy), config, "val", TrainerConfig(accelerator="cpu"))
    assert sorted(copy.rglob("*")) == before
