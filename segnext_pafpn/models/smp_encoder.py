"""ELANeXt as an encoder of segmentation_models_pytorch."""

import torch
from segmentation_models_pytorch.encoders import encoders
from segmentation_models_pytorch.encoders._base import EncoderMixin

from segnext_pafpn.models.elanext import ELANEXT_VARIANTS, ELANeXt


class ELANeXtEncoder(ELANeXt, EncoderMixin):
    """Image ``(B, C, H, W)`` to ``[x, f1, .., f_depth]``, f_i at stride ``2**i`` (smp's encoder contract).

    Raises:
        ValueError: for a depth outside 3 to 5.
    """

    def __init__(self, depth: int = 5, output_stride: int = 32, **kwargs):
        if depth not in (3, 4, 5):
            raise ValueError(f"ELANeXt encoders have a depth of 3, 4 or 5, found {depth}.")
        super().__init__(num_classes=0, output_stride=output_stride, **kwargs)
        del self.head
        del self.stages[depth - 1 :]
        self._depth = depth
        self._in_channels = 3
        self._output_stride = output_stride
        self._out_channels = [3] + [info["num_chs"] for info in self.feature_info]

    def make_dilated(self, output_stride: int) -> None:
        """Nothing to do: the constructor already built the encoder at its ``output_stride``.

        Raises:
            ValueError: for another output stride than that.
        """
        if output_stride != self._output_stride:
            raise ValueError(
                f"The encoder was built for output_stride={self._output_stride}; for {output_stride} build another."
            )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x] + self.forward_levels(x)


class _NoPretrainedWeights(dict):
    """smp's table of pretrained weights for an encoder that has none: says so instead of raising a bare KeyError."""

    def __init__(self, encoder_name: str):
        super().__init__()
        self.encoder_name = encoder_name

    def __contains__(self, weights: object) -> bool:
        raise ValueError(
            f"encoder_weights={weights!r}: '{self.encoder_name}' has no pretrained weights yet. "
            f"Pass encoder_weights=None to train from scratch."
        )


def register_encoders() -> None:
    """Make every ELANeXt variant known to smp under its name."""
    for name, variant in ELANEXT_VARIANTS.items():
        encoders[name] = {
            "encoder": ELANeXtEncoder,
            "pretrained_settings": _NoPretrainedWeights(name),
            "params": variant,
        }
