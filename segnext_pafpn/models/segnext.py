"""SegNeXt (arXiv 2209.08575): MSCAN, or any other encoder, and the Hamburger decoder, as a model of smp."""

from typing import Any

from segmentation_models_pytorch.base import ClassificationHead, SegmentationHead
from segmentation_models_pytorch.base.hub_mixin import supports_config_loading
from segmentation_models_pytorch.base.modules import Activation

from segnext_pafpn.models.any_size import AnySizeModel
from segnext_pafpn.models.encoder import build_encoder
from segnext_pafpn.models.hamburger import HamburgerDecoder
from segnext_pafpn.models.number_checks import NUMPY_CODERS, check_counts, check_share


class SegNeXt(AnySizeModel, coders=NUMPY_CODERS):
    """Encoder features of strides 8, 16 and 32 -> Hamburger at stride 8 -> per-pixel logits.

    ``forward`` takes normalised floats ``(B, in_channels, H, W)`` of any H and W and returns logits
    ``(B, classes, H, W)``. The paper's sizes: ``mscan_tiny`` and ``mscan_small`` with ``decoder_channels=256``,
    ``mscan_base`` with 512, ``mscan_large`` with 1024; its recipes for ADE20K take ``decoder_rank=16`` for
    tiny and small.

    Args:
        encoder_name: ``mscan_*``, another encoder of smp, or one of timm as ``tu-<name>``.
        encoder_depth: 5 for the paper's three levels; 4 and 3 leave out strides 32 and 16.
        encoder_weights: None for random initialisation, or the name of pretrained weights.
        decoder_channels: width of the decoder.
        decoder_rank: of the factorisation in Hamburger.
        decoder_dropout: dropout of whole channels before the classifier.
        in_channels: image channels.
        classes: K, logits per pixel.
        activation: smp's name of an activation of the full-size logits, or None.
        aux_params: smp's classification head on the deepest features, or None.
        kwargs: for the encoder (timm's ``tu-`` encoders only, as everywhere in smp).

    Raises:
        ValueError: if the encoder has no features at one of the strides, or no such weights; for a number that cannot
            be.
        TypeError: for an argument that nobody takes.
    """

    _is_torch_scriptable = False  # Hamburger leaves autocast for the device at hand, which TorchScript cannot say

    @supports_config_loading
    def __init__(
        self,
        encoder_name: str = "mscan_tiny",
        encoder_depth: int = 5,
        encoder_weights: str | None = None,
        decoder_channels: int = 256,
        decoder_rank: int = 64,
        decoder_dropout: float = 0.1,
        in_channels: int = 3,
        classes: int = 1,
        activation: str | None = None,
        aux_params: dict | None = None,
        **kwargs: Any,
    ):
        super().__init__()
        check_counts(
            {
                "decoder_channels": decoder_channels,
                "decoder_rank": decoder_rank,
                "in_channels": in_channels,
                "classes": classes,
            }
        )
        check_share("decoder_dropout", decoder_dropout)
        self.encoder = build_encoder(encoder_name, in_channels, encoder_depth, encoder_weights, **kwargs)
        widths = self.encoder.out_channels
        levels = range(3, len(widths))  # feature i has stride 2^i
        if not levels or not all(widths[i] > 0 for i in levels):
            raise ValueError(
                f"SegNeXt needs features at strides 8, 16 and 32; '{encoder_name}' at encoder_depth={encoder_depth} "
                f"has channels {list(widths)} at strides 1, 2, 4, ... Use encoder_depth=5 or another encoder."
            )
        self.decoder = HamburgerDecoder(
            [widths[i] for i in levels], levels, decoder_channels, rank=decoder_rank, dropout=decoder_dropout
        )
        self.segmentation_head = SegmentationHead(decoder_channels, classes, kernel_size=1)
        self.activation = Activation(activation)
        self.classification_head = (
            None if aux_params is None else ClassificationHead(in_channels=widths[-1], **aux_params)
        )
        self.name = f"segnext-{encoder_name}"
        self.initialize()
