"""The built-in data sets, drawn from a seed when they are read."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segnext_pafpn.data.readers.base import Listing, Reader, Sample
from segnext_pafpn.data.synthetic.cells import cell_image
from segnext_pafpn.data.synthetic.streets import street_scene
from segnext_pafpn.data.synthetic.texture import MIN_SIDE
from segnext_pafpn.errors import UserError, nearest

_SCENES = {"streets": street_scene, "cells": cell_image}
_KEPT, _KEPT_PIXELS = 4096, 2**16  # scenes, and their size at most: a gigabyte in all
_FIRST_SEED = {"train": 0, "val": 1_000_000, "test": 2_000_000}


@dataclass(kw_only=True)
class SyntheticReader(Reader):
    """Scenes drawn on the fly; the seeds of the splits never meet.

    Args:
        scene: ``streets`` or ``cells``.
        height, width: of every image.
        num_train, num_val, num_test: images per split.
    """

    scene: str = "streets"
    height: int = 128
    width: int = 192
    num_train: int = 256
    num_val: int = 48
    num_test: int = 16

    def __post_init__(self) -> None:
        if self.scene not in _SCENES:
            raise UserError(
                f"layout.scene: '{self.scene}' is not known.{nearest(self.scene, _SCENES)} Known: {', '.join(_SCENES)}."
            )
        if min(self.height, self.width) < MIN_SIDE:
            raise UserError(
                f"layout.height, layout.width: expected at least {MIN_SIDE}, found {self.height} and {self.width}."
            )
        self._counts = {"train": self.num_train, "val": self.num_val, "test": self.num_test}

    def splits(self) -> list[str]:
        return [split for split, count in self._counts.items() if count > 0]

    def list_samples(self, split: str) -> Listing:
        if split not in self.splits():
            raise UserError(
                f"{self.scene}: there is no split '{split}'. Found splits: {', '.join(self.splits()) or 'none'}."
            )
        first = _FIRST_SEED[split]
        samples = [Sample(f"{self.scene}_{split}_{i:04d}", seed=first + i) for i in range(self._counts[split])]
        return Listing(samples)

    def size(self, sample: Sample) -> tuple[int, int]:
        return self.height, self.width

    def read_image(self, sample: Sample) -> np.ndarray:
        return _draw(self.scene, sample.seed, self.height, self.width)[0]

    def read_mask(self, sample: Sample) -> np.ndarray:
        return _draw(self.scene, sample.seed, self.height, self.width)[1]


def _draw(scene: str, seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawing costs as much as decoding a large photograph, and the check and every epoch ask again."""
    draw = _draw_once if height * width <= _KEPT_PIXELS else _draw_once.__wrapped__
    return draw(scene, seed, height, width)


@lru_cache(maxsize=_KEPT)
def _draw_once(scene: str, seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return _SCENES[scene](seed, (height, width))
