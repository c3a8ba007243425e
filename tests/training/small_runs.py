"""Runs of a moment, and what breaks them off."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from segnext_pafpn.cli import main
from segnext_pafpn.data.config import AugmentConfig, DataConfig
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.training.callbacks import EpochSeed
from segnext_pafpn.training.config import OptimConfig, TrainConfig, TrainerConfig
from segnext_pafpn.training.evaluate import Result
from segnext_pafpn.training.resume import find_resume_point
from segnext_pafpn.training.run import fit
from tests.conftest import SMALL_RUN, single_thread

TWO_STEPS = ["--data.val_batch_size=2", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]


def small_config(dataset: Path, folder: Path, epochs: int, **changes) -> TrainConfig:
    return TrainConfig(
        **{
            "name": "run",
            "output_dir": str(folder),
            "model": ModelConfig(
                encoder_name="elanext_nano",
                options={"decoder_channels": 16, "head_channels": 16, "head_dropout": 0.2},
            ),
            "data": DataConfig(
                card=str(dataset / "card.yaml"),
                crop_size=(32, 48),
                batch_size=2,
                num_workers=0,
                augment=AugmentConfig(scale=(0.8, 1.2)),
            ),
            "optim": OptimConfig(warmup_steps=1, ema_decay=0.9),
            "trainer": TrainerConfig(accelerator="cpu", max_epochs=epochs),
            **changes,
        }
    )


def small_run(card: Path, folder: Path, epochs: int = 3, name: str = "run", **changes) -> Path:
    """Train for a moment and return the run's folder; by one thread, as what is learnt depends on their number."""
    config: TrainConfig = small_config(card.parent, folder, epochs, name=name, **changes)
    config = replace(config, data=replace(config.data, card=str(card)))
    with single_thread():
        fit(config)
    return folder / name


def two_steps(card: Path, folder: Path, *options: str) -> Path:
    """Train for two steps by the command line's own function and return the run's folder."""
    arguments = ["train", "--data", str(card), "--name", "run", "--output_dir", str(folder), *SMALL_RUN, *TWO_STEPS]
    assert main([*arguments, *options]) == 0
    assert (folder / "run/metrics_val.json").is_file()
    return folder / "run"


def go_on(config: TrainConfig) -> Result:
    """Take the configuration's run up again."""
    return fit(config, find_resume_point(config))


@contextmanager
def broken_off(epoch: int) -> Iterator[None]:
    """The run inside must come to the start of this epoch, and is stopped there."""

    class Stop(Exception):
        pass

    original = EpochSeed.on_train_epoch_start

    def stop(self, trainer, pl_module):
        if trainer.current_epoch == epoch:
            raise Stop
        original(self, trainer, pl_module)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(EpochSeed, "on_train_epoch_start", stop)
        yield
