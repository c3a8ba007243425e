"""Fold every block that can be folded."""

from torch import nn

from segnext_pafpn.layers.conv import ConvNormAct
from segnext_pafpn.layers.convnext import ConvNeXtBlock
from segnext_pafpn.layers.rep_conv import RepConv


def fuse_layers(module: nn.Module) -> nn.Module:
    """Fold norms, LayerScale and RepConv branches in place, for inference; outputs stay the same.

    Raises:
        RuntimeError: in training mode, where a BatchNorm's statistics are still those of the batch.
    """
    if module.training:
        raise RuntimeError("fuse() is for inference: call model.eval() first. A fused model cannot be trained.")
    for layer in list(module.modules()):
        if isinstance(layer, (ConvNormAct, ConvNeXtBlock, RepConv)):
            layer.fuse()
    return module
