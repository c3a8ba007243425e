"""ConvNeXt's block (arXiv 2201.03545, figure 4), with a choice of norm and dilation."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segnext_pafpn.layers.norm import build_norm


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


class ConvNeXtBlock(nn.Module):
    """x + gamma * pw2(gelu(pw1(norm(dw(x))))), ``(B, C, H, W)`` to the same shape.

    Args:
        channels: C.
        kernel_size: side of the depthwise convolution.
        dilation: of the depthwise convolution.
        expansion: the hidden width is ``expansion * channels``.
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
    ):
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.dw = nn.Conv2d(channels, channels, kernel_size, padding=padding, dilation=dilation, groups=channels)
        self.norm = build_norm(norm, channels)
        self.pw1 = nn.Conv2d(channels, expansion * channels, 1)
        self.act = nn.GELU()
        self.pw2 = nn.Conv2d(expansion * channels, channels, 1)
        self.gamma = None if layer_scale is None else nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pw2(self.act(self.pw1(self.norm(self.dw(x)))))
        if self.gamma is not None:
            y = y * self.gamma.view(1, -1, 1, 1)
        return x + self.drop_path(y)

    def fuse(self) -> None:
        """Fold BatchNorm into the depthwise convolution and LayerScale into the last 1x1. Evaluation mode only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.dw = fuse_conv_bn_eval(self.dw, self.norm)
            self.norm = nn.Identity()
        if self.gamma is not None:
            with torch.no_grad():
                self.pw2.weight.mul_(self.gamma.view(-1, 1, 1, 1))
                self.pw2.bias.mul_(self.gamma)
            self.gamma = None
