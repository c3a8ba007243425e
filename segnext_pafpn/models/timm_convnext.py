"""timm's ConvNeXt (arXiv 2201.03545): fetched or read from a file, and its weights under the names of our layers."""

from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from timm.models.convnext import ConvNeXt, ConvNeXtBlock, ConvNeXtStage, checkpoint_filter_fn
from torch import nn

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.models.download import quiet_download

# of a block: our names, and timm's
BLOCK_NAMES = {"dw": "conv_dw", "norm": "norm", "pw1": "mlp.fc1", "pw2": "mlp.fc2", "gamma": "gamma"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A ConvNeXt block or downsampling with its weights.

    Args:
        kind: parts of equal kind fit each other, e.g. ``block 384 (7x7)`` or ``downsampling 192-384 (2x2)``.
        weights: tensors by their names in our layer.
        names: for each of these, its name in the network that it is of.
    """

    kind: str
    weights: dict[str, torch.Tensor]
    names: dict[str, str]


def block_kind(dw: nn.Conv2d) -> str:
    """The kind of a block, from its depthwise convolution."""
    return f"block {dw.out_channels} ({dw.kernel_size[0]}x{dw.kernel_size[1]})"


def downsample_kind(conv: nn.Conv2d) -> str:
    """The kind of a downsampling, from its convolution."""
    return f"downsampling {conv.in_channels}-{conv.out_channels} ({conv.kernel_size[0]}x{conv.kernel_size[1]})"


def convnext_parts(network: nn.Module) -> list[Part]:
    """All of timm's ConvNeXt blocks and downsamplings within ``network``, first ones first."""
    parts = []
    for name, module in network.named_modules():
        if isinstance(module, ConvNeXtStage) and isinstance(module.downsample, nn.Sequential):
            weights = {key: value.detach() for key, value in module.downsample.named_parameters()}
            names = {key: f"{name}.downsample.{key}" for key in weights}
            parts.append(Part(kind=downsample_kind(module.downsample[1]), weights=weights, names=names))
        elif isinstance(module, ConvNeXtBlock):
            weights, names = {}, {}
            for key, value in module.named_parameters():
                ours = next(key.replace(theirs, own) for own, theirs in BLOCK_NAMES.items() if key.startswith(theirs))
                # timm's 1x1s may be linear layers
                weights[ours] = value.detach()[..., None, None] if value.ndim == 2 else value.detach()
                names[ours] = f"{name}.{key}"
            parts.append(Part(kind=block_kind(module.conv_dw), weights=weights, names=names))
    return parts


def load_convnext(source: str) -> ConvNeXt:
    """The ConvNeXt that ``timm:NAME`` or ``timm:NAME@FILE`` names, with its weights.

    Raises:
        UserError: for an unknown or unfit name, and weights that cannot be fetched or read.
    """
    name, _, file = source.removeprefix("timm:").partition("@")
    if not timm.is_model(name):
        known = timm.list_models("convnext_*")
        raise UserError(f"model.init_from: timm has no model '{name}'.{nearest(name, known)} Try timm:convnext_pico.")
    try:
        with quiet_download():
            network = timm.create_model(name, pretrained=not file)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"model.init_from: the weights of timm:{name} cannot be fetched: {_reason(error)}. Connect to the network, "
            f"or give a file of them: timm:{name}@FILE.safetensors."
        ) from error
    if not isinstance(network, ConvNeXt) or not all(map(_is_plain, network.modules())):
        raise UserError(
            f"model.init_from: timm:{name}: a {type(network).__name__} that is not made of ConvNeXt's blocks with "
            f"LayerNorm, the only ones that can be taken over. Try timm:convnext_pico."
        )
    if file:
        _load_file(network, name, Path(file))
    return network


def _is_plain(module: nn.Module) -> bool:
    """Whether a block has all that ours has, and nothing else: no GRN (ConvNeXt-V2), no RMSNorm."""
    return not isinstance(module, ConvNeXtBlock) or (hasattr(module.norm, "bias") and not hasattr(module.mlp, "grn"))


def _load_file(network: ConvNeXt, name: str, file: Path) -> None:
    if not file.is_file():
        raise UserError(f"model.init_from: {file}: no such file. Give the weights of timm's {name}.")
    try:
        state = checkpoint_filter_fn(timm.models.load_state_dict(str(file), weights_only=True), network)
        own = network.state_dict()
        state = {key: value for key, value in state.items() if key.startswith("stages.")}
        missing = [key for key in own if key.startswith("stages.") and key not in state]
        if missing:
            raise KeyError(f"{len(missing)} tensors are missing, {missing[0]} among them")
        network.load_state_dict({**own, **state})
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(
            f"model.init_from: {file}: not the weights of timm's {name}: {_reason(error)}. Name the network that "
            f"the file is of."
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())[:200].rstrip(".")
