"""What ELANeXt and MSCAN share as backbones of timm: a classifier, and feature levels to choose from."""

from abc import ABC, abstractmethod

import torch
from timm.layers import ClassifierHead
from timm.models._features import feature_take_indices
from torch import nn

__all__ = ["TimmBackbone"]


class TimmBackbone(nn.Module, ABC):
    """Image ``(B, in_chans, H, W)`` -> feature levels, finest first -> classifier on the last.

    A subclass fills ``feature_info``, one row for each level, ends its constructor with :meth:`_add_head`, and says
    what its levels are: :meth:`forward_levels`, :meth:`_level_count` and :meth:`_keep_levels`.
    """

    @abstractmethod
    def forward_levels(self, x: torch.Tensor, count: int) -> list[torch.Tensor]:
        """Image to its first ``count`` levels; all by default."""

    @abstractmethod
    def _level_count(self) -> int:
        """How many levels there are, fewer than rows of ``feature_info`` after pruning."""

    @abstractmethod
    def _keep_levels(self, count: int) -> None:
        """Drop what only the levels after the first ``count`` need."""

    def _add_head(self, num_classes: int, global_pool: str, drop_rate: float) -> None:
        self.num_classes = num_classes
        self.num_features = self.feature_info[-1]["num_chs"]
        self.head = ClassifierHead(self.num_features, num_classes, pool_type=global_pool, drop_rate=drop_rate)
        self.head_hidden_size = _pooled_width(self.head)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, in_chans, H, W)`` to the last level, ``(B, widths[-1], H / 32, W / 32)``."""
        return self.forward_levels(x)[-1]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]:
        """The feature levels with these indices (0 is the finest), and the last level unless ``intermediates_only``.

        Args:
            x: image, ``(B, in_chans, H, W)``.
            indices: a list, or how many of the last; None for all.
            norm: nothing changes: no norm stands between the last level and the head.
            stop_early: compute no level beyond the last of ``indices``; that level is then the one returned first.
            output_fmt: NCHW, the only one.
            intermediates_only: return the list alone.

        Raises:
            ValueError: for another ``output_fmt``.
            AssertionError: for an index that does not exist (timm's own).
        """
        if output_fmt != "NCHW":
            raise ValueError(f"{type(self).__name__} gives features as NCHW alone, found output_fmt='{output_fmt}'.")
        count = self._level_count()
        taken, last = feature_take_indices(count, indices)
        levels = self.forward_levels(x, last + 1 if stop_early else count)
        intermediates = [level for i, level in enumerate(levels) if i in taken]
        return intermediates if intermediates_only else (levels[-1], intermediates)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop the stages that the levels with these indices do not need, and the head; return the indices.

        The head goes in any case where the last stage does. There is no norm to prune.
        """
        count = self._level_count()
        taken, last = feature_take_indices(count, indices)
        is_shorter = last + 1 < count
        if is_shorter:
            self._keep_levels(last + 1)
            self.num_features = self.head.in_features = self.feature_info[last]["num_chs"]
        if prune_head or is_shorter:
            self.reset_classifier(0, "")
        return taken

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Another classifier, on the backbone's device and of its dtype; 0 for none."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)
        self.head_hidden_size = _pooled_width(self.head)
        parameter = next(self.parameters())
        self.head.to(device=parameter.device, dtype=parameter.dtype)


def _pooled_width(head: ClassifierHead) -> int:
    """What the classifier takes; timm has poolings that concatenate two."""
    return head.in_features * head.global_pool.feat_mult()
