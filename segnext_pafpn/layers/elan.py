"""ELAN, the efficient layer aggregation network (arXiv 2211.04800; YOLOv7, arXiv 2207.02696, figure 2)."""

from collections.abc import Sequence

import torch
from torch import nn

from segnext_pafpn.layers.conv import ConvNormAct
from segnext_pafpn.layers.convnext import ConvNeXtBlock


class ELAN(nn.Module):
    """Two 1x1 branches of half width; one goes through two chains of ConvNeXt blocks; all four are concatenated.

    ::

        x -- 1x1 --------------------------------- a ---+
        x -- 1x1 -- b -- blocks -- c -- blocks -- e --+ |
                    |              |                  | |
                    +--------------+--- concat(a, b, c, e) -- 1x1 -- y

    Args:
        in_channels, out_channels: ``(B, in, H, W)`` to ``(B, out, H, W)``.
        depth: ConvNeXt blocks in each of the two chains.
        hidden_channels: width of a, b, c, e; default half of ``out_channels``.
        drop_path: one probability for all blocks, or one for each of the ``2 * depth`` blocks.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int = 1,
        hidden_channels: int | None = None,
        kernel_size: int = 7,
        dilation: int = 1,
        norm: str = "batch",
        layer_scale: float | None = None,
        drop_path: float | Sequence[float] = 0.0,
    ):
        super().__init__()
        hidden = hidden_channels or out_channels // 2
        rates = list(drop_path) if isinstance(drop_path, Sequence) else [drop_path] * (2 * depth)
        blocks = [
            ConvNeXtBlock(hidden, kernel_size, dilation=dilation, norm=norm, layer_scale=layer_scale, drop_path=rate)
            for rate in rates
        ]
        self.conv1 = ConvNormAct(in_channels, hidden, norm=norm)
        self.conv2 = ConvNormAct(in_channels, hidden, norm=norm)
        self.chain1 = nn.Sequential(*blocks[:depth])
        self.chain2 = nn.Sequential(*blocks[depth:])
        self.conv3 = ConvNormAct(4 * hidden, out_channels, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.conv1(x)
        b = self.conv2(x)
        c = self.chain1(b)
        e = self.chain2(c)
        return self.conv3(torch.cat([a, b, c, e], dim=1))
