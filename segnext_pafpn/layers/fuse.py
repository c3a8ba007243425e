"""Fold every block that can be folded."""

from torch import nn

from segnext_pafpn.layers.foldable import Foldable, refuse_training


def fuse_layers(module: nn.Module) -> nn.Module:
    """Fold norms, LayerScale and RepConv branches in place, for inference; outputs stay the same.

    Raises:
        RuntimeError: in training mode, where a BatchNorm's statistics are still those of the batch.
    """
    refuse_training(module)
    for layer in list(module.modules()):
        if isinstance(layer, Foldable):
            layer.fuse()
    return module
