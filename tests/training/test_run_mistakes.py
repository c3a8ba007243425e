"""What a run is refused for, or stops at, in one line and before it leaves anything behind."""

import os
from collections.abc import Iterator

import pytest
import torch

from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.training.config import OptimConfig, TrainerConfig
from segnext_pafpn.training.run import fit
from tests.conftest import error_of
from tests.training.small_runs import go_on, small_config


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_files(dataset, tmp_path):
    config = small_config(dataset, tmp_path, 3, optim=OptimConfig(lr=1e30, warmup_steps=0, ema_decay=None))
    with pytest.raises(UserError, match=r"the loss is (nan|inf).*images/train/t\d\.png.*Lower optim\.lr"):
        fit(config)


def test_a_refused_run_leaves_no_folder_behind(dataset, tmp_path):
    for changes in ({"optim": OptimConfig(lr=-1.0)}, {"trainer": TrainerConfig(accelerator="gpux")}):
        with pytest.raises(UserError):
            fit(small_config(dataset, tmp_path, 1, **changes))
        assert not (tmp_path / "run").exists()


def test_a_network_that_cannot_take_the_batches_is_refused_before_anything_is_written(dataset, tmp_path):
    swin = ModelConfig(encoder_name="tu-swin_s3_tiny_224")
    with pytest.raises(UserError, match=r"encoder tu-swin_s3_tiny_224 cannot be trained on batches of .*img_size"):
        fit(small_config(dataset, tmp_path, 1, model=swin))
    assert not (tmp_path / "run").exists()


def test_nothing_to_resume_is_said(dataset, tmp_path):
    with pytest.raises(UserError, match="nothing to resume"):
        go_on(small_config(dataset, tmp_path, 1))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("max_epochs 0", "found 0, expected at least 1, or -1 for no limit but max_steps."),
        ("max_epochs -2", "found -2, expected at least 1, or -1"),
        ("max_steps 0", "found 0, expected at least 1, or -1 for no limit but max_epochs."),
        ("max_steps -5", "found -5, expected at least 1, or -1"),
        ("gradient_clip_val -1", "found -1.0, expected more than 0, or null for no clipping."),
        ("gradient_clip_val .nan", "found nan, expected more than 0"),
        ("log_every_n_steps 0", "found 0, expected at least 1."),
        ("devices 0", "found 0, expected at least 1, or -1 for all."),
        ("num_nodes 0", "found 0, expected at least 1."),
        ("limit_train_batches 0", "found 0, expected at least 1, or null for all."),
    ],
)
@pytest.mark.parametrize("command", ["train", "pretrain", "val"])
def test_numbers_of_the_trainer_that_cannot_be_are_told_at_once(capsys, tmp_path, monkeypatch, command, option, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("data: {card: streets}")
    key, value = option.split()
    start = ["--checkpoint", tmp_path] if command == "val" else []
    assert f"error: trainer.{key}: {words}" in error_of(capsys, command, *start, f"--trainer.{key}={value}")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        (TrainerConfig(precision="bf16"), "Did you mean 'bf16-"),
        (TrainerConfig(accelerator="gpu", devices=64), "trainer: .*gpu"),
        (TrainerConfig(accelerator="cpu", limit_val_batches=0), "limit_val_batches: found 0, expected at least 1"),
        (TrainerConfig(accelerator="cpu", strategy="foo"), "trainer.strategy: 'foo' is not known. .*auto, .*ddp, "),
        (TrainerConfig(accelerator="cpu", strategy="dpp"), "Did you mean 'ddp'"),
        (TrainerConfig(accelerator="cpu", strategy="xla"), "trainer: .*torch_xla"),
        *(
            (TrainerConfig(accelerator="cpu", devices=2, strategy=name), f"trainer.strategy: {name} starts .* ddp, or")
            for name in ("ddp_spawn", "ddp_fork", "ddp_notebook_find_unused_parameters_true")
        ),
        (TrainerConfig(max_epochs=-1), "would never end"),
        (TrainerConfig(accelerator="gpux"), "trainer: .*gpux"),
    ],
)
def test_impossible_trainers_are_refused(dataset, tmp_path, trainer, words):
    with pytest.raises(UserError, match=words):
        fit(small_config(dataset, tmp_path, 1, trainer=trainer))


@pytest.fixture
def alone_in_ddp() -> Iterator[None]:
    """DDP of this process alone; what Lightning leaves behind is removed."""
    before = dict(os.environ)
    yield
    torch.distributed.destroy_process_group()
    for name in os.environ.keys() - before.keys():  # another test's processes would take themselves for parts of it
        del os.environ[name]


def test_parameters_that_ddp_waits_for_in_vain_are_told(dataset, tmp_path, alone_in_ddp):
    trainer, model = (
        TrainerConfig(accelerator="cpu", strategy="ddp"),
        ModelConfig(arch="pspnet", encoder_name="resnet18"),
    )
    with pytest.raises(UserError, match=r"take no part .* Set --trainer.strategy ddp_find_unused_parameters_true\."):
        fit(small_config(dataset, tmp_path, 1, trainer=trainer, model=model))


def test_a_gpu_that_is_not_there_is_said_in_our_words(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for accelerator in ("gpu", "cuda"):
        with pytest.raises(UserError, match=f"accelerator {accelerator} was asked for, but torch finds no such device"):
            fit(small_config(dataset, tmp_path, 1, trainer=TrainerConfig(accelerator=accelerator)))
    assert not (tmp_path / "run").exists()
