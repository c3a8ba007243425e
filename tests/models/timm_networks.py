"""Networks of ours by their names in timm, and timm's own beside them."""

import timm
import torch
from torch import nn

from segnext_pafpn.models import ELANEXT_VARIANTS

OURS = list(ELANEXT_VARIANTS)
NAMES = [*OURS, "mscan_tiny", "convnext_atto"]
SMALL = ["elanext_nano", "mscan_tiny", "convnext_atto"]
OUR_SMALL = ["elanext_nano", "mscan_tiny"]


def build(name: str, **options) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, **options).eval()
