"""Normalisation over channels, chosen by name."""

import torch
import torch.nn.functional as F
from torch import nn


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of each pixel, for ``(B, C, H, W)`` (ConvNeXt, arXiv 2201.03545).

    With ``channels_last`` tensors the two permutes move no data.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6):
        super().__init__(num_channels, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


def build_norm(name: str, num_channels: int) -> nn.Module:
    """Return the norm called ``name``: ``batch`` (folds away for inference), ``layer`` or ``group``."""
    if name == "batch":
        return nn.BatchNorm2d(num_channels)
    if name == "layer":
        return LayerNorm2d(num_channels)
    if name == "group":
        groups = next(g for g in (32, 16, 8, 4, 2, 1) if num_channels % g == 0)
        return nn.GroupNorm(groups, num_channels)
    raise ValueError(f"norm: '{name}' is not known. Choose one of: batch, layer, group.")
