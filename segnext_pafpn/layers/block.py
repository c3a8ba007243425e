"""The blocks that an ELAN can be made of, by name."""

from torch import nn

from segnext_pafpn.layers.convnext import ConvNeXtBlock
from segnext_pafpn.layers.cspnext import CSPNeXtBlock
from segnext_pafpn.layers.one import One

BLOCKS = ("convnext", "cspnext", "one")


def build_block(
    name: str,
    channels: int,
    kernel_size: int | None = None,
    dilation: int = 1,
    norm: str = "batch",
    layer_scale: float | None = None,
    drop_path: float = 0.0,
    groups: int = 1,
    expansion: int | None = None,
) -> nn.Module:
    """Return the block called ``name``, ``(B, channels, H, W)`` to the same shape.

    Args:
        name: ``convnext`` (ConvNeXt's), ``cspnext`` (RTMDet's) or ``one`` (the published network's).
        kernel_size: side of the large kernel; None for the block's own: 7, and 5 for cspnext.
        layer_scale: initial LayerScale; convnext alone has one.
        drop_path: probability of stochastic depth; one has no shortcut and therefore none.
        groups: cardinality; channels of one group never see those of another.
        expansion: hidden width over ``channels``; None for the block's own: 4. cspnext has none.

    Raises:
        ValueError: for an unknown name, or an option that the block does not have.
    """
    options = dict(dilation=dilation, norm=norm, groups=groups)
    if kernel_size is not None:
        options["kernel_size"] = kernel_size
    if expansion is not None:
        options["expansion"] = expansion
    if name == "convnext":
        return ConvNeXtBlock(channels, layer_scale=layer_scale, drop_path=drop_path, **options)
    if name not in BLOCKS:
        raise ValueError(f"block: '{name}' is not known. Choose one of: {', '.join(BLOCKS)}.")
    if layer_scale is not None:
        raise ValueError(f"layer_scale={layer_scale}: block '{name}' has no LayerScale. Pass None.")
    if name == "cspnext":
        if expansion is not None:
            raise ValueError(f"expansion={expansion}: block '{name}' has no inverted bottleneck. Pass None.")
        return CSPNeXtBlock(channels, drop_path=drop_path, **options)
    if drop_path:
        raise ValueError(f"drop_path={drop_path}: block 'one' has no shortcut, so it cannot be dropped. Pass 0.")
    return One(channels, channels, **options)
