"""The published network's One: ConvNeXt's order of layers around a dense kernel, without its shortcut."""

import torch
from torch import nn

from segnext_pafpn.layers.foldable import Foldable, fold_norm
from segnext_pafpn.layers.norm import build_norm
from segnext_pafpn.layers.pointwise import PointwiseConv2d


class One(Foldable):
    """pw2(gelu(pw1(norm(conv(x))))), ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``.

    conv is a dense k x k. Kept to compare with; ConvNeXt's own, depthwise and with a shortcut, is
    :class:`~segnext_pafpn.layers.convnext.ConvNeXtBlock`.

    Args:
        kernel_size: odd side of conv.
        dilation: of conv.
        expansion: the hidden width is ``expansion * out_channels``.
        norm: see :func:`~segnext_pafpn.layers.norm.build_norm`; the published one is ``layer``.
        groups: of all three convolutions (E-ELAN).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 7,
        dilation: int = 1,
        expansion: int = 4,
        norm: str = "layer",
        groups: int = 1,
    ):
        super().__init__()
        middle, hidden = min(in_channels, out_channels), expansion * out_channels
        padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(in_channels, middle, kernel_size, padding=padding, dilation=dilation, groups=groups)
        self.norm = build_norm(norm, middle)
        self.pw1 = PointwiseConv2d(middle, hidden, groups=groups)
        self.act = nn.GELU()
        self.pw2 = PointwiseConv2d(hidden, out_channels, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pw2(self.act(self.pw1(self.norm(self.conv(x)))))

    def _fold(self) -> None:
        self.conv, self.norm = fold_norm(self.conv, self.norm)
