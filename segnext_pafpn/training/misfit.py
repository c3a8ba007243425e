"""Whether a network can take the batches it is to be trained on, asked before anything is written."""

import copy

import torch
from torch import nn

from segnext_pafpn.data.datamodule import DataConfig
from segnext_pafpn.errors import UserError
from segnext_pafpn.models.factory import ModelConfig


def refuse_misfit(model: nn.Module, config: ModelConfig, data: DataConfig, channels: int = 3) -> None:
    """Pass a batch's shape through the network on the meta device, where nothing is computed.

    Catches what depends on sizes alone: encoders made for one size of image, BatchNorm over a single value.

    Raises:
        UserError: naming network, crop and batch.
    """
    network = copy.deepcopy(model).to("meta").train()
    height, width = data.crop_size
    if getattr(model, "requires_divisible_input_shape", False):
        stride = model.encoder.output_stride
        height, width = height + -height % stride, width + -width % stride
    try:
        network(torch.empty((data.batch_size, channels, height, width), device="meta"))
    except (AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"model: {config.arch} with encoder {config.encoder_name} cannot be trained on batches of "
            f"{data.batch_size} crops of {width}x{height} (width x height): {reason} "
            f"Change data.crop_size or data.batch_size, or give the encoder its size in model.options (img_size)."
        ) from error
    except (RuntimeError, NotImplementedError):
        return  # an operation that the meta device does not know says nothing about sizes
