"""Images of any size: what our networks share to take them, and what other networks need around them."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationModel
from torch import nn

from segnext_pafpn.models.refusals import refuse_fused

Logits = torch.Tensor | tuple[torch.Tensor, ...]


def required_stride(model: nn.Module) -> int:
    """What an image's sides must be multiples of; 1 for a network that pads by itself."""
    return int(model.encoder.output_stride) if getattr(model, "requires_divisible_input_shape", False) else 1


def padded_logits(run: Callable[[torch.Tensor], Logits], x: torch.Tensor, stride: int) -> torch.Tensor:
    """Images (B, C, H, W) to logits (B, K, H, W) by a network that needs sides divisible by ``stride``.

    Of a network with a second head, for the label of the whole image, the first output.
    """
    height, width = x.shape[-2:]
    if stride > 1:
        x = F.pad(x, [0, _missing(width, stride), 0, _missing(height, stride)], mode="replicate")
    logits = run(x)
    return (logits[0] if isinstance(logits, tuple) else logits)[..., :height, :width]


def _missing(side: int, stride: int) -> int:
    """To the next multiple. torch.compile cannot generate code for ``-side % stride`` where sizes change."""
    return (side + stride - 1) // stride * stride - side


class AnySizeModel(SegmentationModel):
    """Pads images to the encoder's stride by repeating the border, and crops the logits back.

    A network has smp's ``encoder``, ``decoder``, ``segmentation_head`` and ``classification_head`` (or None), and
    as ``activation`` that of the full-size logits.
    """

    requires_divisible_input_shape = False

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """``(B, in_channels, H, W)`` to logits ``(B, classes, H, W)``; with ``aux_params`` also image labels."""
        features = self.encoder(self._pad(x))
        logits = self.activation(self._resize(self.segmentation_head(self.decoder(features)), x))
        if self.classification_head is not None:
            return logits, self.classification_head(features[-1])
        return logits

    def save_pretrained(self, *args: Any, **kwargs: Any) -> str | None:
        """smp's, into a folder that ``smp.from_pretrained`` reads.

        Raises:
            RuntimeError: for a fused network, whose weights no network that is built anew could take.
        """
        refuse_fused(self)
        return super().save_pretrained(*args, **kwargs)

    def _margin(self, x: torch.Tensor) -> tuple[int, int]:
        """Rows and columns missing to multiples of the encoder's stride."""
        stride = int(self.encoder.output_stride)  # TorchScript makes a float of smp's property
        return _missing(x.shape[-2], stride), _missing(x.shape[-1], stride)

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        bottom, right = self._margin(x)
        if not torch.jit.is_scripting() and self._is_whole(bottom, right):
            return x
        return F.pad(x, [0, right, 0, bottom], mode="replicate")

    @torch.jit.unused
    def _is_whole(self, bottom: int, right: int) -> bool:
        """Whether nothing is missing, so that no pixel need be copied; a graph for all sizes never says so."""
        is_graph = torch.jit.is_tracing() or torch.compiler.is_compiling() or not isinstance(bottom, int)
        return not is_graph and bottom == right == 0

    def _resize(self, logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Logits of any resolution, of the padded image, to the size of ``x``."""
        bottom, right = self._margin(x)
        size = (x.shape[-2] + bottom, x.shape[-1] + right)
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        if not torch.jit.is_scripting() and self._is_whole(bottom, right):
            return logits
        return F.pad(logits, [0, -right, 0, -bottom])  # slicing would tie torch.export to sizes that need cropping
