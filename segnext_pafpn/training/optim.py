"""AdamW without decay on norms, biases and LayerScale; linear warmup, then cosine; averaged weights."""

from dataclasses import dataclass

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from segnext_pafpn.errors import UserError


@dataclass(kw_only=True)
class OptimConfig:
    """How to minimise.

    Args:
        lr: highest learning rate.
        weight_decay: of AdamW, on convolution and linear weights alone.
        betas: of AdamW.
        warmup_steps: optimizer steps over which the learning rate rises linearly.
        min_lr: learning rate at the end of the cosine.
        ema_decay: of the averaged weights that are evaluated and saved, or null for none.
    """

    lr: float = 1e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 50
    min_lr: float = 0.0
    ema_decay: float | None = 0.999


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups: matrices and kernels with decay; vectors (norms, biases, LayerScale) without."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, config: OptimConfig, total_steps: int) -> tuple[AdamW, LRScheduler]:
    """AdamW, and its schedule over ``total_steps`` optimizer steps.

    Raises:
        UserError: if the warmup is longer than the run.
    """
    if not 0 <= config.warmup_steps < total_steps:
        raise UserError(
            f"optim.warmup_steps: {config.warmup_steps} must be less than the {total_steps} steps of the run. "
            f"Lower it, or train longer."
        )
    optimizer = AdamW(parameter_groups(model, config.weight_decay), lr=config.lr, betas=config.betas)
    cosine = CosineAnnealingLR(optimizer, total_steps - config.warmup_steps, eta_min=config.min_lr)
    if config.warmup_steps == 0:
        return optimizer, cosine
    warmup = LinearLR(optimizer, start_factor=1 / config.warmup_steps, total_iters=config.warmup_steps)
    return optimizer, SequentialLR(optimizer, [warmup, cosine], milestones=[config.warmup_steps])


class EMAWeights(WeightAveraging):
    """Exponential moving average of weights and statistics; validation and checkpoints use the average.

    The decay rises as (1 + n) / (10 + n) over the n steps so far, up to ``decay``, so that a short run is
    not held back by its first weights.
    """

    def __init__(self, decay: float):
        def average(averaged: list[torch.Tensor], current: list[torch.Tensor], num_averaged: torch.Tensor) -> None:
            n = int(num_averaged)
            get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, num_averaged)

        super().__init__(multi_avg_fn=average)
