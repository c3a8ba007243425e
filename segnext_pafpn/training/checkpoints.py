"""Checkpoints on disk: each whole under its name, or not there."""

from pathlib import Path
from pickle import PickleError

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

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
