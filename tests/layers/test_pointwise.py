"""The 1x1 convolution is PyTorch's, in values and gradients, whatever computes them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segnext_pafpn import PAFPNeXt
from segnext_pafpn.layers import ConvNeXtBlock, ConvNormAct, PointwiseConv2d
from tests.layers.beside_pytorch import plain, step


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 8),
    st.integers(1, 8),
    st.sampled_from([1, 1, 2]),
    st.sampled_from([1, 1, 3]),
    st.booleans(),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_values_and_gradients_are_pytorchs(batch, inputs, outputs, height, width, stride, groups, bias, layout):
    torch.manual_seed(0)
    conv = PointwiseConv2d(groups * inputs, groups * outputs, stride, groups, bias).double()
    x = torch.randn(batch, groups * inputs, height, width, dtype=torch.double).contiguous(memory_format=layout)
    expected = plain(conv)(x)
    upstream = torch.randn_like(expected)
    for found, other in zip(step(conv, x, upstream), step(plain(conv), x, upstream), strict=True):
        torch.testing.assert_close(found, other)


def test_the_layout_decides_who_computes():
    conv, x = PointwiseConv2d(3, 8), torch.randn(2, 3, 5, 6)
    assert conv(x).grad_fn.name() != "ConvolutionBackward0"
    assert conv(x.contiguous(memory_format=torch.channels_last)).grad_fn.name() == "ConvolutionBackward0"
    assert conv(x.transpose(2, 3)).grad_fn.name() == "ConvolutionBackward0"
    assert conv(x[0]).shape == (8, 5, 6)  # an image without a batch, as nn.Conv2d takes it


def test_bfloat16_is_as_exact_as_pytorchs():
    torch.manual_seed(0)
    conv, x = PointwiseConv2d(24, 16), torch.randn(8, 24, 40, 40)
    upstream = torch.randn(8, 16, 40, 40)
    exact = step(plain(conv).double(), x.double(), upstream.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, theirs = step(conv, x, upstream), step(plain(conv), x, upstream)
    for ours, other, true in zip(found, theirs, exact, strict=True):
        assert ours.dtype == other.dtype
        assert (ours - true).abs().max() <= 2 * (other - true).abs().max()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("block", [ConvNormAct(3, 8), ConvNeXtBlock(3)])
def test_graphs_have_convolutions(block, training):
    x = torch.randn(2, 3, 9, 7)
    block.train(training)
    expected = block(x)
    count = sum(isinstance(module, nn.Conv2d) for module in block.modules())
    scripted, traced = torch.jit.script(block), torch.jit.trace(block, x, check_trace=False)
    symbolic, exported = torch.fx.symbolic_trace(block), torch.export.export(block, (x,))
    for graph in (scripted, traced, symbolic, exported.module()):
        torch.testing.assert_close(graph(x), expected)
    assert str(traced.inlined_graph).count("aten::_convolution(") == count
    for graph in (exported.graph, symbolic.graph):
        names = [str(node.target) for node in graph.nodes]
        assert sum("conv2d" in name or name == "<built-in method conv2d>" for name in names) == count, names
        assert not any("bmm" in name for name in names)


class Marked(torch.Tensor):
    """As torchvision's, DTensor or a fake tensor: what is no plain tensor."""


def test_only_plain_tensors_on_a_map_larger_than_the_weights_gradients_are_multiplied():
    assert PointwiseConv2d(3, 8)._is_slow(torch.randn(2, 3, 5, 6))
    assert not PointwiseConv2d(3, 8)._is_slow(torch.randn(2, 3, 5, 6).as_subclass(Marked))
    assert not PointwiseConv2d(3, 8)._is_slow(torch.randn(2, 3, 5, 6, device="meta"))
    deep = PointwiseConv2d(64, 256)  # 16384 weights, 320 channels: 52 pixels
    assert deep._is_slow(torch.randn(2, 64, 4, 13)) and not deep._is_slow(torch.randn(2, 64, 3, 17))


def test_a_weight_is_converted_once_for_all_images():
    conv, x = PointwiseConv2d(64, 256, bias=False), torch.randn(16, 64, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = conv(x)
    weight = output.grad_fn.next_functions[0][0]._saved_self
    assert weight.untyped_storage().nbytes() == 2 * conv.weight.numel()


def test_a_network_in_nchw_multiplies_and_one_in_channels_last_does_not(monkeypatch):
    calls, product = [], PointwiseConv2d._product
    monkeypatch.setattr(PointwiseConv2d, "_product", lambda conv, x: calls.append(conv) or product(conv, x))
    torch.manual_seed(0)
    network = PAFPNeXt("elanext_nano", classes=4).eval()
    x = torch.randn(1, 3, 256, 384)
    with torch.no_grad():
        logits = network(x)
        multiplied = len(calls)
        same = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    convs = [m for m in network.modules() if isinstance(m, PointwiseConv2d)]
    deep = [m for m in convs if m.weight.numel() > (m.in_channels + m.out_channels) * 8 * 12]
    assert len(convs) - len(deep) <= multiplied < len(convs) and len(calls) == multiplied
    torch.testing.assert_close(logits, same, atol=1e-4, rtol=1e-4)
