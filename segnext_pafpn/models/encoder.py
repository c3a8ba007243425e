"""An encoder of smp or timm for a pyramid, or one line that says why it is none."""

from functools import partial
from typing import Any

import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder, get_encoder_names
from torch import nn

from segnext_pafpn.errors import UserError, nearest


def build_encoder(name: str, in_channels: int, depth: int, weights: str | None, **kwargs: Any) -> nn.Module:
    """smp's encoder: image ``(B, in_channels, H, W)`` to ``[x, f1, .., f_depth]``, f_i at stride ``2**i``.

    One of timm that takes images of one size alone says so where it meets another.

    Args:
        kwargs: of timm's network, for a name that begins with ``tu-``; smp has none for others.

    Raises:
        TypeError: for arguments that nobody takes.
        ValueError: for a name that neither smp nor timm has, or a network of timm whose levels do not halve from one
            to the next.
    """
    if kwargs and not name.startswith("tu-"):
        raise TypeError(f"encoder '{name}' takes no argument {', '.join(map(repr, kwargs))}, nor does the network.")
    try:
        encoder = get_encoder(name, in_channels=in_channels, depth=depth, weights=weights, **kwargs)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = _explain(name, str(error))
        if reason is None:
            raise
        raise ValueError(reason) from None  # smp's own line names all encoders
    for module in encoder.modules():
        if getattr(module, "strict_img_size", False) and module.img_size is not None:
            encoder.register_forward_pre_hook(partial(_refuse_other_size, name, tuple(module.img_size)))
            break
    return encoder


def unknown_encoder(name: str) -> str | None:
    """What to say of a name that neither smp nor timm has, with the nearest that is known; None for one they have."""
    if name.startswith("tu-"):
        timm_name = name.removeprefix("tu-")
        if timm.is_model(timm_name):
            return None
        return f"timm has no model '{timm_name}'.{nearest(timm_name, timm.list_models())}"
    known = get_encoder_names()
    if name in known:
        return None
    return (
        f"'{name}' is not an encoder of segnext_pafpn or smp.{nearest(name, known)} For a model of timm write tu-NAME."
    )


def _explain(name: str, message: str) -> str | None:
    """What smp's or timm's message means; None for one that says it by itself."""
    if (unknown := unknown_encoder(name)) is not None:
        return unknown
    if "downsampling pattern" in message:
        return (
            f"'{name}' has no pyramid of levels at strides 4, 8, 16 and 32, as plain vision transformers have none. "
            f"Choose an encoder that has one, such as tu-convnext_tiny or mit_b0."
        )
    return None


def _refuse_other_size(name: str, size: tuple[int, int], encoder: nn.Module, inputs: tuple[torch.Tensor]) -> None:
    height, width = inputs[0].shape[-2:]
    if (height, width) != size:
        raise UserError(
            f"encoder '{name}' takes images of {size[0]}x{size[1]} alone, found {height}x{width} (height x width, "
            f"padded to the encoder's stride). Give the network img_size=({height}, {width}), as with --model.options "
            f'"{{img_size: [{height}, {width}]}}", or strict_img_size=False for any size where timm\'s has it.'
        )
