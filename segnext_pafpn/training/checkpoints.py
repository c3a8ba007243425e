"""Checkpoints on disk: each whole under its name, or not there."""

from collections.abc import Mapping
from pathlib import Path
from pickle import PickleError

import lightning as L
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import write_atomic, write_through_memory

# what torch raises for files that are no checkpoints, or a part of one
_UNREADABLE = (OSError, EOFError, PickleError, ValueError, TypeError, AttributeError, LookupError, RuntimeError)


def read_checkpoint(path: Path) -> dict:
    """Lightning's checkpoint of a run, on the CPU.

    Raises:
        UserError: naming the file, if it is damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["state_dict"].keys() and state["epoch"] >= 0 and state["global_step"] >= 0:
            return state
        raise ValueError("holds no weights")
    except _UNREADABLE as error:
        other = path.with_name("best.ckpt" if path.name == "last.ckpt" else "last.ckpt")
        copy = f"Copy {other} over it to go on from there, or start" if other.is_file() else "Start"
        raise UserError(
            f"{path}: is no readable checkpoint: damaged, or cut off at {path.stat().st_size} bytes. {copy} the run "
            f"anew, without --resume and with --overwrite true."
        ) from error


def batches_inside(checkpoint: Mapping) -> int:
    """How many batches of its last epoch are done, where that is not whole; else 0."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return 0 if progress["is_last_batch"] else progress["current"]["completed"]


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's, but written beside the one it replaces and renamed: Lightning writes to the system's folder for
    temporary files and copies, so that a disk that is full or a process that is killed leaves half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: object = None) -> None:
        """Write it, of which the first process alone is asked.

        Raises:
            UserError: if there is no room for it; the one before is left as it was.
        """
        with write_atomic(Path(path)) as temporary:
            write_through_memory(lambda buffer: torch.save(checkpoint, buffer), temporary)


class RunCheckpoint(ModelCheckpoint):
    """``<name>.ckpt`` in ``folder``, the last one or the best one of a run.

    Lightning's forgets the best score where the folder was moved or ``every_n_epochs`` has changed; this one does not.

    Args:
        monitor: the metric whose highest value marks the best; None for the last one.
    """

    def __init__(self, folder: Path, name: str, monitor: str | None = None, every_n_epochs: int = 1):
        super().__init__(
            folder,
            name,
            monitor=monitor,
            mode="max",
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """What its state is called in a checkpoint."""
        return f"RunCheckpoint {self.filename}"

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict) -> None:
        """Find the state in a checkpoint of an earlier version, where it went by ``every_n_epochs``."""
        states = checkpoint["callbacks"]
        for key in [key for key in states if key.startswith("ModelCheckpoint{")]:
            if Path(states[key]["best_model_path"]).stem == self.filename:
                states.setdefault(self.state_key, states[key])

    def load_state_dict(self, state_dict: Mapping) -> None:
        """Take the state as one of the folder that the run lies in now."""

        def here(path: str) -> str:
            return str(Path(self.dirpath) / Path(path).name) if path else path

        paths = {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath})
