"""What all blocks that become simpler for inference have in common."""

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Foldable(nn.Module, ABC):
    """A block whose :meth:`fuse` replaces it in place by something simpler that computes the same."""

    def fuse(self) -> None:
        """Fold what can be folded; a second call does nothing.

        Raises:
            RuntimeError: in training mode, where a BatchNorm takes its statistics from the batch.
        """
        refuse_training(self)
        with torch.no_grad():
            self._fold()

    @abstractmethod
    def _fold(self) -> None:
        """Replace the parts by simpler ones, in evaluation mode and without gradients."""


def refuse_training(module: nn.Module) -> None:
    """Raise RuntimeError if any part of ``module`` is in training mode, before anything has been folded."""
    if any(part.training for part in module.modules()):
        raise RuntimeError("fuse() is for inference: call model.eval() first. A fused model cannot be trained.")


def fold_norm(conv: nn.Conv2d, norm: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """Return ``conv`` with the BatchNorm behind it folded in, and what is left of the norm; other norms stay."""
    if isinstance(norm, nn.BatchNorm2d):
        return fuse_conv_bn_eval(conv, norm), nn.Identity().eval()
    return conv, norm
