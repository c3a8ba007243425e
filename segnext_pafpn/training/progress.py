"""What a user sees of a run while it goes on, besides its evaluations: lines in a log, or a bar on a terminal."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar

from segnext_pafpn.data.dataset import Batch

log = logging.getLogger(__name__)


class ProgressLines(Callback):
    """Logs one line when training starts, and one whenever it has been silent for ``interval`` seconds.

    Args:
        folder: of the run.
        interval: None for the first line alone, where a bar shows the rest.
    """

    def __init__(self, folder: Path, interval: float | None = 30.0):
        self.folder = folder
        self.interval = interval
        self._start = self._said = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = self._said = time.perf_counter()
        if not trainer.is_global_zero:
            return
        device = pl_module.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
        per_epoch = -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)
        total = int(trainer.estimated_stepping_batches)
        log.info(
            f"{self.folder}: trains on {trainer.world_size} x {name}, precision {trainer.precision}, "
            f"from {len(trainer.train_dataloader.dataset)} pictures; epoch {trainer.current_epoch + 1} to "
            f"{-(-total // per_epoch)}, {per_epoch} steps each, {total} in all"
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Mapping, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self.interval is None or now - self._said < self.interval or not trainer.is_global_zero:
            return
        self._said = now
        loss = trainer.accumulate_grad_batches * outputs["loss"].item()  # Lightning has divided by it
        log.info(
            f"epoch {trainer.current_epoch + 1:>3}  step {trainer.global_step}/"
            f"{int(trainer.estimated_stepping_batches)}  loss {loss:.3f}  {now - self._start:.0f} s"
        )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._said = time.perf_counter()  # the evaluation has a line of its own


class EpochBar(RichProgressBar):
    """Lightning's bar, its epochs counted from 1 as in the lines beside it."""

    def _get_train_description(self, current_epoch: int) -> str:
        epochs = f"/{self.trainer.max_epochs}" if (self.trainer.max_epochs or 0) > 0 else ""
        return f"Epoch {current_epoch + 1}{epochs}".ljust(len(self.validation_description))
