"""Crops laid around a pixel of a chosen class, so that small or rare structures are seen more often.

nnU-Net (Isensee et al., Nature Methods 2021) lays a third of its patches so, around a voxel of a class that is drawn
from those of the case with equal chances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from segnext_pafpn.errors import UserError, nearest

KINDS = ("foreground", "rare")


@dataclass(kw_only=True)
class CropFocus:
    """Which crops are laid around which classes.

    A crop is laid around a random pixel of a class that is drawn from those of ``classes`` that the picture holds. A
    picture that holds none of them is cropped anywhere.

    Args:
        probability: share of the crops that are laid so; 0 for none.
        classes: foreground, all but the first class alike (all, where a pixel may be of several); rare, each by the
            inverse of its pixels in the training split (a run's config.yaml holds the weights); names of classes,
            alike; or a weight for each name, as in {pole: 3, car: 1}.
    """

    probability: float = 0.0
    classes: list[str] | dict[str, float] | str = "foreground"


def check_focus(focus: CropFocus, class_names: Sequence[str]) -> None:
    """Refuse what cannot be drawn.

    Raises:
        UserError: naming the key.
    """
    if not 0 <= focus.probability <= 1:
        raise UserError(f"data.crop_focus.probability: must be from 0 to 1, found {focus.probability}.")
    where = "data.crop_focus.classes"
    if isinstance(focus.classes, str):
        if focus.classes not in KINDS:
            raise UserError(
                f"{where}: expected {' or '.join(KINDS)}, a list of class names or weights by name, as in "
                f"{{{class_names[-1]}: 2}}, found '{focus.classes}'.{nearest(focus.classes, KINDS)}"
            )
        return
    if not focus.classes:
        raise UserError(f"{where}: names no class. Give foreground, rare, or names of classes.")
    for name in focus.classes:
        if name not in class_names:
            hint = nearest(str(name), class_names)
            raise UserError(f"{where}: '{name}' is no class of the card.{hint} Known: {', '.join(class_names)}.")
    if isinstance(focus.classes, dict):
        weights = focus.classes.values()
        if not all(0 <= weight < np.inf for weight in weights) or not any(weights):
            raise UserError(f"{where}: weights must be 0 or more, and one of them more, found {focus.classes}.")


def rare_weights(class_names: Sequence[str], pixels: Sequence[int]) -> dict[str, float]:
    """A weight for each class that occurs: the inverse of its pixels; they add up to 1.

    Args:
        pixels: of each class, K numbers.
    """
    inverse = {name: 1 / count for name, count in zip(class_names, pixels, strict=True) if count > 0}
    total = sum(inverse.values())
    return {name: float(f"{weight / total:.6g}") for name, weight in inverse.items()}


def class_odds(focus: CropFocus, class_names: Sequence[str], has_background: bool = True) -> np.ndarray:
    """The weight of each class, (K,) float64.

    Args:
        has_background: whether the first class is no foreground; of several labels per pixel all are foreground.

    Raises:
        ValueError: for ``rare``, whose weights are to be counted first.
    """
    if focus.classes == "rare":
        raise ValueError("the weights of rare classes have not been counted; see training.sampling.settle_sampling")
    if focus.classes == "foreground":
        return np.array([0.0 if has_background else 1.0] + [1.0] * (len(class_names) - 1))
    weights = focus.classes if isinstance(focus.classes, dict) else dict.fromkeys(focus.classes, 1)
    return np.array([float(weights.get(name, 0)) for name in class_names])


def pick_pixel(truth: np.ndarray, odds: np.ndarray, random: Random) -> tuple[int, int] | None:
    """Row and column of a random pixel of a class drawn by ``odds`` from those that are there; None if none is.

    Args:
        truth: training ids (H, W) uint8, or layers (K, H, W) that are 1 where the class is.
        odds: of each class, (K,).
    """
    layered = truth.ndim == 3
    if layered:
        held = (truth == 1).any(axis=(1, 2))
    else:  # a third of the time that numpy's bincount takes
        held = cv2.calcHist([np.ascontiguousarray(truth)], [0], None, [256], [0, 256]).ravel()[: len(odds)] > 0
    present = odds * held
    if not present.any():
        return None
    (chosen,) = random.choices(range(len(odds)), present.tolist())
    places = np.flatnonzero(truth[chosen] == 1 if layered else truth == chosen)
    return divmod(int(places[int(random.random() * len(places))]), truth.shape[-1])


def lay_around(position: int, length: int, whole: int, random: Random) -> int:
    """Where a crop of ``length`` begins, so that ``position`` lies in its middle half, or nearer to the border of the
    picture of ``whole`` pixels than that. Exactly in the middle a network could learn to expect the class there.
    """
    before = length // 4 + int(random.random() * (length - length // 2))
    return min(max(position - before, 0), whole - length)
