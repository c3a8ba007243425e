"""Masks and pictures as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from segnext_pafpn.data.class_rows import class_folders
from segnext_pafpn.evaluation.pictures import colorize
from segnext_pafpn.files import write_atomic
from segnext_pafpn.ids import IGNORE_INDEX


def save_mask(mask: np.ndarray, path: Path) -> None:
    """Write class ids (H, W) uint8 or uint16 as a PNG of one channel of 8 or 16 bits.

    Raises:
        ValueError: if the mask has another type or number of dimensions.
    """
    if mask.dtype not in (np.uint8, np.uint16) or mask.ndim != 2:
        raise ValueError(f"the mask is {mask.dtype} {mask.shape}, expected uint8 or uint16 (H, W).")
    _save_png(mask, path)


def with_ids(mask: np.ndarray, class_ids: Sequence[int]) -> np.ndarray:
    """The data's own ids, uint8, or uint16 if one is above 255, for places in the card, uint8 of the same shape.

    Raises:
        IndexError: if the mask has a place without an id.
    """
    return np.asarray(class_ids, dtype=np.uint8 if max(class_ids) <= 255 else np.uint16)[mask]


def class_paths(folder: Path, class_names: Sequence[str], stem: str) -> list[Path]:
    """``folder/CLASS/stem.png`` of each class, see :func:`~segnext_pafpn.data.class_rows.class_folders`."""
    return [folder / name / f"{stem}.png" for name in class_folders(class_names)]


def save_layers(layers: np.ndarray, paths: Sequence[Path]) -> None:
    """Write layers (K, H, W) uint8 of 0 and 1 as black and white PNGs, one file each; 255 becomes black.

    Raises:
        ValueError: if there is not one path per layer.
    """
    for layer, path in zip(layers, paths, strict=True):
        save_mask(np.where(layer == 1, 255, 0).astype(np.uint8), path)


def save_probabilities(probabilities: np.ndarray, path: Path) -> None:
    """Write probabilities (K, H, W), or (K, D, H, W) of a volume, as the ``probabilities`` of an npz file."""
    with write_atomic(path) as temporary, temporary.open("wb") as file:  # of a name, numpy would make another
        np.savez_compressed(file, probabilities=probabilities)


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

    Layers (K, H, W) of 0 and 1 colour it where they are 1; where none is, the image alone.

    Args:
        alpha: share of the colour, 0 to 1.

    Raises:
        ValueError: if image and mask differ in size, or alpha is out of range.
    """
    if image.shape != (*mask.shape[-2:], 3):
        raise ValueError(f"the image is {image.shape}, the mask {mask.shape}, expected (H, W, 3) and (H, W).")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, expected 0 to 1.")
    colors = colorize(mask, class_colors, IGNORE_INDEX)
    blended = np.array(Image.blend(Image.fromarray(image), Image.fromarray(colors), alpha))
    ignored = mask == IGNORE_INDEX if mask.ndim == 2 else (mask != 1).all(axis=0)
    blended[ignored] = image[ignored]
    return blended


def _save_png(pixels: np.ndarray, path: Path) -> None:
    with write_atomic(path) as temporary:
        # Pillow's default level takes four times as long
        Image.fromarray(pixels).save(temporary, format="PNG", compress_level=1)
