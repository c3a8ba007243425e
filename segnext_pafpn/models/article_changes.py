"""The changes that lead from the article network to ours, each made on the published network's modules.

They are made after building, so that ``article.py`` reads as it was published.
"""

from collections.abc import Callable

from torch import nn

from segnext_pafpn.layers import ELAN, SPPCSPC, LayerNorm2d, RepConv
from segnext_pafpn.models.article import ArticleRepConv, Elan, Sppcspc


def with_folding_rep_conv(network: nn.Module) -> None:
    """Our RepConv in place of each published one, its 1x1 convolution and its Sigmoid."""
    _replace(network, ArticleRepConv, lambda rep: RepConv(rep.channels, rep.channels))


def with_convnext_blocks(network: nn.Module) -> None:
    """Our ELAN and SPPCSPC, of depthwise residual blocks, in place of the published ones, as wide inside as they."""
    _replace(
        network,
        Elan,
        lambda elan: ELAN(elan.in_channels, elan.out_channels, hidden_channels=elan.hidden_channels, norm="layer"),
    )
    _replace(
        network,
        Sppcspc,
        lambda spp: SPPCSPC(spp.in_channels, spp.out_channels, hidden_channels=spp.hidden_channels, norm="layer"),
    )


def with_batch_norm(network: nn.Module) -> None:
    """BatchNorm in place of every LayerNorm; so to be the last change."""
    _replace(network, LayerNorm2d, lambda norm: nn.BatchNorm2d(norm.normalized_shape[0]))


def _replace(network: nn.Module, kind: type[nn.Module], build: Callable[[nn.Module], nn.Module]) -> None:
    for name, child in network.named_children():
        if isinstance(child, kind):
            setattr(network, name, build(child))
        else:
            _replace(child, kind, build)
