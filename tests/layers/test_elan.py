"""ELAN, E-ELAN (YOLOv7, arXiv 2207.02696, section 3.1) and the blocks they take (CSPNeXt: RTMDet, arXiv 2212.07784)."""

import pytest
import torch
from torch import nn

from segnext_pafpn.layers import ELAN, ConvNeXtBlock, CSPNeXtBlock, One, build_block
from segnext_pafpn.layers.elan import _shuffle_and_merge

BLOCKS = {"convnext": ConvNeXtBlock, "cspnext": CSPNeXtBlock, "one": One}


def test_elan_keeps_its_parameter_names():
    """Checkpoints of earlier versions name their weights so."""
    names = {name.rsplit(".", 2)[0] for name, _ in ELAN(6, 8, depth=2).named_parameters() if name.startswith("chain")}
    assert names == {"chain1.0", "chain1.1", "chain2.0", "chain2.1"}
    block = {name.removeprefix("chain1.0.") for name, _ in ELAN(6, 8).named_parameters() if "chain1" in name}
    assert block == {f"{layer}.{kind}" for layer in ("dw", "norm", "pw1", "pw2") for kind in ("weight", "bias")}
    plain, explicit = ELAN(6, 8), ELAN(6, 8, block="convnext", groups=1)
    shapes = [{key: value.shape for key, value in elan.state_dict().items()} for elan in (plain, explicit)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("block", BLOCKS)
def test_elan_of_every_block_keeps_the_size_and_reaches_every_parameter(block, groups):
    elan = ELAN(6, 16, depth=2, block=block, groups=groups)
    assert all(isinstance(m, BLOCKS[block]) for m in [*elan.chain1, *elan.chain2])
    y = elan(torch.randn(2, 6, 9, 11))
    assert y.shape == (2, 16, 9, 11)
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in elan.parameters())


def test_shuffling_is_torchs_and_merging_adds_the_parts():
    x = torch.randn(2, 12, 3, 5)
    parts = nn.ChannelShuffle(3)(x).chunk(3, dim=1)
    torch.testing.assert_close(_shuffle_and_merge(x, 3), parts[0] + parts[1] + parts[2])


def test_every_part_holds_channels_of_all_groups():
    x = torch.tensor([1.0, 1, 1, 1, 10, 10, 10, 10]).view(1, 8, 1, 1)
    assert _shuffle_and_merge(x, 2).flatten().tolist() == [2.0, 20.0, 2.0, 20.0]


@torch.no_grad()
def test_eelan_is_expand_shuffle_and_merge_as_the_paper_tells_it():
    elan = ELAN(6, 16, groups=2).eval()
    x = torch.randn(2, 6, 9, 11)
    a, b = elan.conv1(x), elan.conv2(x)
    c = elan.chain1(b)
    e = elan.chain2(c)
    parts = [nn.ChannelShuffle(2)(branch).chunk(2, dim=1) for branch in (a, b, c, e)]
    merged = sum(torch.cat(group, dim=1) for group in zip(*parts, strict=True))
    torch.testing.assert_close(elan(x), elan.conv3(merged))


@pytest.mark.parametrize("block", BLOCKS)
def test_chains_of_different_groups_do_not_see_each_other(block):
    """The cardinality of E-ELAN: g chains side by side."""
    chain = build_block(block, 8, groups=2).eval()
    x = torch.randn(1, 8, 9, 9)
    other = x.clone()
    other[:, 4:] += 1.0
    with torch.no_grad():
        difference = (chain(x) - chain(other)).abs().amax(dim=(0, 2, 3))
    assert (difference[:4] == 0).all() and (difference[4:] > 0).all()


def test_eelan_leaves_what_comes_out_as_wide_as_elan_does():
    elan, extended = ELAN(6, 16), ELAN(6, 16, groups=2)
    assert extended.conv3.conv.weight.shape == elan.conv3.conv.weight.shape == (16, 32, 1, 1)
    assert extended.chain1[0].dw.out_channels == 2 * elan.chain1[0].dw.out_channels
    assert extended.chain1[0].pw1.weight[0].numel() == elan.chain1[0].pw1.weight[0].numel()


def test_cspnext_block_is_a_3x3_and_a_depthwise_separable_5x5_on_a_shortcut():
    block = CSPNeXtBlock(6).eval()
    kernels = [(m.kernel_size[0], m.groups) for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(3, 1), (5, 6), (1, 1)]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in block.modules()) == 3
    assert sum(isinstance(m, nn.SiLU) for m in block.modules()) == 3
    x = torch.randn(2, 6, 9, 11)
    y = x
    with torch.no_grad():
        for part in (block.conv, block.dw, block.pw):
            y = nn.functional.silu(part.norm(part.conv(y)))
        assert torch.equal(block(x), x + y)


def test_blocks_have_their_own_kernel_unless_told():
    assert build_block("cspnext", 4).dw.conv.kernel_size == (5, 5)
    assert build_block("cspnext", 4, kernel_size=7).dw.conv.kernel_size == (7, 7)
    assert ELAN(4, 8, block="cspnext", kernel_size=None).chain1[0].dw.conv.kernel_size == (5, 5)
    assert build_block("one", 4).conv.kernel_size == build_block("convnext", 4).dw.kernel_size == (7, 7)


def test_blocks_are_four_times_as_wide_inside_unless_told():
    assert build_block("convnext", 6).pw1.out_channels == 24
    assert [block.pw1.out_channels for block in ELAN(6, 12, expansion=2).chain1] == [12]
    assert build_block("one", 6, expansion=3).state_dict().keys() == build_block("one", 6).state_dict().keys()


def test_options_that_a_block_does_not_have_are_refused():
    with pytest.raises(ValueError, match="convnext, cspnext, one"):
        ELAN(4, 8, block="convnxt")
    with pytest.raises(ValueError, match="'cspnext' has no LayerScale"):
        ELAN(4, 8, block="cspnext", layer_scale=1e-6)
    with pytest.raises(ValueError, match="'cspnext' has no inverted bottleneck"):
        ELAN(4, 8, block="cspnext", expansion=2)
    with pytest.raises(ValueError, match="'one' has no shortcut"):
        ELAN(4, 8, block="one", drop_path=0.1)
    with pytest.raises(ValueError, match="groups=3 must divide hidden_channels=4"):
        ELAN(4, 8, groups=3)


@pytest.mark.parametrize("depth, rates", [(2, [0.1, 0.2]), (1, [0.1] * 4)])
def test_as_many_rates_of_drop_path_as_blocks(depth, rates):
    with pytest.raises(ValueError, match=f"drop_path: {len(rates)} rates for {2 * depth} blocks"):
        ELAN(8, 16, depth=depth, drop_path=rates)
