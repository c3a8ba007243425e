"""What watches a run: bad losses, waiting for data, randomness, a line per epoch, and the batches of one."""

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint
from torch import nn

from segnext_pafpn.data.dataset import Batch
from segnext_pafpn.errors import UserError
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.training.checkpoints import batches_inside

log = logging.getLogger(__name__)


class NonFiniteLossError(UserError):
    """A loss that is NaN or infinite, at the optimizer step ``step``."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


class NonFiniteLossGuard(Callback):
    """Stops at a loss that is NaN or infinite and names the pictures of that batch.

    On a GPU reading a loss makes the host wait, so losses are kept on the device and looked at every
    ``interval`` steps, and before anything is evaluated or saved; on a CPU at every step.
    """

    def __init__(self, interval: int = 10):
        self.interval = interval
        self._pending: list[tuple[int, list[str], torch.Tensor]] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Mapping, batch: Batch, batch_idx: int
    ) -> None:
        loss = outputs["loss"].detach()
        self._pending.append((trainer.global_step, batch["name"], loss))
        if loss.device.type == "cpu" or len(self._pending) >= self.interval:
            self._look()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._look()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._look()

    def _look(self) -> None:
        if not self._pending:
            return
        finite = torch.stack([loss for _, _, loss in self._pending]).isfinite().tolist()
        pending, self._pending = self._pending, []
        if all(finite):
            return
        step, names, loss = pending[finite.index(False)]
        raise NonFiniteLossError(
            f"step {step}: the loss is {loss.item()}, on the batch of {', '.join(names)}. "
            f"Lower optim.lr, use trainer.precision 32-true or bf16-mixed, or look at these files.",
            step=step,
        )


class ResumedEpoch(Callback):
    """Goes on with the epoch in which a run was ended, or with the one after those that are whole.

    Lightning takes an epoch that ``max_steps`` has ended for a whole one, and in a run that has ``max_steps`` it counts
    an empty epoch after a whole one, so that all others would have the order of their successors.
    """

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict) -> None:
        if batches_inside(checkpoint):
            for progress in checkpoint["loops"]["fit_loop"]["epoch_progress"].values():
                progress["processed"] -= 1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loop = trainer.fit_loop
        if loop.restarted_on_epoch_end:
            loop.epoch_progress.increment_completed()
            loop.reset_restart_stage()
            loop.epoch_loop.restarting = False


class EpochSeed(Callback):
    """Seeds what is drawn while training anew from (seed, epoch, process), so that a resumed run draws the same.

    Dropout and stochastic depth draw from torch, timm's mixup from numpy, its random erasing from Python.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._draw_anew(trainer)  # an epoch that goes on has no start

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._draw_anew(trainer)

    def _draw_anew(self, trainer: L.Trainer) -> None:
        seed = (self.seed * 100_003 + trainer.current_epoch) * 1_009 + trainer.global_rank
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)


class DataWait(Callback):
    """Logs ``data_wait``: the share of an epoch's time in which the device had no batch to work on."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._worked = 0.0
        self._mark = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._mark = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._waited = self._worked = 0.0
        self._mark = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if batch_idx > 0:  # the first wait holds the start of the worker processes
            self._waited += now - self._mark
        self._mark = now

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Mapping, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        self._worked += now - self._mark
        self._mark = now
        share = self._waited / (self._waited + self._worked)
        pl_module.log("data_wait", share, prog_bar=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._mark = time.perf_counter()


class EpochLine(Callback):
    """Logs one line for every epoch, for terminals without a progress bar and for log files.

    It has the scores where the epoch ends with an evaluation, and the training's loss alone where it does not.
    """

    def __init__(self, score: str = "val/mIoU") -> None:
        self.score = score
        self._start = time.perf_counter()
        self._losses: list[torch.Tensor] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Mapping, batch: Batch, batch_idx: int
    ) -> None:
        self._losses.append(outputs["loss"].detach())

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics = trainer.callback_metrics
        if self._losses:
            score = f"{self.score.removeprefix('val/')} {100 * metrics[self.score]:.2f} %"
            self._say(trainer, f"val loss {metrics['val/loss']:.3f}  {score}  ")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._losses:  # no evaluation has said them
            self._say(trainer, "")

    def _say(self, trainer: L.Trainer, scores: str) -> None:
        losses, self._losses = self._losses, []
        if not trainer.is_global_zero:
            return
        loss = trainer.accumulate_grad_batches * torch.stack(losses).mean()  # Lightning has divided by it
        until = f"step {trainer.global_step}/{int(trainer.estimated_stepping_batches)}"
        log.info(
            f"epoch {trainer.current_epoch + 1:>3}  {until}  loss {loss:.3f}  {scores}"
            f"lr {max(group['lr'] for group in trainer.optimizers[0].param_groups):.1e}  "
            f"waiting for data {100 * trainer.callback_metrics['data_wait']:.0f} %  "
            f"{time.perf_counter() - self._start:.0f} s"
        )


class BatchGatherer(Callback, ABC):
    """Sees each batch of an evaluation together with what the network says of it."""

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: torch.Tensor,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.gather(outputs, batch)

    @abstractmethod
    def gather(self, logits: torch.Tensor, batch: Batch) -> None:
        """Take the batch and its logits, (B, K, H, W)."""


class BestModel(Checkpoint):
    """Writes ``model/`` whenever the best checkpoint is written, so that a run that is killed can be used all the same.

    The weights are the checkpoint's, the averaged ones where there are such. It is a ``Checkpoint`` so that Lightning
    calls it after the one it follows.

    Args:
        best: must stand before this one among the callbacks.
        network: a copy of the model, on the CPU, to carry the weights into the file.
        folder: ``model/``.
    """

    def __init__(self, best: ModelCheckpoint, network: nn.Module, preprocessing: Preprocessing, folder: Path):
        self.best = best
        self.network = network
        self.preprocessing = preprocessing
        self.folder = folder
        self._score: float | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        score = self.best.best_model_score
        if score is not None and self.folder.is_dir():  # a resumed run, whose best model is there already
            self._score = float(score)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        score = self.best.best_model_score
        if score is None or not trainer.is_global_zero or float(score) == self._score:
            return
        self._score = float(score)
        state = torch.load(self.best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        weights = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
        self.network.load_state_dict(weights)
        save_bundle(self.network, self.preprocessing, self.folder, {"best so far": f"mIoU {100 * self._score:.2f} %"})
