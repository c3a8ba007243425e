"""PAFPNeXt: encoder -> PAFPN -> fusing head -> per-pixel logits, as a model of segmentation_models_pytorch."""

from collections.abc import Sequence
from typing import Any

import torch
from segmentation_models_pytorch.base import ClassificationHead
from segmentation_models_pytorch.base.hub_mixin import supports_config_loading
from segmentation_models_pytorch.base.modules import Activation
from torch import nn

from segnext_pafpn.layers import PointwiseConv2d, fuse_layers
from segnext_pafpn.models.any_size import AnySizeModel
from segnext_pafpn.models.encoder import build_encoder
from segnext_pafpn.models.head import FuseHead
from segnext_pafpn.models.number_checks import NUMPY_CODERS, check_counts, check_dilations, check_odd, check_share
from segnext_pafpn.models.pafpn import PAFPN


class PAFPNDecoder(nn.Module):
    """The encoder's features ``[x, f1, .., f_depth]`` to the one map that classes are read from.

    Args:
        levels: indices of the features that enter the pyramid, finest first.
    """

    def __init__(self, neck: PAFPN, head: FuseHead, levels: Sequence[int]):
        super().__init__()
        self.neck = neck
        self.head = head
        self.levels = list(levels)

    def pyramid(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """The neck's outputs, finest first."""
        return self.neck([features[i] for i in self.levels])

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        return self.head(self.pyramid(features))


class PAFPNeXt(AnySizeModel, coders=NUMPY_CODERS):
    """ELANeXt (or any smp encoder) with a dilated SPPCSPC, a PAFPN and a head that fuses n3-n5 with stride 4.

    ``forward`` takes normalised floats ``(B, in_channels, H, W)`` of any H and W and returns logits
    ``(B, classes, H, W)``. Sides that the encoder's stride does not divide are padded by repeating the
    border, and the logits cropped back.

    Args:
        encoder_name: an encoder of smp, ``elanext_*`` among them, or of timm as ``tu-<name>``.
        encoder_depth: 3 to 5 levels; the pyramid takes the last four that have channels.
        encoder_weights: None for random initialisation, or the name of pretrained weights.
        decoder_channels: width of the pyramid.
        decoder_depth: ConvNeXt blocks per ELAN chain in the pyramid.
        decoder_kernel_size: side of the pyramid's depthwise convolutions.
        decoder_expansion: hidden width of the pyramid's blocks over their channels.
        decoder_dilations: of SPPCSPC's 3x3 convolutions.
        decoder_norm: ``batch``, ``layer`` or ``group``, for the pyramid.
        head_channels: width of the fused map.
        head_dropout: dropout of whole channels before the classifier.
        in_channels: image channels.
        classes: K, logits per pixel.
        activation: smp's name of an activation of the full-size logits, or None.
        auxiliary_heads: also learn from n3, n4 and n5 alone, see :meth:`forward_auxiliary`.
        aux_params: smp's classification head on the deepest features, or None.
        kwargs: for the encoder (timm's ``tu-`` encoders only, as everywhere in smp).

    Raises:
        ValueError: if the encoder has fewer than three usable levels, or no such weights; for a number that cannot be.
        TypeError: for an argument that nobody takes.
    """

    @supports_config_loading
    def __init__(
        self,
        encoder_name: str = "elanext_tiny",
        encoder_depth: int = 5,
        encoder_weights: str | None = None,
        decoder_channels: int = 64,
        decoder_depth: int = 1,
        decoder_kernel_size: int = 7,
        decoder_expansion: int = 4,
        decoder_dilations: Sequence[int] = (3, 4, 6),
        decoder_norm: str = "batch",
        head_channels: int = 128,
        head_dropout: float = 0.1,
        in_channels: int = 3,
        classes: int = 1,
        activation: str | None = None,
        auxiliary_heads: bool = False,
        aux_params: dict | None = None,
        **kwargs: Any,
    ):
        super().__init__()
        check_counts(
            {
                "decoder_channels": decoder_channels,
                "decoder_depth": decoder_depth,
                "decoder_expansion": decoder_expansion,
                "head_channels": head_channels,
                "in_channels": in_channels,
                "classes": classes,
            }
        )
        check_odd("decoder_kernel_size", decoder_kernel_size)
        check_dilations("decoder_dilations", decoder_dilations)
        check_share("head_dropout", head_dropout)
        if kwargs.get("output_stride", 32) != 32:
            raise ValueError(
                f"output_stride: found {kwargs['output_stride']!r}, expected 32, since PAFPNeXt's pyramid halves from "
                f"level to level. SegNeXt takes 8 and 16 too."
            )
        self.encoder = build_encoder(encoder_name, in_channels, encoder_depth, encoder_weights, **kwargs)
        widths = self.encoder.out_channels
        levels = [i for i in range(1, len(widths)) if widths[i] > 0][-4:]
        if len(levels) < 3:
            raise ValueError(
                f"PAFPNeXt needs three feature levels; '{encoder_name}' at encoder_depth={encoder_depth} "
                f"has {len(levels)}. Raise encoder_depth."
            )
        neck = PAFPN(
            [widths[i] for i in levels],
            channels=decoder_channels,
            depth=decoder_depth,
            kernel_size=int(decoder_kernel_size),
            expansion=decoder_expansion,
            dilations=decoder_dilations,
            norm=decoder_norm,
        )
        head = FuseHead([decoder_channels] * len(levels), channels=head_channels, dropout=head_dropout)
        self.decoder = PAFPNDecoder(neck, head, levels)
        self.segmentation_head = nn.Sequential(PointwiseConv2d(head_channels, classes))
        self.activation = Activation(activation)
        self.auxiliary_heads = nn.ModuleList(
            PointwiseConv2d(decoder_channels, classes) for _ in range(3 if auxiliary_heads else 0)
        )
        self.classification_head = (
            None if aux_params is None else ClassificationHead(in_channels=widths[-1], **aux_params)
        )
        self.name = f"pafpnext-{encoder_name}"  # initial weights are PyTorch's own; smp's learn worse, docs/ablation.md

    def forward_auxiliary(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Logits, and beside them the logits of n3, n4 and n5 alone, all ``(B, classes, H, W)``; for training.

        Raises:
            RuntimeError: for a network without auxiliary heads.
        """
        if len(self.auxiliary_heads) == 0:
            raise RuntimeError("PAFPNeXt was built without auxiliary heads; build it with auxiliary_heads=True.")
        features = self.encoder(self._pad(x))
        pyramid = self.decoder.pyramid(features)
        logits = self._resize(self.segmentation_head(self.decoder.head(pyramid)), x)
        heads = zip(self.auxiliary_heads, pyramid[-3:], strict=True)
        return logits, [self._resize(head(level), x) for head, level in heads]

    def fuse(self) -> "PAFPNeXt":
        """Fold norms and RepConv branches in place for inference; the outputs stay the same.

        Raises:
            RuntimeError: in training mode.
        """
        return fuse_layers(self)
