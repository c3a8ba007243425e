"""Depthwise convolution whose training step is not held up by PyTorch's weight gradient on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.layers.cpu import as_autocast, is_eager_on_cpu

_LARGE = 4096  # pixels of a map, above which one image after the other is faster in channels_last
_FAST_WIDTH = 3  # of a kernel, up to which PyTorch's own weight gradient is the faster one


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution of stride 1 that keeps H and W: ``(B, C, H, W)`` to the same shape.

    PyTorch's gradient of a 7x7 depthwise weight takes many times as long as the forward pass on a CPU, in NCHW above
    all. In training on a CPU it is computed here as what it is, another depthwise convolution: of the input, with the
    output's gradient as the kernel (``benchmarks/layers.py``). Values differ by rounding alone; everywhere else
    this is ``nn.Conv2d``.

    Args:
        channels: C.
        kernel_size: odd; one side, or height and width.
        dilation: of the kernel.
        bias: add one number per channel.
    """

    def __init__(self, channels: int, kernel_size: int | tuple[int, int], dilation: int = 1, bias: bool = True):
        height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        padding = (dilation * (height // 2), dilation * (width // 2))
        super().__init__(
            channels, channels, (height, width), padding=padding, dilation=dilation, groups=channels, bias=bias
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_scripting() and self._is_slow(x):
            return self._with_own_gradient(x)
        return self._conv_forward(x, self.weight, self.bias)

    @torch.jit.unused
    def _is_slow(self, x: torch.Tensor) -> bool:
        """Whether PyTorch's own gradient of the weight would be."""
        return (
            is_eager_on_cpu(x)
            and self.training
            and self.weight.requires_grad
            and self.kernel_size[1] > _FAST_WIDTH
            and torch.is_grad_enabled()
        )

    @torch.jit.unused
    def _with_own_gradient(self, x: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else as_autocast(self.bias)
        return _Depthwise.apply(as_autocast(x), as_autocast(self.weight), bias, self.padding, self.dilation)


class _Depthwise(torch.autograd.Function):
    """The convolution, and its three gradients, which have gradients themselves: all is made of PyTorch's own."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.dilation = padding, dilation
        return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            options = dict(padding=ctx.padding, dilation=ctx.dilation, groups=len(weight))
            of_x = F.conv2d(gradient, weight.flip(2, 3), **options)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x, gradient, weight.shape[2:], ctx.padding, ctx.dilation)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


def _weight_gradient(
    x: torch.Tensor,
    gradient: torch.Tensor,
    kernel_size: torch.Size,
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> torch.Tensor:
    """(C, 1, h, w): every plane of x convolved with its plane of the gradient, summed over the batch."""
    batch, channels, height, width = x.shape
    if batch > 1 and height * width > _LARGE and x.is_contiguous(memory_format=torch.channels_last):
        pairs = zip(x.split(1), gradient.split(1), strict=True)
        return torch.stack([_weight_gradient(*pair, kernel_size, padding, dilation) for pair in pairs]).sum(0)
    if x.is_contiguous(memory_format=torch.channels_last):  # so are the planes, and no pixel is moved twice
        planes = x.permute(2, 3, 0, 1).reshape(1, height, width, batch * channels).permute(0, 3, 1, 2)
    else:
        planes = x.reshape(1, batch * channels, height, width)
    kernels = gradient.reshape(batch * channels, 1, height, width)
    products = F.conv2d(planes, kernels, padding=padding, stride=dilation, groups=batch * channels)
    return products.view(batch, channels, 1, *kernel_size).sum(0)
