"""Losses over the region of each class in the batch as a whole: Dice, Tversky, Lovasz. Shapes: see the package.

Sums run over all labelled pixels of the batch, so small pictures do not weigh more. The mean is over the classes that
the batch holds.
"""

import torch

from segnext_pafpn.training.loss_config import Mode
from segnext_pafpn.training.losses.target import as_target


def dice_loss(
    logits: torch.Tensor, target: torch.Tensor, ignore_index: int = 255, mode: Mode = "softmax"
) -> torch.Tensor:
    """1 - mean soft Dice of the classes in the batch (V-Net, arXiv 1606.04797)."""
    probabilities, truth, _ = regions(logits, target, ignore_index, mode)
    intersection = (probabilities * truth).sum(dim=(0, 2, 3))
    sizes = probabilities.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    dice = 2 * intersection / sizes.clamp(min=1.0)
    return _mean_of_present(1 - dice, present)


def tversky_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    ignore_index: int = 255,
    alpha: float = 0.3,
    beta: float = 0.7,
    exponent: float = 1.0,
    mode: Mode = "softmax",
) -> torch.Tensor:
    """Mean of (1 - TP / (TP + alpha FP + beta FN))^exponent over the classes in the batch (arXiv 1706.05721).

    With both weights 0.5 it is the Dice loss. An exponent of 3/4 makes it the focal Tversky loss (arXiv 1810.07842,
    where it is written 1/gamma).
    """
    probabilities, truth, _ = regions(logits, target, ignore_index, mode)
    true = truth.sum(dim=(0, 2, 3))
    right = (probabilities * truth).sum(dim=(0, 2, 3))
    false_positive, false_negative = probabilities.sum(dim=(0, 2, 3)) - right, true - right
    present = true > 0
    whole = (right + alpha * false_positive + beta * false_negative).where(present, 1.0)
    error = 1 - right / whole.clamp(min=1e-6)
    if exponent != 1:
        error = error.clamp(min=1e-6) ** exponent  # a root has no slope at 0
    return _mean_of_present(error, present)


def lovasz_loss(
    logits: torch.Tensor, target: torch.Tensor, ignore_index: int = 255, mode: Mode = "softmax"
) -> torch.Tensor:
    """Mean Lovasz extension of 1 - IoU over the classes in the batch (Lovasz-softmax, arXiv 1705.08790).

    The sigmoid mode extends it over the errors of each class's own probability (not the paper's hinge).
    """
    probabilities, truth, valid = regions(logits, target, ignore_index, mode)
    errors = (truth - probabilities).abs()
    present = truth.sum(dim=(0, 2, 3)) > 0
    slopes = torch.zeros_like(errors)
    valid = valid.expand_as(errors)
    for k in present.nonzero().flatten().tolist():  # sorting is the cost, so classes that are not there are left out
        slopes[:, k] = _lovasz_slopes(errors[:, k].detach(), truth[:, k], valid[:, k])
    return _mean_of_present((errors * slopes).sum(dim=(0, 2, 3)), present)


def _lovasz_slopes(errors: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """How much 1 - IoU grows by each pixel, if pixels become wrong in the order of their errors: as (B, H, W).

    The extension is the sum of errors times slopes, and the slopes are its gradient (Algorithm 1).
    """
    order = errors.masked_fill(~valid, -1.0).flatten().sort(descending=True, stable=True).indices
    positive = truth.flatten()[order].long()  # counted in integers: exact, and the same on every device
    total = positive.sum()
    missed = positive.cumsum(0)
    wrong = torch.arange(1, len(order) + 1, device=order.device) - missed
    losses = 1 - (total - missed).to(errors.dtype) / (total + wrong).to(errors.dtype)
    steps = losses.diff(prepend=losses.new_zeros(1))
    return torch.empty_like(steps).scatter_(0, order, steps).view_as(errors)


def regions(
    logits: torch.Tensor, target: torch.Tensor, ignore_index: int, mode: Mode
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities and truth, (B, K, H, W) in the dtype of the logits and 0 where ignored; labelled pixels, bool.

    The last is (B, 1, H, W) in the mode softmax, (B, K, H, W) in sigmoid.
    """
    target = as_target(logits, target, mode)
    if mode == "sigmoid":
        valid = target != ignore_index
        return logits.sigmoid() * valid, target.where(valid, 0).to(logits.dtype), valid
    valid = (target != ignore_index).unsqueeze(1)
    probabilities = logits.softmax(dim=1) * valid
    index = target.unsqueeze(1).where(valid, 0)
    truth = torch.zeros_like(probabilities).scatter_(1, index, valid.to(probabilities.dtype))
    return probabilities, truth, valid


def _mean_of_present(losses: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    return (losses * present).sum() / present.sum().clamp(min=1)
