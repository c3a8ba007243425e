"""AdamW without decay on norms, biases and LayerScale; linear warmup, then cosine; averaged weights."""

import math

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.config import AdamWConfig, OptimConfig


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups: matrices and kernels with decay; vectors (norms, biases, LayerScale) without."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def build_optimizer(
    model: nn.Module, config: OptimConfig, total_steps: int, fused: bool | None = None
) -> tuple[AdamW, LambdaLR]:
    """AdamW, and its schedule over ``total_steps`` optimizer steps.

    Args:
        fused: torch's choice of kernel, see its AdamW.

    Raises:
        UserError: naming a setting that cannot be.
    """
    warmup = warmup_of(config, total_steps)
    optimizer = AdamW(parameter_groups(model, config.weight_decay), lr=config.lr, betas=config.betas, fused=fused)
    return optimizer, warmup_cosine(optimizer, warmup, config.min_lr / config.lr, total_steps)


def warmup_cosine(optimizer: Optimizer, warmup: int, floor: float, total_steps: int) -> LambdaLR:
    """Linear rise over ``warmup`` steps to each group's learning rate, then a cosine down to ``floor`` of it."""

    def factor(step: int) -> float:
        """Of the highest learning rate; in closed form, so that a resumed run may be made longer."""
        if step < warmup:
            return (1 + (warmup - 1) * step / warmup) / warmup
        progress = min(1.0, (step - warmup) / (total_steps - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def warmup_of(config: OptimConfig, total_steps: int) -> int:
    """The warmup's steps, :func:`shortened` for a short run.

    Raises:
        UserError: naming a setting that cannot be.
    """
    refuse_unfit(
        config,
        ("warmup_steps", config.warmup_steps >= 0, "0 or more"),
    )
    return shortened(config.warmup_steps, total_steps)


def refuse_unfit(config: AdamWConfig, *further: tuple[str, bool, str]) -> None:
    """Refuse numbers that no optimizer takes.

    Args:
        further: what else must hold: a key, whether its number fits, what is expected of it.

    Raises:
        UserError: naming the first setting that cannot be.
    """
    for key, fits, expected in (
        ("lr", 0 < config.lr < math.inf, "more than 0, and finite"),
        ("min_lr", 0 <= config.min_lr <= config.lr, f"0 to lr, which is {config.lr}"),
        ("weight_decay", 0 <= config.weight_decay < math.inf, "0 or more, and finite"),
        ("betas", len(config.betas) == 2 and all(0 <= b < 1 for b in config.betas), "two numbers of 0 to below 1"),
        ("ema_decay", config.ema_decay is None or 0 <= config.ema_decay < 1, "0 to below 1, or null"),
        *further,
    ):
        if not fits:
            raise UserError(f"optim.{key}: found {getattr(config, key)}, expected {expected}.")


def shortened(warmup: int, total_steps: int) -> int:
    """A warmup of so many steps, or a tenth of a run that is not twice as long as that."""
    return warmup if 2 * warmup <= total_steps else total_steps // 10


def warmup_line(setting: str, warmup: int, total_steps: int) -> str:
    """What to say where a warmup was shortened to ``warmup`` steps.

    Args:
        setting: that says how long it should be, and its value.
    """
    instead = f"warms up for a tenth of them, {warmup}" if warmup else "does not warm up"
    return f"{setting} is more than half of the run's {total_steps} steps, so that it {instead}."


def mean_over_group(trainer: L.Trainer, optimizer: Optimizer) -> None:
    """Make the accumulated gradient the mean over its batches, which an epoch's last group may have fewer of.

    Lightning divides each batch's loss by ``accumulate_grad_batches``, in that group, too. To be called between the
    backward pass and the clipping.
    """
    whole = trainer.accumulate_grad_batches
    batches = trainer.fit_loop.batch_idx % whole + 1
    if batches == whole:
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.mul_(whole / batches)


class EMAWeights(WeightAveraging):
    """Exponential moving average of weights and statistics; validation and checkpoints use the average.

    The decay rises as (1 + n) / (10 + n) over the n steps so far, up to ``decay``, so that a short run is
    not held back by its first weights.
    """

    def __init__(self, decay: float):
        def average(averaged: list[torch.Tensor], current: list[torch.Tensor], num_averaged: torch.Tensor) -> None:
            n = int(num_averaged) if self._average_model is None else int(self._average_model.n_averaged)
            get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, num_averaged)

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            # AveragedModel reads its counter three times a step; on a GPU each would wait for the device.
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()
