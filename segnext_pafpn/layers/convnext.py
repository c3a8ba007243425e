"""ConvNeXt's block (arXiv 2201.03545, figure 4) and stage, with a choice of norm and dilation."""

from collections.abc import Sequence

import torch
from torch import nn

from segnext_pafpn.layers.conv import Downsample
from segnext_pafpn.layers.depthwise import DepthwiseConv2d
from segnext_pafpn.layers.foldable import Foldable, fold_norm
from segnext_pafpn.layers.norm import build_norm
from segnext_pafpn.layers.pointwise import PointwiseConv2d


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): drops the whole residual branch of a sample with probability ``p``."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.p == 0.0 or not self.training:
            return x
        keep = 1.0 - self.p
        mask = torch.rand((x.shape[0], 1, 1, 1), device=x.device) < keep
        return x * (mask.to(x.dtype) / keep)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class ConvNeXtBlock(Foldable):
    """x + gamma * pw2(gelu(pw1(norm(dw(x))))), ``(B, C, H, W)`` to the same shape.

    :meth:`fuse` folds BatchNorm into dw and gamma into pw2; a LayerNorm stays.

    Args:
        channels: C.
        kernel_size: side of the depthwise convolution.
        dilation: of the depthwise convolution.
        expansion: the hidden width is ``expansion * channels``.
        groups: of the two 1x1 convolutions; channels of one group never see those of another (E-ELAN).
        norm: see :func:`~segnext_pafpn.layers.norm.build_norm`; ConvNeXt's own is ``layer``.
        layer_scale: initial gamma, or None for no LayerScale.
        drop_path: probability of stochastic depth.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 7,
        dilation: int = 1,
        expansion: int = 4,
        norm: str = "batch",
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        groups: int = 1,
    ):
        super().__init__()
        self.dw = DepthwiseConv2d(channels, kernel_size, dilation)
        self.norm = build_norm(norm, channels)
        self.pw1 = PointwiseConv2d(channels, expansion * channels, groups=groups)
        self.act = nn.GELU()
        self.pw2 = PointwiseConv2d(expansion * channels, channels, groups=groups)
        self.gamma = None if layer_scale is None else nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pw2(self.act(self.pw1(self.norm(self.dw(x)))))
        if self.gamma is not None:
            y = y * self.gamma.view(1, -1, 1, 1)
        return x + self.drop_path(y)

    def _fold(self) -> None:
        self.dw, self.norm = fold_norm(self.dw, self.norm)
        if self.gamma is not None:
            self.pw2.weight.mul_(self.gamma.view(-1, 1, 1, 1))
            self.pw2.bias.mul_(self.gamma)
            self.gamma = None


class ConvNeXtStage(nn.Module):
    """ConvNeXt's stage: downsampling where size or width change, then ``depth`` blocks.

    ``(B, in_channels, H, W)`` to ``(B, out_channels, H / stride, W / stride)``. The defaults are the paper's;
    ConvNeXt-T is the depths 3, 3, 9, 3 at 96, 192, 384 and 768 channels.

    Args:
        drop_path: one probability of stochastic depth for all blocks, or one for each.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int,
        stride: int = 2,
        kernel_size: int = 7,
        norm: str = "layer",
        layer_scale: float | None = 1e-6,
        drop_path: float | Sequence[float] = 0.0,
    ):
        super().__init__()
        rates = list(drop_path) if isinstance(drop_path, Sequence) else [drop_path] * depth
        if len(rates) != depth:
            raise ValueError(f"drop_path: {len(rates)} rates for {depth} blocks; give one, or one for each block.")
        changes = stride != 1 or in_channels != out_channels
        self.downsample = Downsample(in_channels, out_channels, stride, norm) if changes else nn.Identity()
        self.blocks = nn.Sequential(
            *[ConvNeXtBlock(out_channels, kernel_size, norm=norm, layer_scale=layer_scale, drop_path=p) for p in rates]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.downsample(x))
