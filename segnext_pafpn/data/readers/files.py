"""Decoding image and mask files with Pillow, which refuses truncated files instead of guessing their rest."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from segnext_pafpn.data.readers.arrays import load_array
from segnext_pafpn.data.readers.refusals import DECODE_ERRORS, unreadable
from segnext_pafpn.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
_DEEP_RAW_MODES = ("RGB;16", "RGBA;16", "LA;16")
_WIDTH, _HEIGHT = 256, 257  # TIFF's tags

Image.MAX_IMAGE_PIXELS = 2**31  # Pillow's own limit is below the pictures of slides and of satellites


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Pillow's image, which is not decoded yet."""
    with Image.open(path) as image:
        if image.format == "TIFF":
            image.filename = ""  # else Pillow maps it into memory, and scrambles what an orientation turns on its side
        yield image


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
            if image.format == "TIFF":  # whose size newer versions of Pillow have turned already
                width, height = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
            # Pillow decodes a whole PNG before it looks for EXIF data, which may stand behind the pixels.
            headers = image.format == "PNG" and not _has_late_metadata(path)
            exif = Image.Image.getexif(image) if headers else image.getexif()
            turned = exif.get(0x0112, 1) >= 5
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error
    return (width, height) if turned else (height, width)


def read_rgb(path: Path, source: str = "card") -> np.ndarray:
    """An image file to ``(H, W, 3)`` uint8 RGB, turned upright by its EXIF orientation.

    Args:
        source: what says that images have 8 bits: a ``card``, which may say otherwise, or a ``model``.

    Raises:
        UserError: naming a file that is missing, truncated, no image, or deeper than 8 bits.
    """
    try:
        with open_image(path) as image:
            return as_rgb(image, path, source)
    except UserError:
        raise
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error


def as_rgb(image: Image.Image, name: Path | str, source: str = "card") -> np.ndarray:
    """The same of an image that is open, best one that is not loaded yet.

    Args:
        name: that an error begins with.
    """
    if image.mode in ("I", "I;16", "I;16B", "F") or is_deep(image):
        advice = (
            f"Convert it to 8 bits, or say in the card how its values are to be normalised, as in image: "
            f"{{channels: {len(image.getbands())}, normalize: zscore}}."
        )
        advice = advice if source == "card" else "Convert it to 8 bits, which the model was trained on."
        raise UserError(f"{name}: the image has more than 8 bits per channel, expected 8. {advice}")
    refuse_pages(image, name)
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def read_ids(path: Path) -> np.ndarray:
    """A mask file to ``(H, W)`` ids, uint8 or uint16. Palette files give their indices, not their colours.

    Raises:
        UserError: naming a file that is missing, truncated, no image, or has several channels or pages.
    """
    if Path(path).suffix.lower() == ".npy":
        return _read_npy(path)
    mask = read_array(path)
    if mask.ndim == 3 and mask.shape[2] == 2:  # grey and alpha
        mask = np.ascontiguousarray(mask[..., 0])
    if mask.ndim == 3:
        if (mask[..., 1:3] == mask[..., :1]).all():
            return np.ascontiguousarray(mask[..., 0])
        raise UserError(
            f"{path}: the mask has {mask.shape[2]} channels of colours, expected one channel of class ids. "
            f"Save it as a single-channel or palette PNG, or set layout.mask_format: rgb if its colours are the card's."
        )
    return _as_ids(mask, path)


def read_array(path: Path, mode: str | None = None, palette: bool = True) -> np.ndarray:
    """An image file as Pillow decodes it, upright: ``(H, W)``, or ``(H, W, C)``.

    Args:
        mode: Pillow's mode to convert to, such as RGB; None for the file's own.
        palette: of a file with a palette give the indices, not the colours.

    Raises:
        UserError: naming a file that is missing, truncated, no image, or has several pages.
    """
    try:
        with open_image(path) as image:
            refuse_pages(image, path)
            image = ImageOps.exif_transpose(image)
            if mode is None:
                mode = {"1": "L", "P": None if palette else "RGB"}.get(image.mode)
            return np.asarray(image if mode is None else image.convert(mode))
    except UserError:
        raise
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error


def _read_npy(path: Path) -> np.ndarray:
    mask = load_array(path)
    if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[2]):
        mask = mask[0] if mask.shape[0] == 1 else mask[..., 0]
    if mask.ndim != 2:
        raise UserError(f"{path}: the array has the shape {mask.shape}, expected (height, width) of class ids.")
    return _as_ids(mask, path)


def _as_ids(mask: np.ndarray, path: Path) -> np.ndarray:
    """Integers of any width to uint8 or uint16."""
    if mask.dtype in (np.uint8, np.uint16):
        return mask
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    if mask.dtype.kind in "iu" and mask.size and mask.min() >= 0 and mask.max() < 65536:
        return mask.astype(np.uint16)
    span = f" of {mask.min():g} to {mask.max():g}" if mask.size and mask.dtype.kind in "iuf" else ""
    hint = " Save whole numbers, mask.astype('uint8')." if mask.dtype.kind == "f" else ""
    raise UserError(f"{path}: the mask holds {mask.dtype} values{span}, expected integers of 0 to 65535.{hint}")


def refuse_pages(image: Image.Image, name: Path | str) -> None:
    """Refuse a stack, which would lose all pages but its first without a word; a photograph's MPO preview may go.

    Args:
        name: that the error begins with.
    """
    pages = getattr(image, "n_frames", 1) if image.format in ("TIFF", "GIF", "PNG", "WEBP") else 1
    if pages > 1:
        raise UserError(f"{name}: holds {pages} pages, expected one picture. Save each page as a file of its own.")


def _has_late_metadata(path: Path) -> bool:
    """Whether a PNG file has text or EXIF chunks behind its pixels; reads chunk headers alone."""
    with open(path, "rb") as file:
        file.seek(8)
        pixels = False
        while len(header := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            if pixels and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            pixels = pixels or kind == b"IDAT"
            file.seek(length + 4, 1)
    return False


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow would cut a colour image of 16 bits per channel to 8: its mode says RGB all the same."""
    return any(mode in str(tile.args) for tile in getattr(image, "tile", ()) for mode in _DEEP_RAW_MODES)


def is_deep_grey(image: Image.Image) -> bool:
    """Whether such an image, which is not loaded yet, is grey with alpha."""
    return any("LA;16" in str(tile.args) for tile in getattr(image, "tile", ()))
