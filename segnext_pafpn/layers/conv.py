"""Convolution, norm and activation in one; downsampling."""

import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.layers.act import build_act
from segnext_pafpn.layers.depthwise import DepthwiseConv2d
from segnext_pafpn.layers.foldable import Foldable, fold_norm
from segnext_pafpn.layers.norm import build_norm
from segnext_pafpn.layers.pointwise import PointwiseConv2d


class ConvNormAct(Foldable):
    """Convolution -> norm -> activation, keeping H and W at stride 1. BatchNorm folds into the convolution.

    Args:
        kernel_size: odd; padding keeps the size.
        norm: see :func:`~segnext_pafpn.layers.norm.build_norm`.
        act: see :func:`~segnext_pafpn.layers.act.build_act`; None for none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        norm: str = "batch",
        act: str | None = "gelu",
    ):
        super().__init__()
        if groups == in_channels == out_channels and stride == 1:
            self.conv = DepthwiseConv2d(in_channels, kernel_size, dilation, bias=False)
        elif kernel_size == 1:
            self.conv = PointwiseConv2d(in_channels, out_channels, stride, groups, bias=False)
        else:
            self.conv = nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
                groups=groups,
                bias=False,
            )
        self.norm = build_norm(norm, out_channels)
        self.act = build_act(act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))

    def _fold(self) -> None:
        self.conv, self.norm = fold_norm(self.conv, self.norm)


class Downsample(nn.Sequential):
    """ConvNeXt's downsampling: norm, then a 2x2 convolution of stride 2 (arXiv 2201.03545, section 2.6).

    With ``stride=1`` the same weights run without striding (for output strides 8 and 16) and the
    resolution stays.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 2, norm: str = "batch"):
        conv = (
            nn.Conv2d(in_channels, out_channels, 2, stride) if stride > 1 else _SameConv2x2(in_channels, out_channels)
        )
        super().__init__(build_norm(norm, in_channels), conv)


class _SameConv2x2(nn.Conv2d):
    """A 2x2 convolution that keeps the size: PyTorch's ``padding="same"``, without its warning of even kernels."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias)
