"""Losses that are means over pixels: cross-entropy, focal loss, hard pixels only. Shapes: see the package."""

import math

import torch
import torch.nn.functional as F

from segnext_pafpn.training.loss_config import Mode
from segnext_pafpn.training.losses.target import as_target


def cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    ignore_index: int = 255,
    class_weights: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
    mode: Mode = "softmax",
) -> torch.Tensor:
    """Mean over the labelled pixels (sigmoid: over their classes too), weighted by their true class (their class).

    Args:
        class_weights: (K,).
        label_smoothing: share of the truth that is spread over the classes (sigmoid: over yes and no).
    """
    target = as_target(logits, target, mode)
    if mode == "sigmoid":
        losses = _losses(logits, target, ignore_index, mode, label_smoothing)
        return _mean(losses, _weights(target, ignore_index, class_weights, mode))
    # torch smooths with the weight of each class, not with that of the true one
    total = F.cross_entropy(
        logits,
        target,
        weight=class_weights,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="none",  # torch has no deterministic summing kernel for CUDA
    ).sum()
    return total / _at_least_one(_weights(target, ignore_index, class_weights, mode).sum())


def focal_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    ignore_index: int = 255,
    class_weights: torch.Tensor | None = None,
    gamma: float = 2.0,
    mode: Mode = "softmax",
) -> torch.Tensor:
    """Mean of (1 - p)^gamma times the cross-entropy, p the probability of the truth (arXiv 1708.02002).

    ``class_weights`` (K,) are its alpha, as in :func:`cross_entropy`.
    """
    target = as_target(logits, target, mode)
    losses = _losses(logits, target, ignore_index, mode)
    doubt = -torch.expm1(-losses)  # 1 - p
    if gamma < 1:
        doubt = doubt.clamp(min=1e-6)  # a root has no slope at 0
    return _mean(doubt**gamma * losses, _weights(target, ignore_index, class_weights, mode))


def ohem_cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    ignore_index: int = 255,
    class_weights: torch.Tensor | None = None,
    threshold: float = 0.7,
    share: float = 0.0625,
    mode: Mode = "softmax",
) -> torch.Tensor:
    """Mean cross-entropy of the hard pixels of the batch (online hard example mining, arXiv 1604.03540).

    Hard are those whose truth has a probability of ``threshold`` or less; if they are fewer than ``share`` of the
    labelled pixels, the hardest that make up that share.
    """
    target = as_target(logits, target, mode)
    losses = _losses(logits, target, ignore_index, mode)
    valid = target != ignore_index
    hardness = losses.detach().masked_fill(~valid, -1.0)
    ranked = hardness.flatten().sort(descending=True).values
    last = ((share * valid.sum()).ceil().long() - 1).clamp(min=0)
    hardest = ranked.gather(0, last.view(1))  # indexing would wait for the device
    bar = hardest.clamp(max=-math.log(threshold))
    weights = _weights(target, ignore_index, class_weights, mode)
    return _mean(losses, weights * (hardness >= bar))


def _losses(
    logits: torch.Tensor, target: torch.Tensor, ignore_index: int, mode: Mode, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy of each pixel (sigmoid: of each class of it), in the shape of the target; 0 where ignored."""
    if mode == "softmax":
        return F.cross_entropy(
            logits, target, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction="none"
        )
    valid = target != ignore_index
    truth = target.where(valid, 0).to(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").where(valid, 0.0)


def _weights(target: torch.Tensor, ignore_index: int, class_weights: torch.Tensor | None, mode: Mode) -> torch.Tensor:
    """Weight of each entry of the target, 0 where ignored."""
    valid = target != ignore_index
    if class_weights is None:
        return valid.float()
    if mode == "sigmoid":
        return valid * class_weights.view(1, -1, 1, 1)
    return class_weights[target.where(valid, 0)] * valid


def _mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (losses * weights).sum() / _at_least_one(weights.sum())


def _at_least_one(total: torch.Tensor) -> torch.Tensor:
    """The total, or 1 where it is 0: what is divided by it is 0 then too."""
    return total.where(total > 0, 1.0)
