"""Semantic segmentation with ELANeXt, a ConvNeXt-style ELAN encoder, and a PAFPN decoder.

Importing this package registers its networks with timm and segmentation_models_pytorch, which takes seconds. Only the
program ``segnext-pafpn`` puts it off until a command needs a network. What is no network is imported at its first use.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from segnext_pafpn.errors import UserError

if "segnext_pafpn_program" not in sys.modules:
    from segnext_pafpn.models import MSCAN, ELANeXt, ELANeXtEncoder, PAFPNeXt, SegNeXt, load_official_mscan

if TYPE_CHECKING:
    from segnext_pafpn.data.datamodule import SegmentationDataModule
    from segnext_pafpn.evaluation.metrics import ConfusionMatrix
    from segnext_pafpn.evaluation.scores import scores_from_matrix
    from segnext_pafpn.inference.predictor import Predictor
    from segnext_pafpn.layers import fuse_layers
    from segnext_pafpn.models.bundle import load_bundle, save_bundle
    from segnext_pafpn.models.decision import Decision
    from segnext_pafpn.models.preprocessing import Preprocessing
    from segnext_pafpn.training.config import OptimConfig, TrainConfig
    from segnext_pafpn.training.load_config import load_config
    from segnext_pafpn.training.loss_config import LossConfig
    from segnext_pafpn.training.losses import SegmentationLoss
    from segnext_pafpn.training.module import SegmentationModule
    from segnext_pafpn.training.run import fit

__version__ = "0.2.0"

_AT_FIRST_USE = {  # the configurations from where torch is not imported: jsonargparse looks for them here
    "ConfusionMatrix": "evaluation.metrics",
    "Decision": "models.decision",
    "LossConfig": "training.loss_config",
    "OptimConfig": "training.config",
    "Predictor": "inference.predictor",
    "Preprocessing": "models.preprocessing",
    "SegmentationDataModule": "data.datamodule",
    "SegmentationLoss": "training.losses",
    "SegmentationModule": "training.module",
    "TrainConfig": "training.config",
    "fit": "training.run",
    "fuse_layers": "layers",
    "load_bundle": "models.bundle",
    "load_config": "training.load_config",
    "save_bundle": "models.bundle",
    "scores_from_matrix": "evaluation.scores",
}

__all__ = [
    "MSCAN",
    "ConfusionMatrix",
    "Decision",
    "ELANeXt",
    "ELANeXtEncoder",
    "LossConfig",
    "OptimConfig",
    "PAFPNeXt",
    "Predictor",
    "Preprocessing",
    "SegNeXt",
    "SegmentationDataModule",
    "SegmentationLoss",
    "SegmentationModule",
    "TrainConfig",
    "UserError",
    "__version__",
    "fit",
    "fuse_layers",
    "load_bundle",
    "load_config",
    "load_official_mscan",
    "save_bundle",
    "scores_from_matrix",
]


def __getattr__(name: str) -> Any:
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_AT_FIRST_USE[name]}"), name)
