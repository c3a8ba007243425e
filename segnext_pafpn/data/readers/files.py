"""Decoding image and mask files with Pillow, which refuses truncated files instead of guessing their rest."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from segnext_pafpn.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
# struct.error comes from damaged EXIF data.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
_DEEP_RAW_MODES = ("RGB;16", "RGBA;16", "LA;16")


def image_files(folder: Path) -> list[Path]:
    """The image files directly in ``folder``, sorted by name; hidden files are left out."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))


def read_size(path: Path) -> tuple[int, int]:
    """Height and width from the header, as :func:`read_rgb` would return them (EXIF orientation applied).

    Raises:
        UserError: naming the file.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5
    except _DECODE_ERRORS as error:
        raise _unreadable(path, error) from error
    return (width, height) if turned else (height, width)


def read_rgb(path: Path) -> np.ndarray:
    """An image file to ``(H, W, 3)`` uint8 RGB, turned upright by its EXIF orientation.

    Raises:
        UserError: naming a file that is missing, truncated, no image, or deeper than 8 bits.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("I", "I;16", "I;16B", "F") or _is_deep(image):
                raise UserError(
                    f"{path}: the image has more than 8 bits per channel, expected 8. Convert it to 8 bits first."
                )
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UserError:
        raise
    except _DECODE_ERRORS as error:
        raise _unreadable(path, error) from error


def read_ids(path: Path) -> np.ndarray:
    """A mask file to ``(H, W)`` ids, uint8 or uint16. Palette files give their indices, not their colours.

    Raises:
        UserError: naming a file that is missing, truncated, no image, or has several channels.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            mask = np.asarray(image.convert("L") if image.mode == "1" else image)
    except _DECODE_ERRORS as error:
        raise _unreadable(path, error) from error
    if mask.ndim == 3:
        if (mask[..., 1:3] == mask[..., :1]).all():
            return np.ascontiguousarray(mask[..., 0])
        raise UserError(
            f"{path}: the mask has {mask.shape[2]} channels of colours, expected one channel of class ids. "
            f"Save it as a single-channel or palette PNG."
        )
    if mask.dtype == np.int32 and mask.min() >= 0 and mask.max() < 65536:
        mask = mask.astype(np.uint16)
    if mask.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: the mask holds {mask.dtype} values, expected integers of 0 to 65535.")
    return mask


def _is_deep(image: Image.Image) -> bool:
    """Whether Pillow would cut a colour image of 16 bits per channel to 8: its mode says RGB all the same."""
    return any(str(tile.args).find(mode) >= 0 for tile in getattr(image, "tile", ()) for mode in _DEEP_RAW_MODES)


def _unreadable(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: no such file.")
    reason = str(error).replace(f"'{path}'", "it").replace(f'"{path}"', "it")
    return UserError(f"{path}: cannot be decoded ({reason}). Replace the file or leave it out.")
