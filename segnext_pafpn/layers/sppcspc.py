"""SPPCSPC (YOLOv7, arXiv 2207.02696): a spatial pyramid on one half, a shortcut on the other."""

from collections.abc import Sequence

import torch
from torch import nn

from segnext_pafpn.layers.conv import ConvNormAct
from segnext_pafpn.layers.convnext import ConvNeXtBlock

PYRAMIDS = ("dilated", "max_pool")
BLOCKS = ("convnext", "conv")


class SPPCSPC(nn.Module):
    """Pyramid of max-pools or dilated convolutions on one half, a 1x1 shortcut on the other.

    ::

        x -- conv_in -- y --+-------------+
                        +-- level 1 --+---+ concat -- conv_pyramid --+
                        +-- level 2 --+---+                          + concat -- conv_out
                        +-- level 3 --+---+                          |
        x -- shortcut (1x1) -----------------------------------------+

    YOLOv7 pools with windows of 5, 9 and 13 pixels; a 3x3 kernel dilated by d spans 2d + 1 pixels, so
    the default dilations span 7, 9 and 13 and, unlike a max-pool, learn what to look for (as ASPP does
    in DeepLabv3+, arXiv 1802.02611).

    YOLOv7's own is ``pyramid="max_pool", block="conv", act="silu"``; the defaults are this package's network.

    Args:
        in_channels, out_channels: ``(B, in, H, W)`` to ``(B, out, H, W)``.
        hidden_channels: width of both halves; default half of ``out_channels``.
        dilations: of the levels of a dilated pyramid.
        layer_scale: of the ConvNeXt blocks of a dilated pyramid; the other forms have none.
        pyramid: ``dilated`` or ``max_pool``.
        block: ``convnext``: dilated levels are ConvNeXt blocks, conv_in and conv_pyramid 1x1s;
            ``conv``: dilated levels are 3x3 convolutions, conv_in is 1x1 - 3x3 - 1x1 and conv_pyramid
            1x1 - 3x3, as in YOLOv7.
        kernel_sizes: odd windows of the levels of a max-pool pyramid.
        act: see :func:`~segnext_pafpn.layers.act.build_act`; ConvNeXt blocks keep their GELU.
        expansion: hidden width over the channels, of ConvNeXt blocks.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int | None = None,
        dilations: Sequence[int] = (3, 4, 6),
        norm: str = "batch",
        layer_scale: float | None = None,
        pyramid: str = "dilated",
        block: str = "convnext",
        kernel_sizes: Sequence[int] = (5, 9, 13),
        act: str | None = "gelu",
        expansion: int = 4,
    ):
        super().__init__()
        if pyramid not in PYRAMIDS or block not in BLOCKS:
            raise ValueError(
                f"pyramid='{pyramid}', block='{block}': choose {' or '.join(PYRAMIDS)}, and {' or '.join(BLOCKS)}."
            )
        if layer_scale is not None and (pyramid, block) != ("dilated", "convnext"):
            raise ValueError(f"layer_scale={layer_scale}: there is no LayerScale without dilated ConvNeXt blocks.")
        hidden = hidden_channels or out_channels // 2

        def conv(inputs: int, outputs: int, kernel_size: int = 1, dilation: int = 1) -> ConvNormAct:
            return ConvNormAct(inputs, outputs, kernel_size, dilation=dilation, norm=norm, act=act)

        self.conv_in = conv(in_channels, hidden)
        if block == "conv":
            self.conv_in = nn.Sequential(self.conv_in, conv(hidden, hidden, 3), conv(hidden, hidden))
        if pyramid == "max_pool":
            levels = [nn.MaxPool2d(k, stride=1, padding=k // 2) for k in kernel_sizes]
        elif block == "conv":
            levels = [conv(hidden, hidden, 3, dilation=d) for d in dilations]
        else:
            options = dict(expansion=expansion, norm=norm, layer_scale=layer_scale)
            levels = [ConvNeXtBlock(hidden, 3, dilation=d, **options) for d in dilations]
        self.pyramid = nn.ModuleList(levels)
        self.conv_pyramid = conv((1 + len(levels)) * hidden, hidden)
        if block == "conv":
            self.conv_pyramid = nn.Sequential(self.conv_pyramid, conv(hidden, hidden, 3))
        self.shortcut = conv(in_channels, hidden)
        self.conv_out = conv(2 * hidden, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_in(x)
        levels = [y]
        for level in self.pyramid:
            levels.append(level(y))
        y = self.conv_pyramid(torch.cat(levels, dim=1))
        return self.conv_out(torch.cat([y, self.shortcut(x)], dim=1))
