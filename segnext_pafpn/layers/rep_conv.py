"""RepConv: three branches in training, one convolution for inference, the same function (RepVGG, arXiv 2101.03697)."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from segnext_pafpn.layers.act import build_act
from segnext_pafpn.layers.foldable import Foldable
from segnext_pafpn.layers.pointwise import PointwiseConv2d


class RepConv(Foldable):
    """act(bn(conv3x3(x)) + bn(conv1x1(x)) + bn(x)); the last branch where input and output widths agree.

    With ``act="silu"`` this is YOLOv7's (arXiv 2207.02696).

    The norm is BatchNorm by design: in evaluation it is linear, so the branches fold *exactly* into
    one 3x3 convolution (:meth:`fuse`). The published network used LayerNorm here, which cannot fold.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, act: str | None = "gelu"):
        super().__init__()
        self.conv3 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(out_channels)
        self.conv1 = PointwiseConv2d(in_channels, out_channels, stride, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        has_identity = in_channels == out_channels and stride == 1
        self.norm0 = nn.BatchNorm2d(out_channels) if has_identity else None
        self.act = build_act(act)
        self.folded: nn.Conv2d | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.folded is not None:
            return self.act(self.folded(x))
        y = self.norm3(self.conv3(x)) + self.norm1(self.conv1(x))
        if self.norm0 is not None:
            y = y + self.norm0(x)
        return self.act(y)

    @torch.no_grad()
    def folded_kernel(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the one kernel ``(out, in, 3, 3)`` and bias ``(out,)`` equal to the branches in evaluation mode."""
        kernel, bias = _fold_branch(self.conv3.weight, self.norm3)
        branches = [_fold_branch(F.pad(self.conv1.weight, [1, 1, 1, 1]), self.norm1)]
        if self.norm0 is not None:
            identity = torch.zeros_like(self.conv3.weight)
            nn.init.dirac_(identity)
            branches.append(_fold_branch(identity, self.norm0))
        for branch_kernel, branch_bias in branches:
            kernel, bias = kernel + branch_kernel, bias + branch_bias
        return kernel, bias

    def _fold(self) -> None:
        kernel, bias = self.folded_kernel()
        folded = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, stride=self.conv3.stride, padding=1)
        folded = folded.to(kernel.device, kernel.dtype).eval()
        folded.weight.copy_(kernel)
        folded.bias.copy_(bias)
        self.folded = folded
        del self.conv3, self.norm3, self.conv1, self.norm1, self.norm0


def _fold_branch(kernel: torch.Tensor, norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = fuse_conv_bn_weights(
        kernel, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return weight.detach(), bias.detach()
