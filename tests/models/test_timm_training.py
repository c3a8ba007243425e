"""ELANeXt and MSCAN trained by timm's tools: checkpointing, groups of parameters, weight decay.

Tests run on timm's own ConvNeXt too, so that what is asked for is what timm does.
"""

import re

import pytest
import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay

from segnext_pafpn.models import ELANEXT_VARIANTS, MSCAN_VARIANTS
from tests.models.timm_networks import NAMES, OURS, SMALL, build

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", SMALL)
def test_checkpointing_recomputes_and_changes_no_gradient(name, monkeypatch):
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model = build(name, num_classes=3)
    calls = []
    original = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", lambda *a, **k: calls.append(1) or original(*a, **k))
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).square().mean().backward()
        assert bool(calls) == enable
        gradients.append([p.grad.clone() for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("coarse", [False, True])
def test_groups_rise_with_the_depth_and_hold_every_parameter_once(name, coarse):
    model = build(name)
    groups = group_parameters(model, model.group_matcher(coarse=coarse))
    names = [parameter for group in groups.values() for parameter in group]
    assert sorted(names) == sorted(n for n, _ in model.named_parameters())
    of = {parameter: key for key, group in groups.items() for parameter in group}
    blocks, stem_name = ("block{}.", "patch_embed1") if name == "mscan_tiny" else ("stages.{}.", "stem")
    first = 1 if name == "mscan_tiny" else 0
    stages = [min(v for k, v in of.items() if k.startswith(blocks.format(first + i))) for i in range(4)]
    stem = max(v for k, v in of.items() if k.startswith(stem_name))
    head = min(v for k, v in of.items() if k.startswith("head.fc"))
    assert [stem, *stages, head] == sorted({stem, *stages, head})
    if coarse:
        assert len(set(of.values())) == 6  # stem, four stages, head


@pytest.mark.parametrize("name", OURS)
def test_blocks_of_a_stage_have_groups_of_their_own(name):
    model = build(name)
    fine = group_parameters(model, model.group_matcher())
    blocks_and_elan = sum(depth + 1 for depth in ELANEXT_VARIANTS[name]["depths"])  # downsampling goes with the first
    assert len(fine) == 2 + blocks_and_elan


def test_a_block_of_mscan_is_a_group_with_the_downsampling_before_or_the_norm_after_it():
    model = build("mscan_tiny")
    groups = group_parameters(model, model.group_matcher()).values()
    parts = [{re.match(r"block\d\.\d+|[a-z]+\d?_?[a-z]*\d?", name)[0] for name in group} for group in groups]
    assert len(parts) == 2 + sum(MSCAN_VARIANTS["mscan_tiny"]["depths"])
    assert parts[:5] == [
        {"patch_embed1"},
        {"block1.0"},
        {"block1.1"},
        {"block1.2", "norm1"},
        {"patch_embed2", "block2.0"},
    ]
    assert parts[-2:] == [{"block4.1", "norm4"}, {"head"}]


def test_learning_rates_of_mscan_fall_from_block_to_block():
    groups = param_groups_layer_decay(build("mscan_tiny", num_classes=2), 0.05, layer_decay=0.5)
    scales = sorted({group["lr_scale"] for group in groups}, reverse=True)
    assert scales == [0.5**i for i in range(15)]  # the classifier, 13 blocks and the stem


def test_layer_scales_are_kept_from_weight_decay():
    assert build("elanext_nano").no_weight_decay() == set()
    names = build("elanext_nano", layer_scale=1e-6).no_weight_decay()
    assert names and all(re.search(r"stages\.\d\..*gamma$", name) for name in names)
