"""1x1 convolution that does not leave PyTorch's default memory layout on a CPU."""

import torch
from torch import nn

from segnext_pafpn.layers.cpu import as_autocast, is_eager_on_cpu


class PointwiseConv2d(nn.Conv2d):
    """1x1 convolution: ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``, at a stride to every s-th pixel.

    An image in NCHW is copied into another layout by PyTorch's CPU convolution, and its gradients are copied back,
    which can take as long again, in bfloat16 longer. It is computed here as what it is, a product of the weight with
    each image's ``(in_channels, H * W)``, unless the map is so small that the weight's gradients for each image would
    need more room than it (``benchmarks/layers.py``). Values differ by rounding alone; everywhere else, and wherever
    the network is traced, compiled or exported, this is ``nn.Conv2d``.

    Args:
        in_channels, out_channels: widths.
        stride: of rows and columns.
        groups: must divide both widths.
        bias: add one number per channel.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, groups: int = 1, bias: bool = True):
        super().__init__(in_channels, out_channels, 1, stride=stride, groups=groups, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_scripting() and self._is_slow(x):
            return self._product(x)
        return self._conv_forward(x, self.weight, self.bias)

    @torch.jit.unused
    def _is_slow(self, x: torch.Tensor) -> bool:
        """Whether PyTorch's own would be."""
        if not is_eager_on_cpu(x) or x.dim() != 4 or not x.is_contiguous() or self.groups > 1 or self.stride != (1, 1):
            return False
        return self.weight.numel() <= (self.in_channels + self.out_channels) * x.shape[2] * x.shape[3]

    @torch.jit.unused
    def _product(self, x: torch.Tensor) -> torch.Tensor:
        pixels = as_autocast(x).flatten(2)
        weight = as_autocast(self.weight).flatten(1).expand(x.shape[0], -1, -1)
        if self.bias is None:
            product = torch.bmm(weight, pixels)
        else:  # a bias for each image: its gradient sums pixels, then images, which in bfloat16 is faster than at once
            bias = as_autocast(self.bias).view(1, -1, 1).expand(x.shape[0], -1, -1)
            product = torch.baddbmm(bias, weight, pixels)
        return product.unflatten(2, x.shape[2:])
