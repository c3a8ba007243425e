"""Pretraining from end to end: a folder of pictures, a run, what it leaves, and how it goes on."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import yaml

from segnext_pafpn.cli import main
from segnext_pafpn.models.classifier import ClassifierConfig
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.pretrain.config import (
    ImageAugmentConfig,
    ImageFolderConfig,
    PretrainConfig,
    PretrainOptimConfig,
)
from segnext_pafpn.training.pretrain.images import ImageFolderDataModule
from segnext_pafpn.training.pretrain.run import pretrain
from tests.conftest import error_of, run_cli, single_thread, write_image_folder
from tests.training.pretrain.conftest import rows_of, settings
from tests.training.small_runs import broken_off

CLASSES = ["blue", "green", "red"]


def test_a_run_leaves_everything_in_its_folder(finished):
    for name in ("config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "encoder.safetensors"):
        assert (finished / name).is_file(), name
    assert json.loads((finished / "classes.json").read_text()) == CLASSES
    assert json.loads((finished / "metrics_val.json").read_text())["images"] == 12
    assert yaml.safe_load((finished / "config.yaml").read_text())["optim"]["ema_decay"] == 0.9
    for column in ("train/loss", "val/loss", "val/top1", "val/top5"):
        assert len(rows_of(finished, column)) == 2, column


def test_timm_reads_the_encoder_and_scores_what_the_run_reported(finished, images):
    model = timm.create_model("elanext_nano", num_classes=3, checkpoint_path=finished / "encoder.safetensors").eval()
    data = ImageFolderDataModule(ImageFolderConfig(root=str(images), input_size=64, num_workers=0))
    batch = next(iter(data.val_dataloader()))
    mean, std = (torch.tensor(model.default_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        logits = model((batch["image"] / 255 - mean) / std)
    reported = json.loads((finished / "metrics_val.json").read_text())
    right = (logits.argmax(1) == batch["label"]).float().mean()
    assert 100 * right.item() == pytest.approx(reported["top1"], abs=1e-3)
    assert F.cross_entropy(logits, batch["label"]).item() == pytest.approx(reported["loss"], abs=1e-4)
    assert max(rows_of(finished, "val/top1")) == pytest.approx(right.item(), abs=1e-5)


def test_a_resumed_run_equals_one_that_never_stopped(finished, images, tmp_path):
    with single_thread(), broken_off(epoch=1):  # as in the processes: sums over more threads round otherwise
        main(["pretrain", *settings(images, tmp_path)])
    result = run_cli("pretrain", "--resume", tmp_path / "run", "--data.num_workers", 1)
    assert result.returncode == 0, result.stderr
    whole, resumed = (torch.load(r / "checkpoints/last.ckpt", weights_only=True) for r in (finished, tmp_path / "run"))
    assert resumed["global_step"] == whole["global_step"] == 8
    for key in ("state_dict", "current_model_state"):
        for name, tensor in whole[key].items():
            assert torch.equal(tensor, resumed[key][name]), name
    assert rows_of(tmp_path / "run", "train/loss") == rows_of(finished, "train/loss")


def test_other_classes_are_not_resumed_on(capsys, finished, images, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    write_image_folder(tmp_path / "data", classes=("blue", "green", "yellow"))
    resume = ["pretrain", "--resume", tmp_path / "run"]
    assert "on 3 classes, data.root now holds 3 or others" in error_of(
        capsys, *resume, "--data.root", tmp_path / "data"
    )
    assert "optim.lr: 0.5 is not the 0.001" in error_of(capsys, *resume, "--optim.lr", "0.5")


def test_a_model_of_timm_learns_colours_and_its_last_pictures_are_scored(images, tmp_path):
    result = pretrain(
        PretrainConfig(
            output_dir=str(tmp_path),
            model=ClassifierConfig(name="test_convnext2"),
            data=ImageFolderConfig(
                root=str(images),
                input_size=64,
                batch_size=6,
                val_batch_size=5,
                num_workers=0,
                augment=ImageAugmentConfig(auto_augment=None, color_jitter=0, mixup=0, cutmix=0),
            ),
            optim=PretrainOptimConfig(lr=2e-3, lr_batch_size=None, warmup_epochs=1, ema_decay=0.5),
            trainer=TrainerConfig(accelerator="cpu", max_epochs=3),
        )
    )
    assert result.top1 == 100.0 and result.images == 12
    assert rows_of(tmp_path / "pretrain", "val/loss")[-1] < 0.5 < np.log(3)


def test_an_evaluation_of_a_part_counts_the_pictures_it_has_looked_at(images, tmp_path):
    result = pretrain(
        PretrainConfig(
            output_dir=str(tmp_path),
            model=ClassifierConfig(name="test_convnext2"),
            data=ImageFolderConfig(root=str(images), input_size=64, batch_size=6, val_batch_size=5, num_workers=0),
            trainer=TrainerConfig(accelerator="cpu", max_epochs=1, limit_train_batches=1, limit_val_batches=1),
        )
    )
    assert result.images == json.loads((tmp_path / "pretrain/metrics_val.json").read_text())["images"] == 5


def test_a_finished_run_is_not_overwritten_by_accident(capsys, finished, images):
    assert "holds a run already" in error_of(capsys, "pretrain", *settings(images, finished.parent))


def documented_commands() -> list[list[str]]:
    text = (Path(__file__).parents[3] / "docs/pretraining.md").read_text()
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("segnext-pafpn")]


@pytest.mark.parametrize("command", documented_commands(), ids=" ".join)
def test_documented_commands_have_options_that_exist(capsys, tmp_path, command, finished):
    if "--resume" in command:
        command[command.index("--resume") + 1] = str(finished)
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--print_config"])
    assert stopped.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["trainer"]["max_epochs"] > 0
