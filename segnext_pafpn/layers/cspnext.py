"""CSPNeXt's block (RTMDet, arXiv 2212.07784): a residual block with a large depthwise kernel."""

import torch
from torch import nn

from segnext_pafpn.layers.conv import ConvNormAct
from segnext_pafpn.layers.convnext import DropPath


class CSPNeXtBlock(nn.Module):
    """x + pw(dw(conv(x))), ``(B, C, H, W)`` to the same shape; each convolution with norm and activation.

    conv is a dense 3x3; dw (5x5, depthwise) and pw (1x1) are a depthwise-separable convolution. All BatchNorms fold.

    Args:
        channels: C.
        kernel_size: side of dw.
        dilation: of dw.
        norm: see :func:`~segnext_pafpn.layers.norm.build_norm`.
        act: see :func:`~segnext_pafpn.layers.act.build_act`.
        drop_path: probability of stochastic depth.
        groups: of conv and pw (E-ELAN).
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 5,
        dilation: int = 1,
        norm: str = "batch",
        act: str | None = "silu",
        drop_path: float = 0.0,
        groups: int = 1,
    ):
        super().__init__()
        options = dict(norm=norm, act=act)
        self.conv = ConvNormAct(channels, channels, 3, groups=groups, **options)
        self.dw = ConvNormAct(channels, channels, kernel_size, dilation=dilation, groups=channels, **options)
        self.pw = ConvNormAct(channels, channels, groups=groups, **options)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(self.pw(self.dw(self.conv(x))))
