"""One training step and one evaluation step of an image classifier."""

import lightning as L
import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.data.random_erasing import RandomErasing
from timm.utils import accuracy
from torch import nn
from torch.optim import Optimizer

from segnext_pafpn.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from segnext_pafpn.training.optim import mean_over_group
from segnext_pafpn.training.pretrain.config import ImageAugmentConfig, PretrainOptimConfig
from segnext_pafpn.training.pretrain.images import ImageBatch
from segnext_pafpn.training.pretrain.optim import build_optimizer


class ClassificationModule(L.LightningModule):
    """A classifier with its loss, its optimizer and its scores, ``val/top1`` and ``val/top5`` (fractions).

    ``images`` is how many pictures an evaluation has looked at.

    Batches arrive as uint8; they are normalised, erased and mixed on the device.

    Args:
        model: takes normalised floats ``(B, 3, S, S)``, gives logits ``(B, K)``.
        num_classes: K.
        lr: highest learning rate.
        warmup_steps: optimizer steps up to it.
        channels_last: memory layout of images and weights.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        augment: ImageAugmentConfig,
        optim: PretrainOptimConfig,
        lr: float,
        warmup_steps: int,
        channels_last: bool = False,
    ):
        super().__init__()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.to(memory_format=self.memory_format)
        self.augment = augment
        self.optim = optim
        self.lr = lr
        self.warmup_steps = warmup_steps
        self.mix = _build_mix(augment, num_classes)
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD).view(1, -1, 1, 1), persistent=False)

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """``(B, 3, S, S)`` uint8 to normalised floats."""
        return ((image.float() - self.mean) / self.std).contiguous(memory_format=self.memory_format)

    def training_inputs(self, batch: ImageBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Images ``(B, 3, S, S)``, erased and mixed, and targets: ``(B, K)`` shares of the classes that add up to 1.

        Without mixup and cutmix the targets are the ids ``(B,)``.
        """
        image, target = self.normalize(batch["image"]), batch["label"]
        if self.augment.random_erasing:
            erase = RandomErasing(self.augment.random_erasing, mode="pixel", device=image.device)
            image = erase(image)
        return (image, target) if self.mix is None else self.mix(image, target)

    def loss(self, batch: ImageBatch) -> torch.Tensor:
        """Cross-entropy with the (mixed) targets, mean over the batch."""
        image, target = self.training_inputs(batch)
        smoothing = self.augment.label_smoothing if self.mix is None else 0.0  # mixed targets are smooth already
        return F.cross_entropy(self.model(image).float(), target, label_smoothing=smoothing)

    def training_step(self, batch: ImageBatch, batch_idx: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True, logger=False)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["image"]))
        self.log("lr", max(group["lr"] for group in self.trainer.optimizers[0].param_groups), prog_bar=True)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        mean_over_group(self.trainer, optimizer)

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        logits = self.model(self.normalize(batch["image"])).float()
        top1, top5 = accuracy(logits, batch["label"], topk=(1, 5))
        values = {"val/loss": F.cross_entropy(logits, batch["label"]), "val/top1": top1 / 100, "val/top5": top5 / 100}
        self.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(logits))
        count = float(len(logits))
        self.log("images", count, on_step=False, on_epoch=True, sync_dist=True, reduce_fx="sum", logger=False)

    def configure_optimizers(self) -> dict:
        total_steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = build_optimizer(self.model, self.optim, self.lr, self.warmup_steps, total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _build_mix(augment: ImageAugmentConfig, num_classes: int) -> Mixup | None:
    if not augment.mixup and not augment.cutmix:
        return None
    return Mixup(augment.mixup, augment.cutmix, label_smoothing=augment.label_smoothing, num_classes=num_classes)
