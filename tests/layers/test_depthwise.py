"""The depthwise convolution is PyTorch's, in values and gradients, whatever computes them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segnext_pafpn.layers.depthwise import DepthwiseConv2d, _Depthwise
from tests.layers.beside_pytorch import plain, step


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 20),
    st.integers(1, 14),
    st.integers(1, 14),
    st.sampled_from([(5, 5), (7, 7), (1, 21), (3, 5)]),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_values_and_gradients_are_pytorchs(batch, channels, height, width, kernel_size, dilation, bias, layout):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(channels, kernel_size, dilation, bias).double()
    x = torch.randn(batch, channels, height, width, dtype=torch.double).contiguous(memory_format=layout)
    upstream = torch.randn_like(x)
    output, *gradients = step(conv, x, upstream)
    assert (output.grad_fn.name() == "_DepthwiseBackward") and output.shape == x.shape
    for found, expected in zip([output, *gradients], step(plain(conv), x, upstream), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(64, 64), (64, 65), (70, 91)])
def test_large_maps_have_the_same_gradients(size, layout):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(3, 7, dilation=2).double()
    x = torch.randn(2, 3, *size, dtype=torch.double).contiguous(memory_format=layout)
    upstream = torch.randn_like(x)
    for found, expected in zip(step(conv, x, upstream), step(plain(conv), x, upstream), strict=True):
        torch.testing.assert_close(found, expected)


def test_bfloat16_is_not_rounded_from_image_to_image():
    torch.manual_seed(0)
    conv = DepthwiseConv2d(4, 7)
    x = torch.randn(16, 4, 70, 70).contiguous(memory_format=torch.channels_last)
    upstream = torch.randn_like(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = step(conv, x, upstream)[2].float()
    conv.zero_grad()
    expected = step(plain(conv).double(), x.double(), upstream.double())[2].float()
    torch.testing.assert_close(found, expected, atol=0.01 * expected.abs().max().item(), rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradients_and_theirs_are_those_of_finite_differences(layout):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(2, (3, 5), 2).double()
    x = torch.randn(2, 2, 7, 4, dtype=torch.double).contiguous(memory_format=layout).requires_grad_()
    arguments = (x, conv.weight, conv.bias, conv.padding, conv.dilation)
    assert torch.autograd.gradcheck(_Depthwise.apply, arguments)
    assert torch.autograd.gradgradcheck(_Depthwise.apply, arguments)


def test_a_penalty_on_gradients_has_pytorchs_gradients():
    torch.manual_seed(0)
    conv = DepthwiseConv2d(2, 5)
    x = torch.randn(2, 2, 9, 8, requires_grad=True)
    penalties = []
    for layer in (conv, plain(conv)):
        (of_x,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        penalties.append(torch.autograd.grad(of_x.square().sum(), (x, *layer.parameters())))
    for found, expected in zip(*penalties, strict=True):
        torch.testing.assert_close(found, expected)


def test_torch_func_gives_each_image_its_gradients():
    torch.manual_seed(0)
    conv, images = DepthwiseConv2d(2, 5), torch.randn(3, 2, 9, 8)

    def loss(weights, image):
        return torch.func.functional_call(conv, weights, (image[None],)).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(dict(conv.named_parameters()), images)
    for i, image in enumerate(images):
        conv.zero_grad()
        conv(image[None]).square().sum().backward()
        for name, weight in conv.named_parameters():
            torch.testing.assert_close(found[name][i], weight.grad)


def test_the_layout_of_the_memory_stays():
    conv = DepthwiseConv2d(8, 7).to(memory_format=torch.channels_last)
    x = torch.randn(2, 8, 12, 12).contiguous(memory_format=torch.channels_last)
    output, of_x, *_ = step(conv, x, torch.ones_like(x))
    for tensor in (output, of_x):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_autocast_computes_in_bfloat16_and_leaves_gradients_in_float32():
    torch.manual_seed(0)
    conv = DepthwiseConv2d(16, 7)
    x = torch.randn(4, 16, 20, 24)
    upstream = torch.randn_like(x)
    with torch.autocast("cpu", torch.bfloat16):
        output, *gradients = step(conv, x, upstream)
    assert output.dtype == torch.bfloat16 and all(g.dtype == torch.float32 for g in gradients)
    for found, expected in zip(gradients, step(plain(conv), x, upstream)[1:], strict=True):
        assert (found - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("freeze", ["weight", "input"])
def test_what_needs_no_gradient_gets_none(freeze):
    conv = DepthwiseConv2d(4, 5)
    x = torch.randn(1, 4, 6, 6, requires_grad=freeze != "input")
    conv.weight.requires_grad_(freeze != "weight")
    conv(x).sum().backward()
    assert (x.grad is None) == (freeze == "input")
    assert (conv.weight.grad is None) == (freeze == "weight")
    assert conv.bias.grad is not None


def test_small_kernels_evaluation_and_frozen_passes_are_pytorchs_own():
    x = torch.randn(1, 4, 6, 6)
    for kernel_size in (3, (21, 1)):
        assert DepthwiseConv2d(4, kernel_size)(x).grad_fn.name() == "ConvolutionBackward0"
    conv = DepthwiseConv2d(4, 7)
    assert conv.eval()(x).grad_fn.name() == "ConvolutionBackward0"
    with torch.no_grad():
        assert conv.train()(x).grad_fn is None


@pytest.mark.parametrize("training", [True, False])
def test_it_can_be_scripted_traced_and_compiled(training):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(4, 7).train(training)
    x, upstream = torch.randn(2, 4, 9, 8), torch.randn(2, 4, 9, 8)
    expected = step(plain(conv), x, upstream)
    compiled = torch.compile(conv, backend="aot_eager")
    for way in (torch.jit.script(conv), torch.jit.trace(conv, x), compiled):
        conv.zero_grad()
        for found, value in zip(step(way, x, upstream), expected, strict=True):
            torch.testing.assert_close(found, value)
