"""PAFPN: a feature pyramid with a second, bottom-up path (PANet, arXiv 1803.01534), built from ELANs."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.layers import ELAN, SPPCSPC, ConvNormAct, Downsample


class PAFPN(nn.Module):
    """c2..c5 to p2, n3, n4, n5, all ``channels`` wide (c_i, p_i and n_i at stride 2^i).

    ::

        c5 - SPPCSPC - p5 -------------------- n5
                        | up               down |
        c4 ----------- p4 -------------------- n4
                        | up               down |
        c3 ----------- p3 ------ 1x1 --------- n3
                        | up
        c2 ----------- p2 ------------------------

    Each p and n but p5 and n3 is an ELAN over the concatenation of its two inputs, each of its branches half as wide
    as this (as published; squeezed to a quarter they learn far worse, see docs/ablation.md). Without a c2 (encoders
    of depth 3) there is no p2.

    Args:
        in_channels: widths of c2 (or none), c3, c4, c5.
        channels: width of the pyramid.
        depth: blocks in each of an ELAN's two chains.
        kernel_size: side of their depthwise convolutions.
        expansion: hidden width of all blocks over their channels.
        dilations: of SPPCSPC.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 64,
        depth: int = 1,
        kernel_size: int = 7,
        expansion: int = 4,
        dilations: Sequence[int] = (3, 4, 6),
        norm: str = "batch",
        layer_scale: float | None = None,
    ):
        super().__init__()
        *finer, c5 = in_channels

        def elan() -> ELAN:
            return ELAN(
                2 * channels,
                channels,
                depth=depth,
                hidden_channels=channels,
                kernel_size=kernel_size,
                norm=norm,
                layer_scale=layer_scale,
                expansion=expansion,
            )

        self.sppcspc = SPPCSPC(
            c5,
            channels,
            hidden_channels=channels,
            dilations=dilations,
            norm=norm,
            layer_scale=layer_scale,
            expansion=expansion,
        )
        self.laterals = _coarse_to_fine(ConvNormAct(c, channels, norm=norm) for c in finer)
        self.reduces = _coarse_to_fine(ConvNormAct(channels, channels, norm=norm) for _ in finer)
        self.top_down = _coarse_to_fine(elan() for _ in finer)
        self.conv_n3 = ConvNormAct(channels, channels, norm=norm)
        self.downs = nn.ModuleList(Downsample(channels, channels, norm=norm) for _ in range(2))
        self.bottom_up = nn.ModuleList(elan() for _ in range(2))

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        pyramid = [self.sppcspc(features[-1])]
        steps = zip(self.laterals.values(), self.reduces.values(), self.top_down.values())  # noqa: B905
        for i, (lateral, reduce, elan) in enumerate(steps):
            finer = lateral(features[-2 - i])
            coarser = F.interpolate(reduce(pyramid[0]), size=finer.shape[-2:], mode="nearest")
            pyramid.insert(0, elan(torch.cat([finer, coarser], dim=1)))
        outputs = pyramid[:-3]
        p4, p5 = pyramid[-2:]
        n3 = self.conv_n3(pyramid[-3])
        n4 = self.bottom_up[0](torch.cat([p4, self.downs[0](n3)], dim=1))
        n5 = self.bottom_up[1](torch.cat([p5, self.downs[1](n4)], dim=1))
        return outputs + [n3, n4, n5]


def _coarse_to_fine(modules: Iterable[nn.Module]) -> nn.ModuleDict:
    """Modules of the levels, given finest first, in the order of the top-down path; TorchScript cannot reverse a list.

    Each keeps its place in the given order as its name.
    """
    return nn.ModuleDict({str(i): module for i, module in reversed(list(enumerate(modules)))})
