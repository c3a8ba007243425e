"""What logits are compared with."""

import torch

from segnext_pafpn.training.loss_config import MODES, Mode


def as_target(logits: torch.Tensor, target: torch.Tensor, mode: Mode) -> torch.Tensor:
    """``target`` as the losses take it: int64, or in the mode sigmoid as it is where it holds floats.

    Raises:
        ValueError: for a mode that is none, or a target whose shape or type does not fit the logits (B, K, H, W).
    """
    if mode not in MODES:
        raise ValueError(
            f"mode: '{mode}' is not known. Known: {', '.join(MODES)} (smp's multiclass is softmax, its binary and "
            f"multilabel are sigmoid)."
        )
    batch, classes, *size = logits.shape
    expected = (batch, *size) if mode == "softmax" else (batch, classes, *size)
    found = f"found {str(target.dtype).removeprefix('torch.')} {tuple(target.shape)}"
    if tuple(target.shape) != expected:
        raise ValueError(
            f"target: {found}, expected {expected} beside logits {tuple(logits.shape)} in the mode {mode}."
        )
    if mode == "sigmoid":
        return target if target.is_floating_point() else target.long()
    if target.is_floating_point():
        raise ValueError(f"target: {found}, expected class ids as whole numbers in the mode softmax.")
    if classes == 1:
        raise ValueError(
            "logits: found one class, of which the mode softmax is always sure. Use the mode sigmoid and a target "
            f"{(batch, 1, *size)}, or two classes."
        )
    return target.long()
