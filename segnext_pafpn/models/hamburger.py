"""SegNeXt's decoder: three feature levels, squeezed and passed through a matrix factorisation ("Hamburger").

Hamburger is arXiv 2109.04553; the light form here is that of SegNeXt (arXiv 2209.08575, section 3.2). Learned
parameters bear the names of the published checkpoints.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.layers import build_norm


class NMF2D(nn.Module):
    """The "ham": X, the features of all pixels as a (C, N) matrix of values >= 0, replaced by D E^T of rank R.

    D (C, R) starts from random unit columns and E (N, R) from the softmax of X^T D; both are improved by
    multiplicative updates, and gradients flow through all of them. In training the start is drawn anew for
    each image, as published. In evaluation it is always the same, the buffer ``bases`` drawn once from a fixed
    seed and saved with the weights, so that a prediction depends on nothing but image and weights.

    Args:
        channels: C.
        rank: R.
        train_steps, eval_steps: updates of D and E; E gets one more at the end.
    """

    def __init__(self, channels: int, rank: int = 64, train_steps: int = 6, eval_steps: int = 7):
        super().__init__()
        self.train_steps = train_steps
        self.eval_steps = eval_steps
        generator = torch.Generator().manual_seed(0)
        bases = torch.rand((channels, rank), generator=generator, device="cpu")
        self.register_buffer("bases", F.normalize(bases, dim=0).to(torch.get_default_device()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` of values >= 0 to its approximation of the same shape; float32 inside, or finer."""
        # meta tensors, on which sizes and operations are counted, know no autocast
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            matrix = x.flatten(2).to(torch.promote_types(x.dtype, torch.float32))
            return self._approximate(matrix).to(x.dtype).view(x.shape)

    def _approximate(self, matrix: torch.Tensor) -> torch.Tensor:
        """``(B, C, N)`` to D E^T of the same shape."""
        bases = self.bases.to(matrix.dtype).expand(matrix.shape[0], -1, -1)
        if self.training:
            bases = F.normalize(torch.rand_like(bases), dim=1)
        transposed = matrix.transpose(1, 2)
        coefficients = F.softmax(transposed @ bases, dim=-1)
        for _ in range(self.train_steps if self.training else self.eval_steps):
            coefficients = _update(coefficients, transposed, bases)
            bases = _update(bases, matrix, coefficients)
        coefficients = _update(coefficients, transposed, bases)
        return bases @ coefficients.transpose(1, 2)


def _update(factor: torch.Tensor, matrix: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Lee and Seung's rule for ``matrix`` (M, N) ~ ``factor`` (M, R) times ``other`` (N, R) transposed."""
    return factor * (matrix @ other) / (factor @ (other.transpose(1, 2) @ other) + 1e-6)


class ConvGroupNorm(nn.Module):
    """1x1 convolution -> GroupNorm of 32 groups (the next power of two that divides, if 32 does not) -> ReLU."""

    def __init__(self, in_channels: int, channels: int, act: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.gn = build_norm("group", channels)
        self.act = nn.ReLU() if act else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.gn(self.conv(x)))


class Hamburger(nn.Module):
    """relu(x + ham_out(ham(relu(ham_in(x))))), ``(B, C, H, W)`` to the same shape."""

    def __init__(self, channels: int, rank: int = 64):
        super().__init__()
        self.ham_in = nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, channels, 1)))
        self.ham = NMF2D(channels, rank)
        self.ham_out = ConvGroupNorm(channels, channels, act=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.ham_out(self.ham(F.relu(self.ham_in(x)))))


class HamburgerDecoder(nn.Module):
    """The encoder's features ``[x, f1, .., f_depth]`` to one map ``(B, channels, H / 8, W / 8)``.

    Args:
        in_channels: widths of the features used, finest first.
        levels: their indices; the finest gives the resolution of the result.
        channels: width of squeeze, hamburger and result.
        rank: of the factorisation.
        dropout: of whole channels of the result.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        levels: Sequence[int],
        channels: int = 256,
        rank: int = 64,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.levels = list(levels)
        self.squeeze = ConvGroupNorm(sum(in_channels), channels)
        self.hamburger = Hamburger(channels, rank)
        self.align = ConvGroupNorm(channels, channels)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        size = features[self.levels[0]].shape[-2:]
        levels = [F.interpolate(features[i], size=size, mode="bilinear", align_corners=False) for i in self.levels]
        return self.dropout(self.align(self.hamburger(self.squeeze(torch.cat(levels, dim=1)))))
