"""Cross-entropy and Dice over the labelled pixels of a batch, in float32 whatever the precision of the network."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.errors import UserError


@dataclass(kw_only=True)
class LossConfig:
    """What to minimise: a weighted sum.

    Args:
        cross_entropy: weight of the cross-entropy.
        dice: weight of the soft Dice loss over the classes that a batch holds.
        auxiliary: weight of the same loss on auxiliary heads, where the network has them.
        label_smoothing: of the cross-entropy, between 0 and 1.
        class_weights: one weight per class for the cross-entropy, or null.
    """

    cross_entropy: float = 1.0
    dice: float = 1.0
    auxiliary: float = 0.4
    label_smoothing: float = 0.0
    class_weights: list[float] | None = None


def cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    ignore_index: int = 255,
    class_weights: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Mean over the labelled pixels; 0, not NaN, where a batch has none.

    Args:
        logits: ``(B, K, H, W)``.
        target: ``(B, H, W)`` int64 of class ids and ``ignore_index``.
    """
    total = F.cross_entropy(
        logits,
        target,
        weight=class_weights,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="none",  # torch has no deterministic summing kernel for CUDA
    ).sum()
    valid = target != ignore_index
    if class_weights is None:
        return total / valid.sum().clamp(min=1)
    weights = class_weights[target.where(valid, 0)] * valid
    return total / weights.sum().clamp(min=1e-6)


def dice_loss(logits: torch.Tensor, target: torch.Tensor, ignore_index: int = 255) -> torch.Tensor:
    """1 - mean soft Dice of the classes in the batch (V-Net, arXiv 1606.04797); 0 where no pixel is labelled.

    Intersections and sums run over all labelled pixels of the batch, so small pictures do not weigh more.

    Args:
        logits: ``(B, K, H, W)``.
        target: ``(B, H, W)`` int64 of class ids and ``ignore_index``.
    """
    valid = (target != ignore_index).unsqueeze(1)
    probabilities = logits.softmax(dim=1) * valid
    index = target.unsqueeze(1).where(valid, 0)
    truth = torch.zeros_like(probabilities).scatter_(1, index, valid.to(probabilities.dtype))
    intersection = (probabilities * truth).sum(dim=(0, 2, 3))
    sizes = probabilities.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    dice = 2 * intersection / sizes.clamp(min=1.0)
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)


class SegmentationLoss(nn.Module):
    """The weighted sum that :class:`LossConfig` describes.

    Raises:
        UserError: if ``class_weights`` does not have one weight per class.
    """

    def __init__(self, config: LossConfig, num_classes: int, ignore_index: int = 255):
        super().__init__()
        weights = config.class_weights
        if weights is not None and len(weights) != num_classes:
            raise UserError(
                f"loss.class_weights: found {len(weights)} weights, expected one for each of {num_classes} classes."
            )
        self.config = config
        self.ignore_index = ignore_index
        self.register_buffer("class_weights", None if weights is None else torch.tensor(weights), persistent=False)

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, auxiliary: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Scalar loss of logits ``(B, K, H, W)`` and of auxiliary logits of the same shape.

        ``target`` is ``(B, H, W)`` of any integer type.
        """
        target = target.long()
        with torch.autocast(device_type=logits.device.type, enabled=False):
            loss = self._one(logits.float(), target)
            for extra in auxiliary:
                loss = loss + self.config.auxiliary / len(auxiliary) * self._one(extra.float(), target)
        return loss

    def _one(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        config = self.config
        loss = logits.new_zeros(())
        if config.cross_entropy:
            loss = loss + config.cross_entropy * cross_entropy(
                logits, target, self.ignore_index, self.class_weights, config.label_smoothing
            )
        if config.dice:
            loss = loss + config.dice * dice_loss(logits, target, self.ignore_index)
        return loss
