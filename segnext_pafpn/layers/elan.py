"""ELAN, the efficient layer aggregation network (arXiv 2211.04800; YOLOv7, arXiv 2207.02696, figure 2)."""

from collections.abc import Sequence

import torch
from torch import nn

from segnext_pafpn.layers.block import build_block
from segnext_pafpn.layers.conv import ConvNormAct


class ELAN(nn.Module):
    """Two 1x1 branches of half width; one goes through two chains of blocks; all four are concatenated.

    ::

        x -- 1x1 --------------------------------- a ---+
        x -- 1x1 -- b -- blocks -- c -- blocks -- e --+ |
                    |              |                  | |
                    +--------------+--- concat(a, b, c, e) -- 1x1 -- y

    With ``groups = g > 1`` this is the extended ELAN (E-ELAN; YOLOv7, section 3.1 and figure 2d). What goes in and
    comes out, and the way of the gradients, stay; inside

    1. expand: a, b, c and e are g times as wide, and the blocks of the chains are made of grouped convolutions
       of cardinality g, so that g chains run side by side without seeing each other;
    2. shuffle: each of a, b, c and e is split into g parts, every part holding channels of all g groups;
       the parts of one number are concatenated, as wide together as in the plain ELAN;
    3. merge: these g concatenations are added, and the last 1x1 reads the sum.

    Args:
        in_channels, out_channels: ``(B, in, H, W)`` to ``(B, out, H, W)``.
        depth: blocks in each of the two chains.
        hidden_channels: width of a, b, c, e (of one group); default half of ``out_channels``.
        kernel_size: of the blocks' large kernel; None for the block's own.
        drop_path: one probability for all blocks, or one for each of the ``2 * depth`` blocks.
        block: what the chains are made of, see :func:`~segnext_pafpn.layers.block.build_block`.
        groups: 1 for ELAN, more for E-ELAN; must divide ``hidden_channels``.
        expansion: hidden width of the blocks over their channels; None for the block's own.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int = 1,
        hidden_channels: int | None = None,
        kernel_size: int | None = 7,
        dilation: int = 1,
        norm: str = "batch",
        layer_scale: float | None = None,
        drop_path: float | Sequence[float] = 0.0,
        block: str = "convnext",
        groups: int = 1,
        expansion: int | None = None,
    ):
        super().__init__()
        hidden = hidden_channels or out_channels // 2
        if hidden % groups:
            raise ValueError(f"groups={groups} must divide hidden_channels={hidden}, for shuffling them evenly.")
        rates = list(drop_path) if isinstance(drop_path, Sequence) else [drop_path] * (2 * depth)
        if len(rates) != 2 * depth:
            raise ValueError(f"drop_path: {len(rates)} rates for {2 * depth} blocks; give one, or one for each block.")
        options = dict(dilation=dilation, norm=norm, layer_scale=layer_scale, groups=groups, expansion=expansion)
        blocks = [build_block(block, groups * hidden, kernel_size, drop_path=rate, **options) for rate in rates]
        self.conv1 = ConvNormAct(in_channels, groups * hidden, norm=norm)
        self.conv2 = ConvNormAct(in_channels, groups * hidden, norm=norm)
        self.chain1 = nn.Sequential(*blocks[:depth])
        self.chain2 = nn.Sequential(*blocks[depth:])
        self.conv3 = ConvNormAct(4 * hidden, out_channels, norm=norm)
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.conv1(x)
        b = self.conv2(x)
        c = self.chain1(b)
        e = self.chain2(c)
        if self.groups > 1:
            a, b = _shuffle_and_merge(a, self.groups), _shuffle_and_merge(b, self.groups)
            c, e = _shuffle_and_merge(c, self.groups), _shuffle_and_merge(e, self.groups)
        return self.conv3(torch.cat([a, b, c, e], dim=1))


def _shuffle_and_merge(x: torch.Tensor, groups: int) -> torch.Tensor:
    """``(B, groups * C, H, W)`` to ``(B, C, H, W)``: deal each group's channels out to all parts, add the parts.

    Adding before concatenating the branches gives the same as adding the concatenations.
    """
    shuffled = x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
    return shuffled.unflatten(1, (groups, -1)).sum(dim=1)
