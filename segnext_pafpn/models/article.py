"""The article network: the ELAN backbone and PAFPN of 2022 that this package goes back to, as published.

YOLOv7's ELAN backbone and PAFPN (arXiv 2207.02696) with every block rewritten in ConvNeXt's terms (arXiv
2201.03545). It stands here to be measured against, so what was published stays as it was, defects included:

- :class:`ArticleRepConv` computes one function in training and another in evaluation, and ends in a Sigmoid.
  ``layers/rep_conv.py`` folds exactly.
- :class:`One` is a dense large kernel without a shortcut. ``layers/convnext.py`` is depthwise and residual.
- :class:`ArticlePAFPN` takes no ``out_channels`` but C2. ``models/pafpn.py`` takes any width.
- Both take no sides but those near above a multiple of 32: of H, 8 to 31 pixels more than that crash, 1 to 7 more
  are not looked at. ``models/segmentor.py`` pads.
- PyTorch's own initial weights, no LayerScale, no stochastic depth.

Here C1 to C4 are the ``width``, and H, W the image's sides.
"""

import torch
from torch import nn

from segnext_pafpn.layers import DepthwiseConv2d, LayerNorm2d

__all__ = ["ArticleBackbone", "ArticlePAFPN", "ArticleRepConv", "Elan", "One", "Sppcspc", "Stage"]

Width = tuple[int, int, int, int]


class PW(nn.Sequential):
    """1x1 convolution, LayerNorm, GELU, and after them what ``more`` holds."""

    def __init__(self, in_channels: int, out_channels: int, *more: nn.Module):
        super().__init__(nn.Conv2d(in_channels, out_channels, 1), LayerNorm2d(out_channels), nn.GELU(), *more)


class Block(nn.Module):
    """ConvNeXt's residual block without LayerScale and stochastic depth."""

    def __init__(self, channels: int, kernel_size: int = 7):
        super().__init__()
        self.conv = nn.Sequential(
            DepthwiseConv2d(channels, kernel_size),
            LayerNorm2d(channels),
            nn.Conv2d(channels, 4 * channels, 1),
            nn.GELU(),
            nn.Conv2d(4 * channels, channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


class Stage(nn.Module):
    """``(B, in, H, W)`` to ``(B, out, H / 2, W / 2)``: ConvNeXt's downsampling and ``depth`` blocks."""

    def __init__(self, in_channels: int, out_channels: int, depth: int = 1):
        super().__init__()
        self.downsample = nn.Sequential(LayerNorm2d(in_channels), nn.Conv2d(in_channels, out_channels, 2, stride=2))
        self.blocks = nn.Sequential(*(Block(out_channels) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.downsample(x))


class One(nn.Module):
    """ConvNeXt's block as the article has it in ELAN and SPPCSPC.

    Defects: the convolution is dense, not depthwise, and so holds most of the network's parameters; there is no
    shortcut, so that no gradient goes round it. :class:`~segnext_pafpn.layers.ConvNeXtBlock` has neither.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 7, dilation: int = 1):
        super().__init__()
        hidden = min(in_channels, out_channels)
        padding = dilation * (kernel_size - 1) // 2
        self.stream = nn.Sequential(
            nn.Conv2d(in_channels, hidden, kernel_size, padding=padding, dilation=dilation),
            LayerNorm2d(hidden),
            nn.Conv2d(hidden, 4 * out_channels, 1),
            nn.GELU(),
            nn.Conv2d(4 * out_channels, out_channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stream(x)


class Elan(nn.Module):
    """ELAN with one :class:`One` in each chain; its hidden width is half of its *input's*."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        hidden = in_channels // 2
        self.in_channels, self.hidden_channels, self.out_channels = in_channels, hidden, out_channels
        self.conv1 = PW(in_channels, hidden)
        self.conv2 = PW(in_channels, hidden)
        self.conv3 = One(hidden, hidden)
        self.conv4 = One(hidden, hidden)
        self.conv5 = PW(4 * hidden, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.conv1(x)
        b = self.conv2(x)
        c = self.conv3(b)
        e = self.conv4(c)
        return self.conv5(torch.cat([a, b, c, e], dim=1))


class Sppcspc(nn.Module):
    """SPPCSPC with dilated convolutions of 7, 9 and 13 pixels' span, under the names of the pools they replace."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        hidden = in_channels // 2
        self.in_channels, self.hidden_channels, self.out_channels = in_channels, hidden, out_channels
        self.conv1 = One(in_channels, hidden)
        self.maxpool7 = One(hidden, hidden, kernel_size=3, dilation=3)
        self.maxpool9 = One(hidden, hidden, kernel_size=3, dilation=4)
        self.maxpool13 = One(hidden, hidden, kernel_size=3, dilation=6)
        self.conv2 = One(4 * hidden, hidden)
        self.conv3 = PW(in_channels, hidden)
        self.conv4 = PW(2 * hidden, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(x)
        y = self.conv2(torch.cat([y, self.maxpool7(y), self.maxpool9(y), self.maxpool13(y)], dim=1))
        return self.conv4(torch.cat([y, self.conv3(x)], dim=1))


class ArticleRepConv(nn.Module):
    """Three branches in training, the first of them alone in evaluation, then 1x1 convolution, LayerNorm, Sigmoid.

    Defects: LayerNorm is not linear, so branches with it cannot be folded into one convolution, and leaving two out
    makes another function. The Sigmoid squeezes the features into (0, 1). In its place the package has
    :class:`~segnext_pafpn.layers.RepConv`, with BatchNorm, which folds exactly, and a GELU.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.stream = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), LayerNorm2d(channels))
        self.rep1 = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), LayerNorm2d(channels))
        self.rep2 = LayerNorm2d(channels)
        self.conv = nn.Sequential(nn.Conv2d(channels, channels, 1), LayerNorm2d(channels), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stream(x)
        if self.training:
            y = y + self.rep1(x) + self.rep2(x)
        return self.conv(y)


class ArticleBackbone(nn.Module):
    """Image ``(B, 3, H, W)`` to c3, c4, c5 at strides 8, 16, 32, with C2, C3, C4 channels."""

    def __init__(self, width: Width = (128, 256, 512, 1024)):
        super().__init__()
        w1, w2, w3, w4 = width
        self.stem = nn.Sequential(nn.Conv2d(3, w1, 4, stride=2, padding=1), LayerNorm2d(w1))
        self.convnext = Stage(w1, w2, depth=3)
        self.elan1 = Elan(w2, w2)
        self.mp1 = Stage(w2, w2)
        self.elan2 = Elan(w2, w3)
        self.mp2 = Stage(w3, w3)
        self.elan3 = Elan(w3, w4)
        self.mp3 = Stage(w4, w4)
        self.elan4 = Elan(w4, w4)
        self.conv3 = PW(w3, w2)
        self.conv4 = PW(w4, w3)

    def forward_levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Strides 2, 4, 8, 16, 32, with C1, C2, C2, C3, C4 channels; the last three are the published outputs."""
        x2 = self.stem(x)
        x4 = self.elan1(self.convnext(x2))
        x8 = self.elan2(self.mp1(x4))
        x16 = self.elan3(self.mp2(x8))
        x32 = self.elan4(self.mp3(x16))
        return [x2, x4, self.conv3(x8), self.conv4(x16), x32]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return self.forward_levels(x)[-3:]


class ArticlePAFPN(nn.Module):
    """c3, c4, c5 to n3, n4, n5 at the same strides 8, 16, 32, all with ``out_channels``.

    Defect: n3's LayerNorm is C2 wide, so any other ``out_channels`` fails in ``forward``.

    Args:
        width: C1 to C4 of the backbone.
        out_channels: default C2.
    """

    def __init__(self, width: Width = (128, 256, 512, 1024), out_channels: int | None = None):
        super().__init__()
        _, w2, w3, w4 = width
        out = w2 if out_channels is None else out_channels
        self.cppcspc = Sppcspc(w4, w4)
        self.upsample5 = PW(w4, w3, nn.Upsample(scale_factor=2, mode="nearest"))
        self.elan4 = Elan(2 * w3, w3)
        self.upsample4 = PW(w3, w2, nn.Upsample(scale_factor=2, mode="nearest"))
        self.elan3 = Elan(2 * w2, w2)
        self.conv3_channelmatch = nn.Sequential(nn.Conv2d(w2, out, 1), LayerNorm2d(w2), nn.GELU())
        self.downsample4 = Stage(w2, w3)
        self.elan4_pa = Elan(2 * w3, out)
        self.downsample5 = Stage(out, w4)
        self.elan5_pa = Elan(2 * w4, out)
        self.rep3 = ArticleRepConv(out)
        self.rep4 = ArticleRepConv(out)
        self.rep5 = ArticleRepConv(out)

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        c3, c4, c5 = features
        p5 = self.cppcspc(c5)
        p4 = self.elan4(torch.cat([c4, self.upsample5(p5)], dim=1))
        p3 = self.elan3(torch.cat([c3, self.upsample4(p4)], dim=1))
        n3 = self.conv3_channelmatch(p3)
        n4 = self.elan4_pa(torch.cat([p4, self.downsample4(p3)], dim=1))
        n5 = self.elan5_pa(torch.cat([p5, self.downsample5(n4)], dim=1))
        return [self.rep3(n3), self.rep4(n4), self.rep5(n5)]
