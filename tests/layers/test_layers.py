"""Blocks against arithmetic that can be done by hand, and against the papers' reference implementations in timm."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.convnext import ConvNeXtBlock as TimmConvNeXtBlock
from torch import nn

from segnext_pafpn.layers import ELAN, SPPCSPC, ConvNeXtBlock, ConvNormAct, Downsample, RepConv, build_norm, fuse_layers


def randomise_norms(module: nn.Module, seed: int) -> nn.Module:
    """Give every BatchNorm the statistics and weights of a network that has been trained."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.3, 3.0, generator=generator)
            layer.weight.data.uniform_(-1.5, 1.5, generator=generator)
            layer.bias.data.normal_(generator=generator)
    return module


@settings(max_examples=30, deadline=None)
@given(
    in_channels=st.integers(1, 9),
    out_channels=st.integers(1, 9),
    stride=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_rep_conv_folds_exactly(in_channels, out_channels, stride, seed):
    torch.manual_seed(seed)
    block = randomise_norms(RepConv(in_channels, out_channels, stride=stride), seed).eval()
    x = torch.randn(2, in_channels, 9, 12)
    with torch.no_grad():
        before = block(x)
        block.fuse()
        after = block(x)
    assert (before - after).abs().max() < 1e-5 * max(1.0, before.abs().max().item())
    assert sum(isinstance(m, nn.Conv2d) for m in block.modules()) == 1


def test_rep_conv_has_an_identity_branch_only_where_shapes_agree():
    assert RepConv(4, 4).norm0 is not None
    assert RepConv(4, 8).norm0 is None
    assert RepConv(4, 4, stride=2).norm0 is None


@pytest.mark.parametrize(
    "block",
    [
        ConvNormAct(6, 8, kernel_size=3),
        ConvNeXtBlock(6, layer_scale=0.3),
        ELAN(6, 8, depth=2, layer_scale=0.3),
        SPPCSPC(6, 8, layer_scale=0.3),
        RepConv(6, 6),
    ],
    ids=lambda block: type(block).__name__,
)
def test_fusing_twice_changes_nothing_and_leaves_no_batch_norm(block):
    randomise_norms(block, seed=1).eval()
    x = torch.randn(2, 6, 16, 20)
    with torch.no_grad():
        before = block(x)
        once = fuse_layers(block)(x)
        twice = fuse_layers(block)(x)
    torch.testing.assert_close(once, before, atol=1e-4, rtol=1e-4)
    assert torch.equal(once, twice)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in block.modules())


def test_fusing_is_refused_in_training_mode():
    with pytest.raises(RuntimeError, match=r"model\.eval\(\)"):
        fuse_layers(RepConv(4, 4))


def test_convnext_block_equals_timm_with_its_weights():
    torch.manual_seed(0)
    reference = TimmConvNeXtBlock(12, kernel_size=7, ls_init_value=0.5, conv_mlp=True).eval()
    block = ConvNeXtBlock(12, kernel_size=7, norm="layer", layer_scale=0.5).eval()
    names = {"conv_dw": "dw", "norm": "norm", "mlp.fc1": "pw1", "mlp.fc2": "pw2", "gamma": "gamma"}
    state = {}
    for key, value in reference.state_dict().items():
        prefix = next(p for p in names if key.startswith(p))
        state[key.replace(prefix, names[prefix])] = value
    block.load_state_dict(state)
    x = torch.randn(2, 12, 10, 14)
    torch.testing.assert_close(block(x), reference(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_elan_and_sppcspc_keep_the_size_and_reach_every_parameter(norm):
    for block in (ELAN(6, 16, depth=2, norm=norm), SPPCSPC(6, 16, norm=norm)):
        y = block(torch.randn(2, 6, 15, 13))
        assert y.shape == (2, 16, 15, 13)
        y.square().sum().backward()
        assert all(p.grad is not None for p in block.parameters())


def test_sppcspc_sees_13_pixels_with_its_widest_dilation():
    block = SPPCSPC(1, 2, dilations=(6,)).eval()
    x = torch.zeros(1, 1, 31, 31, requires_grad=True)
    block(x)[0, 0, 15, 15].backward()
    rows = x.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert rows.min() == 15 - 6 and rows.max() == 15 + 6


def test_downsample_halves_or_keeps_the_size_with_the_same_weights():
    x = torch.randn(1, 4, 8, 12)
    half, same = Downsample(4, 6), Downsample(4, 6, stride=1)
    same.load_state_dict(half.state_dict())
    assert half(x).shape == (1, 6, 4, 6)
    assert same(x).shape == (1, 6, 8, 12)
    half.eval(), same.eval()
    torch.testing.assert_close(same(x)[..., ::2, ::2], half(x), atol=1e-6, rtol=1e-5)


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    block = ConvNeXtBlock(4, drop_path=0.5).train()
    x = torch.zeros(64, 4, 7, 7)
    nn.init.constant_(block.pw2.bias, 1.0)
    nn.init.zeros_(block.pw2.weight)
    y = block(x)
    kept = y[:, 0, 0, 0]
    assert set(kept.tolist()) == {0.0, 2.0}
    assert torch.equal(block.eval()(x), torch.ones_like(x))


def test_unknown_norm_names_the_known_ones():
    with pytest.raises(ValueError, match="batch, layer, group"):
        build_norm("bacth", 4)
