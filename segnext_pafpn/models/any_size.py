"""What our networks share: images of any size, padded for the encoder, and logits of the image's size."""

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationModel


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

    def _margin(self, x: torch.Tensor) -> tuple[int, int]:
        """Rows and columns missing to multiples of the encoder's stride."""
        stride = int(self.encoder.output_stride)  # TorchScript makes a float of smp's property
        return -x.shape[-2] % stride, -x.shape[-1] % stride

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        bottom, right = self._margin(x)
        return F.pad(x, [0, right, 0, bottom], mode="replicate")

    def _resize(self, logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Logits of any resolution, of the padded image, to the size of ``x``."""
        bottom, right = self._margin(x)
        size = (x.shape[-2] + bottom, x.shape[-1] + right)
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return F.pad(logits, [0, -right, 0, -bottom])  # slicing would tie torch.export to sizes that need cropping
