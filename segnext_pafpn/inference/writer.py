"""Masks and pictures as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from segnext_pafpn.evaluation.figures import colorize
from segnext_pafpn.files import write_atomic

IGNORE_INDEX = 255


def save_mask(mask: np.ndarray, path: Path) -> None:
    """Write class ids (H, W) uint8 as a PNG of one channel of 8 bits.

    Raises:
        ValueError: if the mask has another type or number of dimensions.
    """
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(f"the mask is {mask.dtype} {mask.shape}, expected uint8 (H, W).")
    _save_png(mask, path)


def save_rgb(image: np.ndarray, path: Path) -> None:
    """Write a picture (H, W, 3) uint8 as a PNG.

    Raises:
        ValueError: if the picture has another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"the picture is {image.dtype} {image.shape}, expected uint8 (H, W, 3).")
    _save_png(image, path)


def overlay(
    image: np.ndarray, mask: np.ndarray, class_colors: Sequence[tuple[int, int, int]], alpha: float = 0.5
) -> np.ndarray:
    """Picture (H, W, 3) uint8: the image, coloured by class ids (H, W); where the mask is 255, the image alone.

    Args:
        alpha: share of the colour, 0 to 1.

    Raises:
        ValueError: if image and mask differ in size, or alpha is out of range.
    """
    if image.shape != (*mask.shape, 3):
        raise ValueError(f"the image is {image.shape}, the mask {mask.shape}, expected (H, W, 3) and (H, W).")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, expected 0 to 1.")
    colors = colorize(mask, class_colors, IGNORE_INDEX)
    blended = np.array(Image.blend(Image.fromarray(image), Image.fromarray(colors), alpha))
    ignored = mask == IGNORE_INDEX
    blended[ignored] = image[ignored]
    return blended


def _save_png(pixels: np.ndarray, path: Path) -> None:
    with write_atomic(path) as temporary:
        # Pillow's default level takes four times as long
        Image.fromarray(pixels).save(temporary, format="PNG", compress_level=1)
