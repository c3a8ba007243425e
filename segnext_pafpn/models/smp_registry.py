"""Makes our encoders and networks known to segmentation_models_pytorch."""

import segmentation_models_pytorch as smp

from segnext_pafpn.models.article_segmentor import ArticleNet
from segnext_pafpn.models.segmentor import PAFPNeXt
from segnext_pafpn.models.segnext import SegNeXt
from segnext_pafpn.models.smp_encoder import register_encoders

ARCHITECTURES = {"pafpnext": PAFPNeXt, "segnext": SegNeXt, "article": ArticleNet}


def register_with_smp() -> None:
    """Let ``smp.create_model``, ``smp.from_pretrained`` and ``smp.encoders.get_encoder`` find what is ours."""
    register_encoders()
    for name, architecture in ARCHITECTURES.items():
        setattr(smp, architecture.__name__, architecture)
        smp.MODEL_ARCHITECTURES_MAPPING[name] = architecture
