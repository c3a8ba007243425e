"""SegNeXt's block: attention from strip convolutions of several lengths (MSCA, arXiv 2209.08575, section 3.1).

The attributes bear the names of the published checkpoints. BatchNorm stands before the branches, and
everything keeps ``(B, C, H, W)``.
"""

from collections import OrderedDict

import torch
from torch import nn

from segnext_pafpn.layers.convnext import DropPath
from segnext_pafpn.layers.depthwise import DepthwiseConv2d
from segnext_pafpn.layers.pointwise import PointwiseConv2d


class MSCA(nn.Module):
    """x * conv3(a + s7(a) + s11(a) + s21(a)) with a = 5x5 depthwise of x and sK = 1xK, then Kx1 (figure 2)."""

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.conv0 = DepthwiseConv2d(channels, (5, 5), dilation)
        self.conv0_1 = DepthwiseConv2d(channels, (1, 7), dilation)
        self.conv0_2 = DepthwiseConv2d(channels, (7, 1), dilation)
        self.conv1_1 = DepthwiseConv2d(channels, (1, 11), dilation)
        self.conv1_2 = DepthwiseConv2d(channels, (11, 1), dilation)
        self.conv2_1 = DepthwiseConv2d(channels, (1, 21), dilation)
        self.conv2_2 = DepthwiseConv2d(channels, (21, 1), dilation)
        self.conv3 = PointwiseConv2d(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.conv0(x)
        s7 = self.conv0_2(self.conv0_1(a))
        s11 = self.conv1_2(self.conv1_1(a))
        s21 = self.conv2_2(self.conv2_1(a))
        return x * self.conv3(a + s7 + s11 + s21)


class MSCAttention(nn.Module):
    """1x1, GELU, :class:`MSCA`, 1x1, plus the input."""

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.proj_1 = PointwiseConv2d(channels, channels)
        self.act = nn.GELU()
        self.spatial_gating_unit = MSCA(channels, dilation)
        self.proj_2 = PointwiseConv2d(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.proj_2(self.spatial_gating_unit(self.act(self.proj_1(x))))


class ConvMLP(nn.Module):
    """1x1 to ``hidden_channels``, depthwise 3x3, GELU, 1x1 back."""

    def __init__(self, channels: int, hidden_channels: int, dilation: int = 1):
        super().__init__()
        self.fc1 = PointwiseConv2d(channels, hidden_channels)
        self.dwconv = nn.Sequential(OrderedDict(dwconv=DepthwiseConv2d(hidden_channels, 3, dilation)))
        self.act = nn.GELU()
        self.fc2 = PointwiseConv2d(hidden_channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.dwconv(self.fc1(x))))


class MSCABlock(nn.Module):
    """x + g1 * attn(BN(x)), then x + g2 * mlp(BN(x)).

    Args:
        channels: C.
        mlp_ratio: the MLP's hidden width is ``mlp_ratio * channels``.
        dilation: of all depthwise convolutions.
        layer_scale: initial g1 and g2, one number per channel each.
        drop_path: probability of stochastic depth, for each branch.
    """

    def __init__(
        self,
        channels: int,
        mlp_ratio: int = 4,
        dilation: int = 1,
        layer_scale: float = 0.01,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = MSCAttention(channels, dilation)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = ConvMLP(channels, mlp_ratio * channels, dilation)
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), layer_scale))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.layer_scale_1.view(1, -1, 1, 1) * self.attn(self.norm1(x)))
        return x + self.drop_path(self.layer_scale_2.view(1, -1, 1, 1) * self.mlp(self.norm2(x)))


class StemConv(nn.Module):
    """Two 3x3 convolutions of stride 2, each with BatchNorm, GELU between: ``(B, I, H, W)`` to ``(B, C, H/4, W/4)``."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, channels // 2, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels // 2),
            nn.GELU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x)


class PatchEmbed(nn.Module):
    """3x3 convolution and BatchNorm between stages; at stride 1 the resolution stays (output strides 8 and 16)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 2, dilation: int = 1):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.proj(x))
