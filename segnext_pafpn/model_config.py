"""Which network: beside ``models/``, which imports torch, so that the command line can do without until it computes."""

from dataclasses import dataclass, field
from typing import Any

from segnext_pafpn.files import expand_home


@dataclass(kw_only=True)
class ModelConfig:
    """Which network.

    Args:
        arch: decoder: pafpnext, segnext, or one of smp's (unet, fpn, deeplabv3plus, upernet, segformer, ...).
        encoder_name: elanext_nano to _base, mscan_tiny to _large, an encoder of smp, or one of timm as tu-NAME.
        encoder_weights: pretrained weights by name (imagenet), or null to train from scratch.
        init_from: weights that the encoder starts from where they fit: timm:convnext_pico (or another ConvNeXt of
            timm, fetched by it), timm:NAME@FILE.safetensors, or the folder of a run; null for none.
        options: further arguments of the architecture, by their names in its documentation.
    """

    arch: str = "pafpnext"
    encoder_name: str = "elanext_tiny"
    encoder_weights: str | None = None
    init_from: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.init_from = None if self.init_from is None else expand_home(str(self.init_from))
