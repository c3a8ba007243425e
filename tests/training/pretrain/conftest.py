"""A folder of pictures and a run on it, for all tests of pretraining."""

import csv
from pathlib import Path

import pytest

from tests.conftest import run_cli, write_image_folder


def settings(root: Path, folder: Path) -> list[str]:
    return [
        f"--data.root={root}", f"--output_dir={folder}", "--name=run", "--model.name=elanext_nano",
        "--data.input_size=64", "--data.batch_size=6", "--data.val_batch_size=5", "--data.num_workers=0",
        "--optim.lr=0.001", "--optim.lr_batch_size=null", "--optim.warmup_epochs=0", "--optim.ema_decay=0.9",
        "--trainer.accelerator=cpu", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """Three classes of 8 + 4 pictures."""
    root = tmp_path_factory.mktemp("images")
    write_image_folder(root)
    return root


@pytest.fixture(scope="session")
def finished(images, tmp_path_factory) -> Path:
    """A run of two epochs, with the whole recipe of augmentation, by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    result = run_cli("pretrain", *settings(images, folder))
    assert result.returncode == 0, result.stderr
    assert "24 pictures of 3 classes; 6 pictures a step, 4 steps an epoch, learning rate 1.00e-03" in result.stdout
    assert f"train --weights {folder}/run --model.encoder_name elanext_nano" in result.stdout
    return folder / "run"


def rows_of(run: Path, column: str) -> list[float]:
    return [float(row[column]) for row in csv.DictReader((run / "metrics.csv").open()) if row[column]]
