"""Semantic segmentation with ELANeXt, a ConvNeXt-style ELAN encoder, and a PAFPN decoder.

Importing this package registers its networks with timm and segmentation_models_pytorch.
"""

from segnext_pafpn.errors import UserError
from segnext_pafpn.models import ELANeXt, ELANeXtEncoder, PAFPNeXt

__version__ = "0.1.0"

__all__ = ["ELANeXt", "ELANeXtEncoder", "PAFPNeXt", "UserError", "__version__"]
