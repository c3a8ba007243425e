"""Which losses, and how much of each."""

from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

from segnext_pafpn.errors import UserError

Mode = Literal["softmax", "sigmoid"]
MODES: tuple[str, ...] = get_args(Mode)
Balance = Literal["inverse", "sqrt_inverse", "median_frequency", "effective_number"]

TERMS = ("cross_entropy", "dice", "focal", "tversky", "lovasz", "ohem", "boundary")


@dataclass(kw_only=True)
class LossConfig:
    """What to minimise: a weighted sum.

    Args:
        cross_entropy: weight of the cross-entropy.
        dice: weight of the soft Dice loss over the classes that a batch holds.
        focal: weight of the focal loss, a cross-entropy that minds sure pixels less.
        tversky: weight of the Tversky loss over the classes that a batch holds; Dice with a choice between errors.
        lovasz: weight of the Lovasz loss over the classes that a batch holds; it follows the IoU.
        ohem: weight of the cross-entropy of the hard pixels alone; usually in place of cross_entropy.
        boundary: weight of the boundary loss, in pixels (start near 0.01); beside another loss, not alone.
        auxiliary: weight of the same loss on auxiliary heads, where the network has them: PAFPNeXt with
            ``--model.options "{auxiliary_heads: true}"``.
        mode: softmax where a pixel is of one class, sigmoid where the card has multi_label: true.
        label_smoothing: of the cross-entropy, between 0 and 1.
        focal_gamma: how much less sure pixels count; 0 makes the focal loss a cross-entropy.
        tversky_alpha: weight of false positives.
        tversky_beta: weight of false negatives; more than tversky_alpha finds more of rare classes.
        tversky_exponent: 0.75 makes it the focal Tversky loss.
        ohem_threshold: a pixel is hard where its true class has a smaller probability.
        ohem_share: this share of the labelled pixels is kept at least, the hardest.
        class_weights: one weight per class for cross-entropy, focal loss and ohem, or null; or how to compute
            them from the training split: inverse, sqrt_inverse, median_frequency, effective_number.
    """

    cross_entropy: float = 1.0
    dice: float = 1.0
    focal: float = 0.0
    tversky: float = 0.0
    lovasz: float = 0.0
    ohem: float = 0.0
    boundary: float = 0.0
    auxiliary: float = 0.4
    mode: Mode = "softmax"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    tversky_alpha: float = 0.3
    tversky_beta: float = 0.7
    tversky_exponent: float = 1.0
    ohem_threshold: float = 0.7
    ohem_share: float = 0.0625
    class_weights: list[float] | Balance | None = None


def check_loss(config: LossConfig) -> None:
    """Refuse what cannot be minimised.

    Raises:
        UserError: naming the key.
    """
    for key in (*TERMS, "auxiliary", "focal_gamma", "tversky_alpha", "tversky_beta"):
        if not getattr(config, key) >= 0:
            raise UserError(f"loss.{key}: must be 0 or more, found {getattr(config, key)}.")
    if not any(getattr(config, term) for term in TERMS):
        raise UserError(f"loss: every weight is 0, so there is nothing to minimise. Set one of {', '.join(TERMS)}.")
    if config.mode not in MODES:
        raise UserError(f"loss.mode: '{config.mode}' is not known. Known: {', '.join(MODES)}.")
    if not config.tversky_exponent > 0:
        raise UserError(f"loss.tversky_exponent: must be more than 0, found {config.tversky_exponent}.")
    for key, least in (("label_smoothing", "0"), ("ohem_threshold", "more than 0"), ("ohem_share", "more than 0")):
        value = getattr(config, key)
        if not 0 <= value <= 1 or (value == 0 and least != "0"):
            raise UserError(f"loss.{key}: must be from {least} to 1, found {value}.")
    weights = config.class_weights
    if weights is None or isinstance(weights, str):
        return
    if not all(0 <= weight < inf for weight in weights) or not any(weights):
        raise UserError(f"loss.class_weights: must be 0 or more, finite, and not all 0, found {list(weights)}.")
