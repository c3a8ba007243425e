"""The boundary loss (arXiv 1812.07032). Shapes: see the package."""

import cv2
import numpy as np
import torch

from segnext_pafpn.training.loss_config import Mode
from segnext_pafpn.training.losses.region import regions


def boundary_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    ignore_index: int = 255,
    mode: Mode = "softmax",
    distances: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of probability times signed distance to the class's true boundary, over labelled pixels and classes.

    In pixels, and negative where a prediction is good. What is predicted far from a class costs most, which says
    nothing about classes that are not in the picture: hence beside a loss over regions, not alone.

    Args:
        distances: of the target, from :func:`signed_distances`, where they are at hand.
    """
    probabilities, _, valid = regions(logits, target, ignore_index, mode)
    if distances is None:
        distances = signed_distances(target, logits.shape[1], ignore_index, mode)
    counted = valid.expand_as(probabilities).sum().clamp(min=1)
    return (probabilities * distances.to(probabilities.dtype)).sum() / counted


def signed_distances(
    target: torch.Tensor, num_classes: int, ignore_index: int = 255, mode: Mode = "softmax"
) -> torch.Tensor:
    """Distance of each pixel to each class's boundary in the picture, (B, K, H, W) float32, in pixels.

    Outside the class: the distance to its nearest pixel. Inside: 1 - the distance to the nearest pixel outside, so that
    it is 0 at the boundary's inner side. 0 everywhere for a class that is nowhere or everywhere in the picture. Ignored
    pixels are outside. Computed on the CPU, for which a target on another device is copied there and back.
    """
    labels = target.cpu().numpy()
    maps = np.zeros((len(labels), num_classes, *labels.shape[-2:]), dtype=np.float32)
    for picture, out in zip(labels, maps, strict=True):
        for k in range(num_classes):
            inside = picture[k] == 1 if mode == "sigmoid" else (picture == k) & (picture != ignore_index)
            if inside.any() and not inside.all():
                out[k] = _to_nearest_zero(~inside) - _to_nearest_zero(inside) + inside
    return torch.from_numpy(maps).to(target.device)


def _to_nearest_zero(mask: np.ndarray) -> np.ndarray:
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
