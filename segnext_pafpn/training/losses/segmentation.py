"""The weighted sum of losses that a configuration asks for."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.loss_config import LossConfig, check_loss
from segnext_pafpn.training.losses.boundary import boundary_loss, signed_distances
from segnext_pafpn.training.losses.pixel import cross_entropy, focal_loss, ohem_cross_entropy
from segnext_pafpn.training.losses.region import dice_loss, lovasz_loss, tversky_loss
from segnext_pafpn.training.losses.target import as_target


class SegmentationLoss(nn.Module):
    """The weighted sum that :class:`LossConfig` describes, in float32 whatever the precision of the network.

    Raises:
        UserError: for what cannot be minimised, or if ``class_weights`` does not have one weight per class.
        ValueError: if ``class_weights`` is still the name of a way to compute them.
    """

    def __init__(self, config: LossConfig, num_classes: int, ignore_index: int = 255):
        super().__init__()
        check_loss(config)
        weights = config.class_weights
        if isinstance(weights, str):
            raise ValueError(f"class_weights is '{weights}', expected numbers: see balanced_weights.")
        if weights is not None and len(weights) != num_classes:
            raise UserError(
                f"loss.class_weights: found {len(weights)} weights, expected one for each of {num_classes} classes."
            )
        self.config = config
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, auxiliary: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Scalar loss of logits ``(B, K, H, W)`` and of auxiliary logits of the same shape.

        ``target`` is ``(B, H, W)`` of any integer type; in the mode sigmoid ``(B, K, H, W)``, of floats, too.

        Raises:
            UserError: if the target does not fit the mode.
            ValueError: if the logits do not have K classes, or the target not their shape.
        """
        if logits.shape[1] != self.num_classes:
            raise ValueError(f"logits: found {logits.shape[1]} classes, expected {self.num_classes}.")
        expected = 4 if self.config.mode == "sigmoid" else 3
        if target.dim() != expected:
            raise UserError(
                f"loss.mode: {self.config.mode} needs masks of {expected} axes, found the shape {tuple(target.shape)}. "
                "Use softmax for one class per pixel, sigmoid for a mask with a channel per class."
            )
        target = as_target(logits, target, self.config.mode)
        with torch.autocast(device_type=logits.device.type, enabled=False):
            distances = None
            if self.config.boundary:  # the same for all heads
                distances = signed_distances(target, logits.shape[1], self.ignore_index, self.config.mode)
            loss = self._one(logits.float(), target, distances)
            for extra in auxiliary:
                loss = loss + self.config.auxiliary / len(auxiliary) * self._one(extra.float(), target, distances)
        return loss

    def _one(self, logits: torch.Tensor, target: torch.Tensor, distances: torch.Tensor | None) -> torch.Tensor:
        loss = logits.new_zeros(())
        for weight, value in self._terms(logits, target, distances):
            loss = loss + weight * value
        return loss

    def _terms(
        self, logits: torch.Tensor, target: torch.Tensor, distances: torch.Tensor | None
    ) -> Iterator[tuple[float, torch.Tensor]]:
        c, mode, weights = self.config, self.config.mode, self.class_weights
        given = (logits, target, self.ignore_index)
        if c.cross_entropy:
            yield c.cross_entropy, cross_entropy(*given, weights, c.label_smoothing, mode)
        if c.dice:
            yield c.dice, dice_loss(*given, mode)
        if c.focal:
            yield c.focal, focal_loss(*given, weights, c.focal_gamma, mode)
        if c.tversky:
            yield c.tversky, tversky_loss(*given, c.tversky_alpha, c.tversky_beta, c.tversky_exponent, mode)
        if c.lovasz:
            yield c.lovasz, lovasz_loss(*given, mode)
        if c.ohem:
            yield c.ohem, ohem_cross_entropy(*given, weights, c.ohem_threshold, c.ohem_share, mode)
        if c.boundary:
            yield c.boundary, boundary_loss(*given, mode, distances)
