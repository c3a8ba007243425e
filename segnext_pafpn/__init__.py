"""Semantic segmentation with ELANeXt, a ConvNeXt-style ELAN encoder, and a PAFPN decoder.

Importing this package registers its networks with timm and segmentation_models_pytorch, which takes seconds. Only the
program ``segnext-pafpn`` puts it off until a command needs a network.
"""

import sys

from segnext_pafpn.errors import UserError

if "segnext_pafpn_program" not in sys.modules:
    from segnext_pafpn.models import MSCAN, ELANeXt, ELANeXtEncoder, PAFPNeXt, SegNeXt, load_official_mscan

__version__ = "0.2.0"

__all__ = [
    "MSCAN",
    "ELANeXt",
    "ELANeXtEncoder",
    "PAFPNeXt",
    "SegNeXt",
    "UserError",
    "__version__",
    "load_official_mscan",
]
