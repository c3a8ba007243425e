"""ArticleNet: the article network under a segmentation head, as a model of segmentation_models_pytorch."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import ClassificationHead, SegmentationHead
from segmentation_models_pytorch.base.hub_mixin import supports_config_loading
from segmentation_models_pytorch.base.initialization import initialize_head
from segmentation_models_pytorch.base.modules import Activation
from torch import nn

from segnext_pafpn.layers import fuse_layers
from segnext_pafpn.models.any_size import AnySizeModel
from segnext_pafpn.models.article import ArticlePAFPN
from segnext_pafpn.models.article_changes import with_batch_norm, with_convnext_blocks, with_folding_rep_conv
from segnext_pafpn.models.head import FuseHead
from segnext_pafpn.models.smp_encoder import QUARTER_WIDTH, ArticleEncoder


class ConcatHead(nn.Module):
    """Every level upsampled to the finest, side by side."""

    def __init__(self, in_channels: Sequence[int]):
        super().__init__()
        self.out_channels = sum(in_channels)

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        size = levels[0].shape[-2:]
        return torch.cat([F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in levels], dim=1)


class ArticleDecoder(nn.Module):
    """The encoder's features to the one map at stride 8 that classes are read from."""

    def __init__(self, neck: ArticlePAFPN, head: ConcatHead | FuseHead):
        super().__init__()
        self.neck = neck
        self.head = head

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        return self.head(self.neck(features[-3:]))


class ArticleNet(AnySizeModel):
    """Published backbone and PAFPN; n3, n4 and n5 concatenated at stride 8, from which a 1x1 reads the classes.

    Backbone and PAFPN begin with PyTorch's own initial weights, as published. ``norm``, ``rep``, ``block`` and
    ``head`` each change one thing towards :class:`~segnext_pafpn.models.PAFPNeXt`.

    ``forward`` takes normalised floats ``(B, in_channels, H, W)`` of any H and W and returns logits
    ``(B, classes, H, W)``; sides are padded to multiples of 32 by repeating the border, and the logits cropped back.

    Args:
        encoder_name: ``article``, the only one.
        encoder_weights: None; there are no pretrained weights.
        width: C1 to C4, the channels at strides 2, 4, 16 and 32; published are 128, 256, 512 and 1024.
        norm: ``layer`` as published, or ``batch``.
        rep: ``published``, or ``folding`` for our RepConv.
        block: ``one`` as published, a dense 7x7 kernel, or ``convnext`` for our ELAN and SPPCSPC.
        head: ``concat``, or ``sum`` for our FuseHead, at stride 8.
        in_channels: image channels.
        classes: K, logits per pixel.
        activation: smp's name of an activation of the full-size logits, or None.
        aux_params: smp's classification head on the deepest features, or None.

    Raises:
        ValueError: naming the argument that cannot be.
    """

    @supports_config_loading
    def __init__(
        self,
        encoder_name: str = "article",
        encoder_weights: str | None = None,
        width: Sequence[int] = QUARTER_WIDTH,
        norm: str = "layer",
        rep: str = "published",
        block: str = "one",
        head: str = "concat",
        in_channels: int = 3,
        classes: int = 1,
        activation: str | None = None,
        aux_params: dict | None = None,
    ):
        super().__init__()
        _check_choice("encoder_name", encoder_name, ("article",))
        _check_choice("norm", norm, ("layer", "batch"))
        _check_choice("rep", rep, ("published", "folding"))
        _check_choice("block", block, ("one", "convnext"))
        _check_choice("head", head, ("concat", "sum"))
        if encoder_weights is not None:
            raise ValueError(f"encoder_weights: the article network has no pretrained ones, found '{encoder_weights}'.")
        self.encoder = ArticleEncoder(width)
        self.encoder.set_in_channels(in_channels, pretrained=False)
        levels = [width[1]] * 3
        fusing = ConcatHead(levels) if head == "concat" else FuseHead(levels)
        self.decoder = ArticleDecoder(ArticlePAFPN(tuple(width)), fusing)
        for part in (self.encoder, self.decoder.neck):
            if rep == "folding":
                with_folding_rep_conv(part)
            if block == "convnext":
                with_convnext_blocks(part)
            if norm == "batch":
                with_batch_norm(part)
        self.segmentation_head = SegmentationHead(fusing.out_channels, classes, kernel_size=1)
        self.activation = Activation(activation)
        self.classification_head = None if aux_params is None else ClassificationHead(width[-1], **aux_params)
        self.name = "article"
        self.initialize()

    def initialize(self) -> None:
        """The heads as in every model of smp; backbone and PAFPN stay as PyTorch made them."""
        initialize_head(self.segmentation_head)
        if self.classification_head is not None:
            initialize_head(self.classification_head)

    def fuse(self) -> "ArticleNet":
        """Fold what folds, which of the published network is nothing; the outputs stay the same.

        Raises:
            RuntimeError: in training mode.
        """
        return fuse_layers(self)


def _check_choice(argument: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{argument}: ArticleNet takes {' or '.join(map(repr, known))}, found '{value}'.")
