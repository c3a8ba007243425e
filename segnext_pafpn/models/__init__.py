"""The networks. Importing this package registers them with timm and segmentation_models_pytorch."""

from segnext_pafpn.models.article_segmentor import ArticleEncoder, ArticleNet, register_article
from segnext_pafpn.models.elanext import ELANEXT_VARIANTS, ELANeXt
from segnext_pafpn.models.head import FuseHead
from segnext_pafpn.models.pafpn import PAFPN
from segnext_pafpn.models.segmentor import PAFPNeXt, register_model
from segnext_pafpn.models.smp_encoder import ELANeXtEncoder, register_encoders

register_encoders()
register_model()
register_article()

__all__ = [
    "ELANEXT_VARIANTS",
    "PAFPN",
    "ArticleEncoder",
    "ArticleNet",
    "ELANeXt",
    "ELANeXtEncoder",
    "FuseHead",
    "PAFPNeXt",
]
