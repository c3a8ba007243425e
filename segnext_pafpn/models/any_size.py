"""What lets a network of segmentation_models_pytorch take images of any size."""

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationModel


class AnySizeModel(SegmentationModel):
    """Pads images to the encoder's stride by repeating the border, and crops the logits back."""

    requires_divisible_input_shape = False

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
