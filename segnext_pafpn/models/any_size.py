"""What lets a network of segmentation_models_pytorch take images of any size."""

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationModel


class AnySizeModel(SegmentationModel):
    """Pads images to the encoder's stride by repeating the border, and crops the logits back."""

    requires_divisible_input_shape = False

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        stride = self.encoder.output_stride
        height, width = x.shape[-2:]
        return F.pad(x, [0, -width % stride, 0, -height % stride], mode="replicate")

    def _resize(self, logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Logits of any resolution, of the padded image, to the size of ``x``."""
        stride = self.encoder.output_stride
        height, width = x.shape[-2:]
        size = (height + -height % stride, width + -width % stride)
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return logits[..., :height, :width]
