"""Checkpoints on disk: each whole under its name, or not there."""

from io import BytesIO
from pathlib import Path

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from segnext_pafpn.files import write_atomic


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's, but written beside the one it replaces and renamed: Lightning writes to the system's folder for
    temporary files and copies, so that a disk that is full or a process that is killed leaves half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: object = None) -> None:
        """Write it, of which the first process alone is asked.

        Raises:
            UserError: if there is no room for it; the one before is left as it was.
        """
        buffer = BytesIO()  # into a file torch's error would be one of its archive's, not the system's
        torch.save(checkpoint, buffer)
        with write_atomic(Path(path)) as temporary:
            temporary.write_bytes(buffer.getbuffer())
