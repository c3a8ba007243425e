"""One training step and one evaluation step."""

import lightning as L
import torch
from torch import nn
from torch.optim import Optimizer

from segnext_pafpn.data.dataset import Batch
from segnext_pafpn.evaluation.metrics import ConfusionMatrix, LayerMatrices, count_each_image
from segnext_pafpn.evaluation.scores import Scores, scores_from_matrix
from segnext_pafpn.models.any_size import padded_logits, required_stride
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.models.tta import VIEWS, mean_over_views
from segnext_pafpn.training.config import OptimConfig
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.losses import SegmentationLoss
from segnext_pafpn.training.optim import build_optimizer, mean_over_group


class SegmentationModule(L.LightningModule):
    """A network with its loss, its optimizer and its score.

    Batches of 8-bit RGB arrive as uint8 and are normalised on the device, others arrive as normalised floats.

    Args:
        model: takes normalised floats ``(B, C, H, W)``, gives logits ``(B, K, H, W)``.
        mean, std: per channel of 8-bit RGB, of values between 0 and 1; empty for others.
        channels_last: memory layout of images and weights.
        decision: how logits are read; by default the most probable class, or in the loss's mode sigmoid every class
            with more than half of its probability.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        loss: LossConfig,
        optim: OptimConfig,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        channels_last: bool = False,
        decision: Decision | None = None,
    ):
        super().__init__()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.to(memory_format=self.memory_format)
        self.loss = SegmentationLoss(loss, num_classes)
        self.optim = optim
        self.decision = decision or Decision(multi_label=loss.mode == "sigmoid")
        self.register_buffer("mean", 255 * torch.tensor(mean)[None, :, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std)[None, :, None, None], persistent=False)
        multi_label = self.decision.multi_label
        self.confusion = LayerMatrices(num_classes) if multi_label else ConfusionMatrix(num_classes)
        self.matrix: torch.Tensor | None = None
        self.tta = "none"  # test-time augmentation, which an evaluation may have
        self.keep_images = False  # also count each image of an evaluation by itself
        self._counted: list[tuple[list[str], torch.Tensor]] = []
        self.images: tuple[list[str], torch.Tensor] | None = None

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` uint8 to normalised floats, which those that are floats already are."""
        if image.is_floating_point():
            return image.contiguous(memory_format=self.memory_format)
        return ((image.float() - self.mean) / self.std).contiguous(memory_format=self.memory_format)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` uint8 or normalised floats to logits ``(B, K, H, W)``.

        Sides are padded where the network needs it.
        """
        stride = required_stride(self.model)
        return mean_over_views(lambda x: padded_logits(self.model, x, stride), self.normalize(image), VIEWS[self.tta])

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        auxiliary: list[torch.Tensor] = []
        if len(getattr(self.model, "auxiliary_heads", ())):
            logits, auxiliary = self.model.forward_auxiliary(self.normalize(batch["image"]))
        else:
            logits = self(batch["image"])
        loss = self.loss(logits, batch["mask"], auxiliary)
        self.log("loss", loss, prog_bar=True, logger=False)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["image"]))
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], prog_bar=True)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        mean_over_group(self.trainer, optimizer)

    def on_validation_epoch_start(self) -> None:
        self._counted = []

    def validation_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Count a batch; its logits go to the callbacks."""
        logits = self(batch["image"])
        loss = self.loss(logits, batch["mask"])
        self.log("val/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch["image"]))
        prediction = self.decision.classes(logits)
        self.confusion.update(prediction, batch["mask"])
        if self.keep_images:
            counts = count_each_image(prediction, batch["mask"], self.confusion.num_classes)
            self._counted.append((batch["name"], counts))
        return logits

    def on_validation_epoch_end(self) -> None:
        self.matrix = self.confusion.compute()
        self.confusion.reset()
        scores = self.scores()
        self.log("val/mIoU", scores.mIoU, prog_bar=True)
        self.log("val/aAcc", scores.aAcc)
        self.log("val/mAcc", scores.mAcc)
        if self.keep_images:
            self.images = self._gather_images()

    def scores(self) -> Scores:
        """What the last evaluation found, over the whole split and all processes."""
        assert self.matrix is not None, "no evaluation has run yet"
        return scores_from_matrix(self.matrix.cpu())

    def _gather_images(self) -> tuple[list[str], torch.Tensor]:
        """Names and confusion matrices of all processes' images, on the CPU; the device is read once.

        The matrices are (N, K, K), or (N, K, 2, 2) where a pixel may be of several classes.
        """
        names = [name for batch, _ in self._counted for name in batch]
        parts = [(names, torch.cat([counts for _, counts in self._counted]).cpu())]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            own, parts = parts[0], [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(parts, own)
        return [name for names, _ in parts for name in names], torch.cat([counts for _, counts in parts])

    def predict_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Class of each pixel (B, H, W), or (B, K, H, W) of 0 and 1 where a pixel may be of several."""
        return self.decision.classes(self(batch["image"]))

    def configure_optimizers(self) -> dict:
        total_steps = int(self.trainer.estimated_stepping_batches)
        # On a CPU a fused step takes half the time; with mixed precision Lightning could not clip its gradients.
        fused = True if self.device.type == "cpu" and self.trainer.precision == "32-true" else None
        optimizer, schedule = build_optimizer(self.model, self.optim, total_steps, fused)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
