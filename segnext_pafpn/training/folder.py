"""A run's folder: made, taken up again, and read at the end."""

import shutil
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.config import RunConfig, save_config
from segnext_pafpn.training.engine import is_first_process


def checkpoint_to_resume(config: RunConfig) -> Path:
    """The folder's last checkpoint, after a look at whether the configuration may go on from it.

    Raises:
        UserError: if there is none, or ``optim`` has changed: a resumed run takes the optimizer's state from
            its checkpoint, so other settings would be ignored.
    """
    last = config.run_dir / "checkpoints" / "last.ckpt"
    if not last.is_file():
        raise UserError(f"{last}: no such checkpoint, so there is nothing to resume. Start the run without --resume.")
    saved = yaml.safe_load((config.run_dir / "config.yaml").read_text(encoding="utf-8"))["optim"]
    for key, value in asdict(config.optim).items():
        value = list(value) if isinstance(value, tuple) else value
        if key in saved and saved[key] != value:
            raise UserError(
                f"optim.{key}: {value} is not the {saved[key]} that {config.run_dir} was started with, and cannot "
                f"change when resuming. Start a new run from its weights with --weights {config.run_dir}."
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
