"""Whether network and loss are for the batches of the run, asked before anything is written."""

import torch
from torch import nn
from torch.func import functional_call

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.any_size import required_stride
from segnext_pafpn.training.loss_config import LossConfig


def refuse_misfit(model: nn.Module, config: ModelConfig, data: DataConfig, channels: int) -> None:
    """Pass a batch's shape through the network on the meta device, where nothing is computed.

    Catches what depends on sizes alone: encoders made for one size of image, BatchNorm over a single value.

    Raises:
        UserError: naming network, crop and batch.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    stride = required_stride(model)
    height, width = (side + -side % stride for side in data.crop_size)
    try:
        functional_call(model.train(), shapes, torch.empty((data.batch_size, channels, height, width), device="meta"))
    except (AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"model: {config.arch} with encoder {config.encoder_name} cannot be trained on batches of "
            f"{data.batch_size} crops of {width}x{height} (width x height): {reason} "
            f"Change data.crop_size or data.batch_size, or give the encoder its size in model.options (img_size)."
        ) from error
    except RuntimeError:
        return  # an operation that the meta device does not know says nothing about sizes


def refuse_other_mode(loss: LossConfig, card: Card) -> None:
    """Ask whether the loss is for as many labels per pixel as the card has.

    Raises:
        UserError: naming the setting.
    """
    wanted = "sigmoid" if card.multi_label else "softmax"
    if loss.mode != wanted:
        why = "may be of several classes" if card.multi_label else "is of one class (no multi_label: true)"
        raise UserError(
            f"loss.mode: found {loss.mode}, but a pixel of card '{card.name}' {why}. Set --loss.mode {wanted}."
        )
    if card.multi_label and isinstance(loss.class_weights, str):
        raise UserError(
            f"loss.class_weights: '{loss.class_weights}' is for one class per pixel. Give a number for each class."
        )
