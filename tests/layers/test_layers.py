"""Blocks against arithmetic that can be done by hand, and against the papers' reference implementations in timm."""

import pytest
import torch
from torch import nn

from segnext_pafpn.layers import ELAN, SPPCSPC, ConvNeXtBlock, Downsample, RepConv, build_norm


def test_rep_conv_has_an_identity_branch_only_where_shapes_agree():
    assert RepConv(4, 4).norm0 is not None
    assert RepConv(4, 8).norm0 is None
    assert RepConv(4, 4, stride=2).norm0 is None


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
