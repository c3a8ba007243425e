"""Which weights decay, how the learning rate goes, how weights are averaged."""

import re

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from segnext_pafpn.errors import UserError
from segnext_pafpn.layers import ConvNeXtBlock
from segnext_pafpn.training.config import OptimConfig
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.module import SegmentationModule
from segnext_pafpn.training.optim import EMAWeights, build_optimizer, parameter_groups, warmup_of
from segnext_pafpn.training.pretrain.config import ImageAugmentConfig, PretrainOptimConfig
from segnext_pafpn.training.pretrain.module import ClassificationModule


def test_norms_biases_and_layer_scale_do_not_decay():
    block = ConvNeXtBlock(4, layer_scale=1e-6)
    decayed, free = parameter_groups(block, weight_decay=0.05)
    names = {id(p): n for n, p in block.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == {"dw.weight", "pw1.weight", "pw2.weight"}
    assert decayed["weight_decay"] == 0.05 and free["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(free["params"]) == len(list(block.parameters()))


def test_frozen_parameters_are_left_out():
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    layers[0].requires_grad_(False)
    assert sum(len(g["params"]) for g in parameter_groups(layers, 0.1)) == 2


def test_learning_rate_rises_to_its_peak_and_falls_to_its_floor():
    optimizer, schedule = build_optimizer(nn.Linear(2, 2), OptimConfig(lr=1.0, warmup_steps=5, min_lr=0.1), 25)
    rates = []
    for _ in range(25):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.2)
    assert rates[5] == pytest.approx(1.0) and max(rates) == pytest.approx(1.0)
    assert rates[15] == pytest.approx(0.55)
    assert rates[25] == pytest.approx(0.1)


@pytest.mark.parametrize(("total_steps", "steps"), [(1000, 50), (100, 50), (99, 9), (10, 1), (3, 0)])
def test_a_short_run_warms_up_for_a_tenth_of_its_steps(total_steps, steps):
    assert warmup_of(OptimConfig(warmup_steps=50), total_steps) == steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "optim.lr: found -1.0, expected more than 0"),
        ({"lr": 0.1, "min_lr": 0.2}, "optim.min_lr: found 0.2, expected 0 to lr, which is 0.1"),
        ({"weight_decay": -0.1}, "optim.weight_decay: found -0.1"),
        ({"betas": (0.9, 1.0)}, "optim.betas"),
        ({"warmup_steps": -1}, "optim.warmup_steps: found -1"),
        ({"ema_decay": 1.0}, "optim.ema_decay: found 1.0, expected 0 to below 1, or null"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        build_optimizer(nn.Linear(2, 2), OptimConfig(**options), 10)


def test_average_starts_quickly_and_ends_at_its_decay():
    average = EMAWeights(0.9)._kwargs["multi_avg_fn"]
    for n, decay in ((1, 2 / 11), (10_000, 0.9)):
        averaged, current = [torch.zeros(1)], [torch.ones(1)]
        average(averaged, current, torch.tensor(n))
        assert averaged[0].item() == pytest.approx(1 - decay, rel=1e-5)


def segmentation() -> tuple[L.LightningModule, dict]:
    module = SegmentationModule(nn.Conv2d(3, 3, 1), 3, LossConfig(), OptimConfig(lr=1e-9), mean=(), std=())
    return module, {"image": torch.randn(3, 8, 8), "mask": torch.randint(0, 3, (8, 8))}


def classification() -> tuple[L.LightningModule, dict]:
    plain = ImageAugmentConfig(random_erasing=0, mixup=0, cutmix=0, label_smoothing=0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    optim = PretrainOptimConfig(min_lr=0.0)
    module = ClassificationModule(network, 3, plain, optim, lr=1e-9, warmup_steps=0)
    return module, {"image": torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8), "label": torch.tensor(1)}


@pytest.mark.parametrize("build", [segmentation, classification])
@pytest.mark.parametrize("limit", [None, 6])
def test_a_last_group_of_fewer_batches_weighs_as_much_as_the_others(build, limit):
    """All batches are alike here, so that the gradient is the same at each step."""
    module, sample = build()
    gradients = []

    class Look(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx in (3, (limit or 5) - 1):
                gradients.append(torch.cat([p.grad.flatten() for p in pl_module.parameters()]))

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    L.Trainer(
        max_epochs=1, accelerator="cpu", enable_model_summary=False, accumulate_grad_batches=4, callbacks=[Look()],
        limit_train_batches=limit, **quiet,
    ).fit(module, DataLoader([sample] * (8 if limit else 5)))  # fmt: skip
    first, last = gradients
    assert first.norm() > 0
    torch.testing.assert_close(last, first)
