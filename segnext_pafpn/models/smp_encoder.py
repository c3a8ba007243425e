"""ELANeXt, MSCAN and the article backbone as encoders of segmentation_models_pytorch."""

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.encoders import encoders
from segmentation_models_pytorch.encoders._base import EncoderMixin

from segnext_pafpn.models.article import ArticleBackbone, Width
from segnext_pafpn.models.elanext import ELANEXT_VARIANTS, ELANeXt
from segnext_pafpn.models.mscan import MSCAN, MSCAN_VARIANTS
from segnext_pafpn.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD

QUARTER_WIDTH: Width = (32, 64, 128, 256)


class _Declared(EncoderMixin):
    """Says of itself what smp's encoders say."""

    def _declare(self, depth: int, output_stride: int, widths: Sequence[int]) -> None:
        self._depth = depth
        self._in_channels = 3
        self._output_stride = output_stride
        self._out_channels = [3, *widths]


class _BuiltDilated(_Declared):
    """What ELANeXt and MSCAN share: they are built at their output stride, and have 3 to 5 levels."""

    def make_dilated(self, output_stride: int) -> None:
        """Nothing to do: the constructor already built the encoder at its ``output_stride``.

        Raises:
            ValueError: for another output stride than that.
        """
        if output_stride != self._output_stride:
            raise ValueError(
                f"The encoder was built for output_stride={self._output_stride}; for {output_stride} build another."
            )


class ELANeXtEncoder(ELANeXt, _BuiltDilated):
    """Image ``(B, C, H, W)`` to ``[x, f1, .., f_depth]``, f_i at stride ``2**i`` (smp's encoder contract).

    Raises:
        ValueError: for a depth outside 3 to 5.
    """

    def __init__(self, depth: int = 5, output_stride: int = 32, **kwargs):
        _check_depth("ELANeXt", depth)
        super().__init__(num_classes=0, output_stride=output_stride, **kwargs)
        del self.head
        self._keep_levels(depth)
        self._declare(depth, output_stride, [info["num_chs"] for info in self.feature_info])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x] + self.forward_levels(x)


class MSCANEncoder(MSCAN, _BuiltDilated):
    """Image ``(B, C, H, W)`` to ``[x, f1, .., f_depth]``, f_i at stride ``2**i`` (smp's encoder contract).

    The stem goes from the image to stride 4 at once, so that f1 has no channels: ``(B, 0, H/2, W/2)``, as
    smp's own encoders of that kind have it.

    Raises:
        ValueError: for a depth outside 3 to 5.
    """

    def __init__(self, depth: int = 5, output_stride: int = 32, **kwargs):
        _check_depth("MSCAN", depth)
        super().__init__(num_classes=0, output_stride=output_stride, **kwargs)
        del self.head
        self._keep_levels(depth - 1)
        self._declare(depth, output_stride, [0] + [info["num_chs"] for info in self.feature_info])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        batch, _, height, width = x.shape
        nothing = torch.empty([batch, 0, height // 2, width // 2], dtype=x.dtype, device=x.device)
        return [x, nothing] + self.forward_levels(x)


class ArticleEncoder(ArticleBackbone, _Declared):
    """The published backbone in smp's form: image to ``[x, x2, x4, c3, c4, c5]``, C1, C2, C2, C3, C4 wide.

    Raises:
        ValueError: for a depth other than 5, an output stride other than 32, or a width that cannot be.
    """

    def __init__(self, width: Sequence[int] = QUARTER_WIDTH, depth: int = 5, output_stride: int = 32):
        if (depth, output_stride) != (5, 32):
            raise ValueError(
                f"The article encoder has a depth of 5 and an output stride of 32, found {depth} and {output_stride}."
            )
        if len(width) != 4 or any(w < 2 or w % 2 for w in width):
            raise ValueError(f"width: expected four even numbers, the channels C1 to C4, found {list(width)}.")
        super().__init__(tuple(width))
        self._declare(depth, output_stride, [width[0], width[1], *width[1:]])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, *self.forward_levels(x)]


def _check_depth(name: str, depth: int) -> None:
    if depth not in (3, 4, 5):
        raise ValueError(f"{name} encoders have a depth of 3, 4 or 5, found {depth}.")


class _NoPretrainedWeights(dict):
    """smp's table of pretrained weights for an encoder that has none: says so instead of raising a bare KeyError.

    smp asks for the table itself when it builds the encoder, and for its keys when it looks for preprocessing, which it
    knows of pretrained weights alone.
    """

    def __init__(self, encoder_name: str):
        super().__init__()
        self.encoder_name = encoder_name

    def __contains__(self, weights: object) -> bool:
        raise ValueError(
            f"encoder_weights={weights!r}: '{self.encoder_name}' has no pretrained weights yet. "
            f"Pass encoder_weights=None to train from scratch."
        )

    def keys(self) -> "_NoPreprocessing":
        return _NoPreprocessing(self.encoder_name)


class _NoPreprocessing(tuple):
    """The keys of that table, in which smp finds no preprocessing."""

    def __new__(cls, encoder_name: str) -> "_NoPreprocessing":
        keys = super().__new__(cls)
        keys.encoder_name = encoder_name
        return keys

    def __contains__(self, weights: object) -> bool:
        raise ValueError(
            f"'{self.encoder_name}' has no pretrained weights, and so no preprocessing that smp knows. Take that of "
            f"its training, or ImageNet's: (image / 255 - mean) / std, mean {IMAGENET_MEAN}, std {IMAGENET_STD}."
        )


def register_encoders() -> None:
    """Make every variant of ELANeXt and MSCAN known to smp under its name, and the article backbone as ``article``."""
    for encoder, variants in ((ELANeXtEncoder, ELANEXT_VARIANTS), (MSCANEncoder, MSCAN_VARIANTS)):
        for name, variant in variants.items():
            encoders[name] = {
                "encoder": encoder,
                "pretrained_settings": _NoPretrainedWeights(name),
                "params": variant,
            }
    encoders["article"] = {
        "encoder": ArticleEncoder,
        "pretrained_settings": _NoPretrainedWeights("article"),
        "params": {"width": QUARTER_WIDTH},
    }
