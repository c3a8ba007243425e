"""Test-time augmentation: an image is seen several times, mirrored or resized, and the logits are averaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from segnext_pafpn.errors import UserError, nearest

_WIDTH, _HEIGHT = -1, -2  # axes of (B, C, H, W)


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to see an image.

    Args:
        mirrored: axes of (B, C, H, W) along which it is turned round.
        scale: factor of its height and width.
    """

    mirrored: tuple[int, ...] = ()
    scale: float = 1.0

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) as they are seen so."""
        if self.scale != 1:
            size = [max(1, round(self.scale * side)) for side in x.shape[-2:]]
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return x.flip(self.mirrored) if self.mirrored else x

    def undo(self, logits: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Float logits (B, K, h, w) of what was seen, as those of images of this height and width."""
        logits = logits.float()
        logits = logits.flip(self.mirrored) if self.mirrored else logits
        if logits.shape[-2:] != size:
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return logits


_SIDES = ((), (_WIDTH,))
_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # mmsegmentation's, by which ADE20K's and Cityscapes' figures are published
VIEWS = {
    "none": (View(),),
    "flip": tuple(View(mirrored=axes) for axes in _SIDES),
    "flips": tuple(View(mirrored=axes) for axes in (*_SIDES, (_HEIGHT,), (_HEIGHT, _WIDTH))),
    "multi-scale": tuple(View(mirrored=axes, scale=scale) for scale in _SCALES for axes in _SIDES),
}


def find_views(name: str) -> tuple[View, ...]:
    """The views that an augmentation of this name consists of.

    Raises:
        UserError: naming the augmentation that is not known.
    """
    if name not in VIEWS:
        raise UserError(f"tta: '{name}' is not known.{nearest(name, VIEWS)} Known: {', '.join(VIEWS)}.")
    return VIEWS[name]


def mean_over_views(
    run: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, views: Sequence[View]
) -> torch.Tensor:
    """Logits (B, K, H, W) of images (B, C, H, W), averaged over the views.

    Args:
        run: from images of any size to logits of that size.
    """
    first, *others = views
    total = first.undo(run(first.of(x)), x.shape[-2:])
    if not others:
        return total
    for view in others:
        total = total + view.undo(run(view.of(x)), x.shape[-2:])
    return total / len(views)
