"""A run's folder: made, taken up again, and read at the end."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.config import RunConfig, save_config
from segnext_pafpn.training.engine import is_first_process


def checkpoint_to_resume(config: RunConfig, fixed: Sequence[str] = ("optim",)) -> Path:
    """The folder's last checkpoint, after a look at whether the configuration may go on from it.

    Args:
        fixed: groups of settings that may not change, because their state comes from the checkpoint.

    Raises:
        UserError: if there is none, one of them has changed, or the run is longer already than it is to be.
    """
    last = config.run_dir / "checkpoints" / "last.ckpt"
    if not last.is_file():
        raise UserError(f"{last}: no such checkpoint, so there is nothing to resume. Start the run without --resume.")
    saved = yaml.safe_load((config.run_dir / "config.yaml").read_text(encoding="utf-8"))
    for group in fixed:
        for key, value in asdict(getattr(config, group)).items():
            value = list(value) if isinstance(value, tuple) else value
            if key in saved[group] and saved[group][key] != value:
                raise UserError(
                    f"{group}.{key}: {value} is not the {saved[group][key]} that {config.run_dir} was started with, "
                    f"and cannot change when resuming. Start a new run from its weights with --weights "
                    f"{config.run_dir}."
                )
    epochs = 1 + torch.load(last, map_location="cpu", weights_only=True)["epoch"]
    if 0 <= config.trainer.max_epochs < epochs:
        raise UserError(
            f"trainer.max_epochs: {config.trainer.max_epochs} is less than the {epochs} epochs that {config.run_dir} "
            f"has behind it. Resume with {epochs} or more."
        )
    return last


def prepare_folder(config: RunConfig, resume: bool) -> None:
    """Make the folder and write ``config.yaml`` into it; the first process alone does.

    Raises:
        UserError: if it holds a run that is neither resumed nor to be overwritten.
    """
    if not is_first_process():
        return
    folder = config.run_dir
    if not resume and (folder / "checkpoints" / "last.ckpt").exists():
        if not config.overwrite:
            raise UserError(
                f"{folder}: holds a run already. Choose another --name, go on with --resume {folder}, "
                f"or start anew with --overwrite true."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / "config.yaml")


def load_best(module: nn.Module, folder: Path) -> None:
    """The best weights, or the last ones of a run too short to have been evaluated."""
    best, last = (folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    checkpoint = torch.load(best if best.is_file() else last, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
