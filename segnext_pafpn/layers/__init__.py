"""Building blocks of the networks. Nothing here knows anything but torch.

Every block takes and returns ``(B, C, H, W)`` tensors. Blocks that compute something simpler in
evaluation than in training have a ``fuse()`` method; :func:`fuse_layers` calls them all.
"""

from segnext_pafpn.layers.act import build_act
from segnext_pafpn.layers.block import build_block
from segnext_pafpn.layers.conv import ConvNormAct, Downsample
from segnext_pafpn.layers.convnext import ConvNeXtBlock, ConvNeXtStage
from segnext_pafpn.layers.cspnext import CSPNeXtBlock
from segnext_pafpn.layers.depthwise import DepthwiseConv2d
from segnext_pafpn.layers.elan import ELAN
from segnext_pafpn.layers.fuse import fuse_layers
from segnext_pafpn.layers.norm import LayerNorm2d, build_norm
from segnext_pafpn.layers.one import One
from segnext_pafpn.layers.pointwise import PointwiseConv2d
from segnext_pafpn.layers.rep_conv import RepConv
from segnext_pafpn.layers.sppcspc import SPPCSPC

__all__ = [
    "ELAN",
    "SPPCSPC",
    "CSPNeXtBlock",
    "ConvNeXtBlock",
    "ConvNeXtStage",
    "ConvNormAct",
    "DepthwiseConv2d",
    "Downsample",
    "LayerNorm2d",
    "One",
    "PointwiseConv2d",
    "RepConv",
    "build_act",
    "build_block",
    "build_norm",
    "fuse_layers",
]
