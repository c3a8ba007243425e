"""An image classifier from its configuration: ELANeXt with its head, or any model of timm."""

from dataclasses import dataclass, field
from typing import Any

import timm
from torch import nn

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.models.elanext import ELANEXT_VARIANTS
from segnext_pafpn.models.mscan import MSCAN_VARIANTS


@dataclass(kw_only=True)
class ClassifierConfig:
    """Which network.

    Args:
        name: elanext_nano to _base, mscan_tiny to _large, or any model of timm.
        drop_path_rate: stochastic depth of the last block, or null for the model's own.
        options: further arguments of the model, by their names in timm.
    """

    name: str = "elanext_tiny"
    drop_path_rate: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


def encoder_name(name: str) -> str:
    """What the encoder of timm's model ``name`` is called as ``model.encoder_name`` of a segmentor."""
    return name if name in (*ELANEXT_VARIANTS, *MSCAN_VARIANTS) else f"tu-{name}"


def build_classifier(config: ClassifierConfig, num_classes: int) -> nn.Module:
    """Build the network, ``(B, 3, H, W)`` to logits ``(B, num_classes)``, from random weights.

    Raises:
        UserError: naming an unknown model or option.
    """
    if not timm.is_model(config.name):
        hint = nearest(config.name, timm.list_models())
        raise UserError(f"model.name: neither segnext_pafpn nor timm has a model '{config.name}'.{hint}")
    if config.drop_path_rate is not None and not 0 <= config.drop_path_rate < 1:
        raise UserError(f"model.drop_path_rate: expected 0 or more and less than 1, found {config.drop_path_rate}.")
    fixed = ("num_classes", "in_chans", "pretrained", "checkpoint_path", "features_only", "drop_path_rate")
    for name in config.options:
        if name in fixed:
            raise UserError(
                f"model.options.{name}: is not set here: the classes are the data's folders, pictures have 3 channels, "
                f"weights to start from stand in weights, and drop_path_rate in model."
            )
    try:
        return timm.create_model(
            config.name, num_classes=num_classes, drop_path_rate=config.drop_path_rate, **config.options
        )
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        raise UserError(f"model: timm cannot build {config.name}: {' '.join(str(error).split())}") from error
