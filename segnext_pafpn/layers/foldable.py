"""What all blocks that become simpler for inference have in common."""

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Foldable(nn.Module, ABC):
    """A block whose :meth:`fuse` replaces it in place by something simpler that computes the same."""

    is_fused = False

    def train(self, mode: bool = True) -> Self:
        """As of every module.

        Raises:
            RuntimeError: for training after :meth:`fuse`.
        """
        if mode and self.is_fused:
            raise RuntimeError(
                "This network was fused for inference, by fuse() or a Predictor, and cannot be trained any more. Fuse "
                "a copy (copy.deepcopy), or give Predictor fuse=False."
            )
        return super().train(mode)

    def fuse(self) -> None:
        """Fold what can be folded; a second call does nothing.

        Raises:
            RuntimeError: in training mode, where a BatchNorm takes its statistics from the batch.
        """
        refuse_training(self)
        if self.is_fused:
            return
        with torch.no_grad():
            self._fold()
        self.is_fused = True

    @abstractmethod
    def _fold(self) -> None:
        """Replace the parts by simpler ones, in evaluation mode and without gradients."""


def refuse_training(module: nn.Module) -> None:
    """Raise RuntimeError if any part of ``module`` is in training mode, before anything has been folded."""
    if any(part.training for part in module.modules()):
        raise RuntimeError("fuse() is for inference: call model.eval() first. A fused model cannot be trained.")


def is_fused(module: nn.Module) -> bool:
    """Whether any part of ``module`` has been folded, so that it has other weights than a network to be trained."""
    return any(isinstance(part, Foldable) and part.is_fused for part in module.modules())


def fold_norm(conv: nn.Conv2d, norm: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """Return ``conv`` with the BatchNorm behind it folded in, and what is left of the norm; other norms stay."""
    if isinstance(norm, nn.BatchNorm2d):
        return fuse_conv_bn_eval(conv, norm), nn.Identity().eval()
    return conv, norm
