"""Networks that cannot be saved, or whose outputs are no logits."""

from segmentation_models_pytorch.base.modules import Activation
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.layers.foldable import is_fused


def refuse_fused(model: nn.Module) -> None:
    """Refuse to save what could not be loaded again.

    Raises:
        RuntimeError: for a fused network.
    """
    if is_fused(model):
        raise RuntimeError(
            "This network was fused, by fuse() or a Predictor, and its weights fit no other any more. Save it before; "
            "Predictor takes fuse=False."
        )


def refuse_activation(model: nn.Module, place: str = "model") -> None:
    """Refuse a network of smp's form whose logits go through an activation: they are read, and learned from, as logits.

    Args:
        place: that the error begins with.

    Raises:
        UserError: naming the activation.
    """
    heads = (getattr(model, "segmentation_head", None), getattr(model, "activation", None))
    for part in (part for head in heads if head is not None for part in head.modules()):
        if isinstance(part, Activation) and not isinstance(part.activation, nn.Identity):
            raise UserError(
                f"{place}: has the activation {type(part.activation).__name__} behind its logits. Build it with "
                f"activation=None; what the logits mean is decided later."
            )
