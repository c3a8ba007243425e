"""SPPCSPC (YOLOv7, arXiv 2207.02696) with dilated convolutions in the max-pools' place."""

from collections.abc import Sequence

import torch
from torch import nn

from segnext_pafpn.layers.conv import ConvNormAct
from segnext_pafpn.layers.convnext import ConvNeXtBlock


class SPPCSPC(nn.Module):
    """Pyramid of dilated ConvNeXt blocks on one half, a 1x1 shortcut on the other.

    YOLOv7 pools with windows of 5, 9 and 13 pixels; a 3x3 kernel dilated by d spans 2d + 1 pixels, so
    the default dilations span 7, 9 and 13 and, unlike a max-pool, learn what to look for (as ASPP does
    in DeepLabv3+, arXiv 1802.02611).

    Args:
        in_channels, out_channels: ``(B, in, H, W)`` to ``(B, out, H, W)``.
        hidden_channels: width of both halves; default half of ``out_channels``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int | None = None,
        dilations: Sequence[int] = (3, 4, 6),
        norm: str = "batch",
        layer_scale: float | None = None,
    ):
        super().__init__()
        hidden = hidden_channels or out_channels // 2
        self.conv_in = ConvNormAct(in_channels, hidden, norm=norm)
        self.pyramid = nn.ModuleList(
            ConvNeXtBlock(hidden, 3, dilation=d, norm=norm, layer_scale=layer_scale) for d in dilations
        )
        self.conv_pyramid = ConvNormAct((1 + len(dilations)) * hidden, hidden, norm=norm)
        self.shortcut = ConvNormAct(in_channels, hidden, norm=norm)
        self.conv_out = ConvNormAct(2 * hidden, out_channels, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_in(x)
        levels = [y]
        for block in self.pyramid:
            levels.append(block(y))
        y = self.conv_pyramid(torch.cat(levels, dim=1))
        return self.conv_out(torch.cat([y, self.shortcut(x)], dim=1))
