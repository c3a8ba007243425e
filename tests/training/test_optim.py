"""Which weights decay, how the learning rate goes, how weights are averaged."""

import re

import pytest
import torch
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.layers import ConvNeXtBlock
from segnext_pafpn.training.config import OptimConfig
from segnext_pafpn.training.optim import EMAWeights, build_optimizer, parameter_groups, warmup_of


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
