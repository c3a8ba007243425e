"""Folding for inference is exact: RepVGG (arXiv 2101.03697) for RepConv, plain algebra for norms and LayerScale."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segnext_pafpn import PAFPNeXt
from segnext_pafpn.layers import (
    ELAN,
    SPPCSPC,
    ConvNeXtBlock,
    ConvNormAct,
    CSPNeXtBlock,
    One,
    RepConv,
    fuse_layers,
)
from segnext_pafpn.layers.foldable import is_fused
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.layers.random_weights import randomise_norms

WIDTHS, SEEDS = st.integers(1, 24), st.integers(0, 2**31)
many = settings(max_examples=30, deadline=None)


@torch.no_grad()
def fusing_error(block: nn.Module, channels: int, seed: int, fuse: Callable[[nn.Module], object]) -> float:
    """Largest difference that folding makes, with random statistics and weights in every BatchNorm."""
    torch.manual_seed(seed)
    x = torch.randn(2, channels, 9, 12)
    randomise_norms(block, seed).eval()
    before = block(x)
    fuse(block)
    return (block(x) - before).abs().max().item()


@many
@given(inputs=WIDTHS, outputs=WIDTHS, same=st.booleans(), stride=st.sampled_from([1, 2]), seed=SEEDS)
def test_rep_conv_folds_exactly_into_one_convolution(inputs, outputs, same, stride, seed):
    torch.manual_seed(seed)
    block = RepConv(inputs, inputs if same else outputs, stride=stride)
    assert fusing_error(block, inputs, seed, RepConv.fuse) < 1e-5
    assert [type(m) for m in block.modules() if not isinstance(m, nn.GELU)] == [RepConv, nn.Conv2d]


@many
@given(
    inputs=WIDTHS,
    outputs=WIDTHS,
    same=st.booleans(),
    kernel_size=st.sampled_from([1, 3, 7]),
    stride=st.sampled_from([1, 2]),
    act=st.sampled_from(["gelu", "silu", None]),
    seed=SEEDS,
)
def test_conv_norm_act_folds_exactly(inputs, outputs, same, kernel_size, stride, act, seed):
    torch.manual_seed(seed)
    block = ConvNormAct(inputs, inputs if same else outputs, kernel_size, stride=stride, act=act)
    assert fusing_error(block, inputs, seed, ConvNormAct.fuse) < 1e-5
    assert isinstance(block.norm, nn.Identity)


@many
@given(
    channels=WIDTHS,
    kernel_size=st.sampled_from([3, 5, 7]),
    dilation=st.sampled_from([1, 2]),
    norm=st.sampled_from(["batch", "layer"]),
    layer_scale=st.booleans(),
    seed=SEEDS,
)
def test_convnext_block_folds_exactly(channels, kernel_size, dilation, norm, layer_scale, seed):
    torch.manual_seed(seed)
    block = ConvNeXtBlock(channels, kernel_size, dilation, norm=norm, layer_scale=1.0 if layer_scale else None)
    if layer_scale:
        nn.init.normal_(block.gamma)
    assert fusing_error(block, channels, seed, ConvNeXtBlock.fuse) < 1e-5
    assert block.gamma is None
    assert isinstance(block.norm, nn.Identity) == (norm == "batch")


BLOCKS = {
    "conv": lambda: ConvNormAct(6, 8, kernel_size=3),
    "convnext": lambda: ConvNeXtBlock(6, layer_scale=0.3),
    "cspnext": lambda: CSPNeXtBlock(6),
    "one": lambda: One(6, 8, norm="batch"),
    "rep_conv": lambda: RepConv(6, 6),
    "elan": lambda: ELAN(6, 8, depth=2, layer_scale=0.3),
    "e_elan": lambda: ELAN(6, 8, groups=2, block="cspnext"),
    "sppcspc": lambda: SPPCSPC(6, 8, layer_scale=0.3),
    "sppcspc_yolov7": lambda: SPPCSPC(6, 8, pyramid="max_pool", block="conv", act="silu"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_folds_exactly_leaves_no_batch_norm_and_a_second_time_changes_nothing(name):
    torch.manual_seed(0)
    block = BLOCKS[name]()
    assert fusing_error(block, 6, seed=1, fuse=fuse_layers) < 1e-5
    assert not any(isinstance(m, nn.BatchNorm2d) for m in block.modules())
    before = {key: value.clone() for key, value in block.state_dict().items()}
    fuse_layers(block)
    after = block.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.parametrize("name", BLOCKS)
def test_fusing_in_training_mode_is_refused_and_changes_nothing(name):
    block = BLOCKS[name]()
    layers = [layer for layer in block.modules() if hasattr(layer, "fuse")]
    names = list(block.state_dict())
    assert layers
    for fuse in [*(layer.fuse for layer in layers), lambda: fuse_layers(block)]:
        with pytest.raises(RuntimeError, match=r"model\.eval\(\)"):
            fuse()
    assert list(block.state_dict()) == names


def test_fusing_is_refused_where_only_a_part_is_in_training_mode():
    block = ELAN(6, 8).eval()
    block.conv3.norm.train()
    with pytest.raises(RuntimeError, match="inference"):
        fuse_layers(block)
    assert isinstance(block.conv1.norm, nn.BatchNorm2d)


def test_a_fused_network_is_neither_trained_nor_saved(tmp_path):
    model = PAFPNeXt("elanext_nano", decoder_channels=16, head_channels=16).eval()
    model.train().eval()
    copied = deepcopy(model)
    with pytest.raises(RuntimeError, match=r"was fused for inference, .* cannot be trained any more\. Fuse a copy"):
        model.fuse().train()
    with pytest.raises(RuntimeError, match=r"was fused, .* weights fit no other any more\. Save it before"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    copied.train().save_pretrained(tmp_path / "model")


def test_a_fused_encoder_in_a_network_of_smp_is_neither_trained_nor_saved_as_a_bundle(tmp_path):
    model = fuse_layers(smp.Unet("elanext_nano", encoder_weights=None).eval())
    assert is_fused(model) and not is_fused(smp.Unet("resnet18", encoder_weights=None))
    with pytest.raises(RuntimeError, match="was fused"):
        model.train()
    with pytest.raises(RuntimeError, match="was fused"):
        save_bundle(model, Preprocessing(class_names=("a",), class_colors=((1, 2, 3),)), tmp_path / "model")
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def network() -> PAFPNeXt:
    """Statistics of a network in use: BatchNorm's from the data, its weights as if learned."""
    torch.manual_seed(0)
    model = PAFPNeXt("elanext_nano", decoder_channels=32, head_channels=32, classes=4, auxiliary_heads=True)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None  # a plain average over the batches
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.5)
    with torch.no_grad():
        for _ in range(3):
            model.forward_auxiliary(torch.randn(4, 3, 64, 64) * 2 + 0.5)
    return model.eval()


@torch.no_grad()
def test_the_whole_network_folds_exactly(network):
    """In float64, where the rounding of dozens of layers in a row does not hide the algebra."""
    model = deepcopy(network).double()
    x = torch.randn(2, 3, 70, 96, dtype=torch.float64)
    before, auxiliary = model.forward_auxiliary(x)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    model.fuse()
    after, fused_auxiliary = model.forward_auxiliary(x)
    assert (
        max((a - b).abs().max() for a, b in zip([before, *auxiliary], [after, *fused_auxiliary], strict=True)) < 1e-10
    )
    assert torch.equal(model(x), after)
    assert torch.equal(model.fuse()(x), after)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) < norms / 4


@torch.no_grad()
def test_the_folded_network_is_as_precise_in_float32_as_the_network_was(network):
    """A float32 network is some 1e-5 of its largest logit away from the same in float64, folded or not."""
    x = torch.randn(2, 3, 70, 96)
    truth = deepcopy(network).double()(x.double())
    error = (network(x) - truth).abs().max()
    folded = deepcopy(network).fuse()(x)
    assert (folded - truth).abs().max() < 3 * error
    assert (folded - network(x)).abs().max() < 5e-5 * truth.abs().max()
