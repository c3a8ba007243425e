"""An encoder of smp or timm for a pyramid, or one line that says why it is none."""

from functools import partial
from typing import Any

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from segnext_pafpn.errors import UserError


def build_encoder(name: str, in_channels: int, depth: int, weights: str | None, **kwargs: Any) -> nn.Module:
    """smp's encoder: image ``(B, in_channels, H, W)`` to ``[x, f1, .., f_depth]``, f_i at stride ``2**i``.

    One of timm that takes images of one size alone says so where it meets another.

    Args:
        kwargs: of timm's network.

    Raises:
        ValueError: for a network of timm whose levels do not halve from one to the next.
    """
    try:
        encoder = get_encoder(name, in_channels=in_channels, depth=depth, weights=weights, **kwargs)
    except ValueError as error:
        if "downsampling pattern" not in str(error):
            raise
        raise ValueError(
            f"'{name}' has no pyramid of levels at strides 4, 8, 16 and 32, as plain vision transformers have none. "
            f"Choose an encoder that has one, such as tu-convnext_tiny or mit_b0."
        ) from error
    for module in encoder.modules():
        if getattr(module, "strict_img_size", False) and module.img_size is not None:
            encoder.register_forward_pre_hook(partial(_refuse_other_size, name, tuple(module.img_size)))
            break
    return encoder


def _refuse_other_size(name: str, size: tuple[int, int], encoder: nn.Module, inputs: tuple[torch.Tensor]) -> None:
    height, width = inputs[0].shape[-2:]
    if (height, width) != size:
        raise UserError(
            f"encoder '{name}' takes images of {size[0]}x{size[1]} alone, found {height}x{width} (height x width, "
            f"padded to the encoder's stride). Give the network img_size=({height}, {width}), as with --model.options "
            f'"{{img_size: [{height}, {width}]}}", or strict_img_size=False for any size where timm\'s has it.'
        )
