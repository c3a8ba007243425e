"""The networks. Importing this package registers them with timm and segmentation_models_pytorch."""

from segnext_pafpn.models.article_segmentor import ArticleNet
from segnext_pafpn.models.elanext import ELANEXT_VARIANTS, ELANeXt
from segnext_pafpn.models.head import FuseHead
from segnext_pafpn.models.mscan import MSCAN, MSCAN_VARIANTS
from segnext_pafpn.models.mscan_checkpoint import load_official_mscan
from segnext_pafpn.models.pafpn import PAFPN
from segnext_pafpn.models.segmentor import PAFPNeXt
from segnext_pafpn.models.segnext import SegNeXt
from segnext_pafpn.models.smp_encoder import ArticleEncoder, ELANeXtEncoder, MSCANEncoder
from segnext_pafpn.models.smp_registry import register_with_smp

register_with_smp()

__all__ = [
    "ELANEXT_VARIANTS",
    "MSCAN",
    "MSCAN_VARIANTS",
    "PAFPN",
    "ArticleEncoder",
    "ArticleNet",
    "ELANeXt",
    "ELANeXtEncoder",
    "FuseHead",
    "MSCANEncoder",
    "PAFPNeXt",
    "SegNeXt",
    "load_official_mscan",
]
