"""Networks that answer together, such as those of a cross-validation's folds: the mean of their logits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models.any_size import padded_logits, required_stride
from segnext_pafpn.models.bundle import bundle_folder, load_bundle, load_preprocessing
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.slicing import Slicing

_ALIKE = ("class_names", "multi_label", "channels", "image_size", "slicing", "mean", "std")


class Ensemble(nn.Module):
    """Mean logits of several networks: ``(B, M C, H, W)`` to ``(B, K, H, W)``.

    Args:
        members: M networks, each from ``(B, C, H, W)`` to logits.
        shared: whether all see the same C channels, rather than each its own of M C.
    """

    def __init__(self, members: Sequence[nn.Module], shared: bool):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.shared = shared

    def fuse(self) -> None:
        """Fold the norms and branches of those that can."""
        for member in self.members:
            if hasattr(member, "fuse"):
                member.fuse()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count = len(self.members)
        parts = [x] * count if self.shared else x.chunk(count, dim=1)
        total = torch.zeros((), device=x.device)
        for member, part in zip(self.members, parts, strict=True):
            total = total + padded_logits(member, part, required_stride(member)).float()
        return total / count


@dataclass(frozen=True, kw_only=True)
class EachIntensity(Intensity):
    """An image as each member of an ensemble normalises it: ``(H, W, C)`` to ``(H, W, M C)`` float32.

    Args:
        each: one of every member. The other numbers are the first one's.
    """

    each: tuple[Intensity, ...]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return np.concatenate([intensity(image) for intensity in self.each], axis=2)


def load_ensemble(paths: Sequence[str | Path]) -> tuple[Ensemble, Preprocessing]:
    """Read the bundles of networks that were trained for the same classes and images, see :func:`.load_bundle`.

    Raises:
        UserError: naming the file that is missing or broken, or two that are not alike.
    """
    together = ensemble_preprocessing(paths)
    members = [load_bundle(path)[0] for path in paths]
    return Ensemble(members, shared=not isinstance(together.intensity, EachIntensity)), together


def ensemble_preprocessing(paths: Sequence[str | Path]) -> Preprocessing:
    """What an image goes through before the networks in these folders answer together.

    Each normalises by its own numbers. Tuned thresholds are averaged; one that was not tuned is 0.5.

    Raises:
        UserError: as :func:`load_ensemble`.
    """
    if not paths:
        raise UserError("checkpoint: is empty. Give the folder of a finished run, such as runs/NAME.")
    places = [bundle_folder(path).resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"checkpoint: {path} is given {places.count(place)} times. Give each run once.")
    every = [load_preprocessing(path) for path in paths]
    first = every[0]
    for path, other in zip(paths[1:], every[1:], strict=True):
        if (first.intensity is None) != (other.intensity is None):
            raise UserError(f"{path}: of it and {paths[0]} only one takes 8-bit RGB. Give runs on the same images.")
        for key in _ALIKE:
            found, expected = getattr(other, key), getattr(first, key)
            if found != expected:
                if isinstance(found, Slicing) and isinstance(expected, Slicing):
                    key, found, expected = found.difference(expected)
                raise UserError(
                    f"{path}: has {key} {found}, but {paths[0]} has {expected}, so that the two cannot answer "
                    f"together. Give runs on the same card, images and layout."
                )
    ids = first.class_ids if all(one.class_ids == first.class_ids for one in every) else None
    return replace(first, class_ids=ids, intensity=_intensities(every), thresholds=_thresholds(every))


def _intensities(every: Sequence[Preprocessing]) -> Intensity | None:
    first = every[0].intensity
    if all(one.intensity == first for one in every):
        return first
    values = {name: getattr(first, name) for name in Intensity.__dataclass_fields__}
    return EachIntensity(**values, each=tuple(one.intensity for one in every))


def _thresholds(every: Sequence[Preprocessing]) -> tuple[float, ...] | None:
    tuned = next((one for one in every if one.thresholds is not None), None)
    if tuned is None:
        return None
    rows = [one.thresholds or (0.5,) * len(tuned.thresholds) for one in every]
    return tuple(np.mean(rows, axis=0).tolist())
