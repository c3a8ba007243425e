"""Class maps as pictures, and where a prediction is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segnext_pafpn.page import hatch

Colors = Sequence[tuple[int, int, int]]  # RGB 0..255, one per class

WRONG = (255, 0, 255)  # magenta, which hardly any card gives to a class


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One picture of the sheet.

    Attributes:
        name: for the caption.
        image: (H, W, 3) uint8, RGB.
        truth: class of each pixel or the ignore index, (H, W) uint8; where a pixel may be of several classes, 1 where
            it is of the class, 0 or the ignore index, (K, H, W) uint8.
        prediction: the same without ignored pixels.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray

    def __post_init__(self):
        size = self.image.shape[:2]
        fits = self.truth.shape[-2:] == size and self.truth.ndim in (2, 3) and self.prediction.shape == self.truth.shape
        if self.image.shape != (*size, 3) or not fits:
            raise ValueError(
                f"{self.name}: image is {self.image.shape}, truth {self.truth.shape}, prediction "
                f"{self.prediction.shape}, expected (H, W, 3) and twice (H, W) or (K, H, W)."
            )


def colorize(mask: np.ndarray, class_colors: Colors, ignore_index: int = 255) -> np.ndarray:
    """Picture (H, W, 3) uint8 of a class map (H, W) uint8; black where ignored or without a class.

    Layers (K, H, W) uint8, 1 where a pixel is of the class, have the mean colour of the pixel's classes.

    Raises:
        ValueError: if the mask is not uint8.
    """
    if mask.dtype != np.uint8:
        raise ValueError(f"the mask is {mask.dtype}, expected uint8 class numbers.")
    if mask.ndim == 3:
        held = (mask == 1).astype(np.uint32)
        total = np.tensordot(held, np.asarray(class_colors, dtype=np.uint32), axes=(0, 0))
        return (total // np.maximum(held.sum(axis=0), 1)[..., None]).astype(np.uint8)
    table = np.zeros((256, 3), np.uint8)
    table[: len(class_colors)] = class_colors
    if 0 <= ignore_index < len(table):
        table[ignore_index] = 0
    return table[mask]


def truth_picture(row: SheetRow, class_colors: Colors, ignore_index: int) -> np.ndarray:
    """Picture (H, W, 3) uint8: the truth in the classes' colours, ignored pixels hatched, as black may be a class."""
    picture = colorize(row.truth, class_colors, ignore_index)
    hatch(picture, wrong_and_ignored(row, ignore_index)[1])
    return picture


def error_picture(row: SheetRow, ignore_index: int) -> np.ndarray:
    """Picture (H, W, 3) uint8: the image in grey, wrong pixels magenta, pixels that do not count hatched."""
    grey = row.image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    picture = np.repeat((40 + 0.6 * grey).astype(np.uint8)[..., None], 3, axis=2)
    wrong, ignored = wrong_and_ignored(row, ignore_index)
    picture[wrong] = WRONG
    hatch(picture, ignored)
    return picture


def wrong_and_ignored(row: SheetRow, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a pixel is wrong, in any of its classes, and where none of them counts: twice (H, W) bool."""
    ignored = row.truth == ignore_index
    wrong = (row.prediction != row.truth) & ~ignored
    return (wrong, ignored) if wrong.ndim == 2 else (wrong.any(axis=0), ignored.all(axis=0))
