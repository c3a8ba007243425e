"""From logits to probabilities and to what a pixel is said to be. Logits are (..., K, H, W)."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How logits are read; training, evaluation and prediction share it.

    Args:
        multi_label: a pixel may be of several classes or none: a sigmoid for each class.
        thresholds: of probabilities. One for each class with ``multi_label``; a single one, of the second class, for
            two classes, or of the one logit. None: the most probable class, or 0.5.
    """

    multi_label: bool = False
    thresholds: tuple[float, ...] | None = None

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Of each class, (..., K, H, W) float32."""
        if self.multi_label or logits.shape[-3] == 1:
            return logits.float().sigmoid()
        return logits.float().softmax(dim=-3)

    def foreground(self, logits: torch.Tensor) -> torch.Tensor:
        """The probabilities that thresholds are for: (..., K, H, W), or (..., 1, H, W) without ``multi_label``."""
        probabilities = self.probabilities(logits)
        return probabilities if self.multi_label else probabilities[..., -1:, :, :]

    def classes(self, logits: torch.Tensor) -> torch.Tensor:
        """Class of each pixel, (..., H, W) int64; with ``multi_label`` 0 or 1 of each class, (..., K, H, W) int64."""
        single = logits.shape[-3] == 1
        if self.thresholds is None and not self.multi_label and not single:
            return logits.max(dim=-3).indices  # as argmax, which takes 4 times as long on a CPU
        thresholds = self.thresholds or (0.5,)
        limits = torch.tensor(thresholds, dtype=torch.float32, device=logits.device)[:, None, None]
        decided = (self.foreground(logits) > limits).long()
        return decided if self.multi_label else decided[..., 0, :, :]
