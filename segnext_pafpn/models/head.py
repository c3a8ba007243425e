"""Fuses the pyramid into one feature map from which a 1x1 convolution reads the classes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.layers import ConvNormAct, RepConv


class FuseHead(nn.Module):
    """A RepConv on each level, upsampled to the finest and summed.

    Args:
        in_channels: widths of the levels, finest first, each ``(B, C_i, H_i, W_i)``.
        channels: width of the result, ``(B, channels, H_0, W_0)``.
        dropout: of whole channels of the result.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 128, dropout: float = 0.1):
        super().__init__()
        self.convs = nn.ModuleList(RepConv(c, channels) for c in in_channels)
        self.dropout = nn.Dropout2d(dropout)
        self.out_channels = channels

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        fused = self.convs[0](levels[0])
        for i, conv in enumerate(self.convs):
            if i > 0:
                level = conv(levels[i])
                fused = fused + F.interpolate(level, size=fused.shape[-2:], mode="bilinear", align_corners=False)
        return self.dropout(fused)


class DetailRefine(nn.Module):
    """Bring the stem's edges into the fused map, at the stem's resolution (UNet's last skip, arXiv 1505.04597).

    Args:
        in_channels: width of the fused map, ``(B, in_channels, H / 4, W / 4)``.
        stem_channels: width of the stem's features, ``(B, stem_channels, H / 2, W / 2)``.
        channels: width of the result, ``(B, channels, H / 2, W / 2)``.
    """

    def __init__(self, in_channels: int, stem_channels: int, channels: int):
        super().__init__()
        self.reduce = ConvNormAct(in_channels, channels)
        self.lateral = ConvNormAct(stem_channels, channels // 2)
        self.conv = RepConv(channels + channels // 2, channels)
        self.out_channels = channels

    def forward(self, fused: torch.Tensor, stem: torch.Tensor) -> torch.Tensor:
        fused = F.interpolate(self.reduce(fused), size=stem.shape[-2:], mode="bilinear", align_corners=False)
        return self.conv(torch.cat([fused, self.lateral(stem)], dim=1))
