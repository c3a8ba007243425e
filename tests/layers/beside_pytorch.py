"""A convolution of ours beside PyTorch's."""

import torch
from torch import nn


def plain(conv: nn.Conv2d) -> nn.Conv2d:
    """PyTorch's own, with the same weights."""
    same = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
    ).to(conv.weight.dtype)
    same.load_state_dict(conv.state_dict())
    return same


def step(conv: nn.Module, x: torch.Tensor, upstream: torch.Tensor) -> list[torch.Tensor]:
    """Output, and gradients of the input and of all parameters."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    output = conv(x)
    output.backward(upstream.to(output.dtype))
    return [output, x.grad, *(p.grad for p in conv.parameters())]
