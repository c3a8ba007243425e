"""Fuses the pyramid into one feature map from which a 1x1 convolution reads the classes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.layers import RepConv


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
