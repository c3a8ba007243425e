"""Decoding images that are not 8-bit RGB: PNG, TIFF and the like of any depth, and ``.npy`` arrays.

Pillow decodes what it can without loss. OpenCV takes colours of 16 bits, which Pillow would cut to 8; tifffile, of the
extra ``medical``, takes TIFFs of other numbers of channels and of float64.
"""

import math
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from segnext_pafpn.data.readers.arrays import load_array, refuse_inexact
from segnext_pafpn.data.readers.files import (
    IMAGE_SUFFIXES,
    is_deep,
    is_deep_grey,
    open_image,
    read_size,
    refuse_pages,
)
from segnext_pafpn.data.readers.refusals import DECODE_ERRORS, MissingPackageError, unreadable
from segnext_pafpn.errors import UserError

PIXEL_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")
_TIFF_SUFFIXES = (".tif", ".tiff")
_KEPT_MODES = ("L", "LA", "RGB", "RGBA", "I", "I;16", "I;16B", "F")  # whose arrays are the file's values
_SAMPLES_PER_PIXEL, _EXTRA_SAMPLES = 277, 338  # TIFF's tags
_ORIENTATION = 274  # EXIF's tag


def read_pixels(paths: tuple[Path, ...], channels: int | None = None) -> np.ndarray:
    """The channels of one file, or of several, in the order of the files, as ``(H, W, C)``.

    Args:
        paths: of the image; several if it has a file for each channel, or for some of its channels.
        channels: that the image is to have, if that is known: of a single TIFF that does not say which of its axes are
            the channels, the last are, if it has so many of them and the first has not.

    Returns:
        uint8, uint16, int16 or float32. Wider numbers become float32, which holds whole ones up to 2^24.

    Raises:
        UserError: naming a file that cannot be read, or whose size is not that of the first.
    """
    channels = channels if len(paths) == 1 else None
    parts = [_narrow(_read(path, channels), path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        (h, w), (fh, fw) = part.shape[:2], parts[0].shape[:2]
        if (h, w) != (fh, fw):
            raise UserError(f"{path}: is {w}x{h}, but {paths[0]} is {fw}x{fh} (width x height). They must agree.")
    # types that differ may join into a wider one
    return parts[0] if len(parts) == 1 else _narrow(np.concatenate(parts, axis=2), paths[0])


def as_pixels(image: Image.Image, name: str) -> np.ndarray:
    """The same of a picture of Pillow's, best one that is not loaded yet.

    Args:
        name: that an error begins with.

    Raises:
        UserError: for several pages, and for colours of 16 bits, of which Pillow would leave 8.
    """
    refuse_pages(image, name)
    if is_deep(image):
        raise UserError(f"{name}: has colours of 16 bits, of which Pillow leaves 8. Give the path of its file.")
    return _decoded(image)


def read_pixels_size(path: Path, channels: int | None = None) -> tuple[int, int]:
    """Height and width from the header, as :func:`read_pixels` would return them.

    Args:
        channels: as there; None for one of several files.

    Raises:
        UserError: naming the file.
    """
    if path.suffix.lower() == ".npy":
        return _load_npy(path, mapped=True).shape[:2]
    if _is_for_tifffile(path):
        return _tiff_pixels(path, channels, header=True).shape[:2]
    return read_size(path)


def _read(path: Path, channels: int | None) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        return _load_npy(path)
    if _is_for_tifffile(path):
        return _tiff_pixels(path, channels)
    try:
        with open_image(path) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format in ("GIF", "PNG", "WEBP"):
                raise UserError(f"{path}: holds {image.n_frames} frames, expected one picture.")
            deep, grey = is_deep(image), is_deep_grey(image)
            image.load()  # OpenCV reads what is there of a file that was cut off, Pillow refuses it
            if deep:
                return _deep_colors(path, image.getexif().get(_ORIENTATION, 1))[..., [0, 3] if grey else slice(None)]
            return _decoded(image)
    except UserError:
        raise
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error


def _decoded(image: Image.Image) -> np.ndarray:
    """``(H, W, C)``, upright; the colours of a palette, and 0 and 255 where there is black and white alone."""
    image = ImageOps.exif_transpose(image)
    if image.mode not in _KEPT_MODES:
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _with_channels(np.asarray(image))


def _deep_colors(path: Path, orientation: int) -> np.ndarray:
    """Colours of 16 bits, ``(H, W, 3 or 4)`` RGB or RGBA; OpenCV makes RGBA of grey and alpha, too."""
    if orientation != 1:
        raise UserError(f"{path}: colours of 16 bits: {_to_be_turned(orientation)}")
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise UserError(f"{path}: cannot be decoded (colours of 16 bits). Save it as TIFF or .npy.")
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _to_be_turned(orientation: int) -> str:
    return f"the picture is to be turned (EXIF orientation {orientation}), expected an upright one. Save it turned."


def _load_npy(path: Path, mapped: bool = False) -> np.ndarray:
    pixels = load_array(path, mapped)
    if pixels.ndim not in (2, 3):
        raise UserError(f"{path}: the array has the shape {pixels.shape}, expected (height, width, channels).")
    return _with_channels(pixels)


def _is_for_tifffile(path: Path) -> bool:
    """Whether a TIFF has pages, a type that Pillow does not know, or channels that it would leave out."""
    if path.suffix.lower() not in _TIFF_SUFFIXES:
        return False
    try:
        with Image.open(path) as image:
            if image.format != "TIFF":
                return False
            left_out = image.tag_v2.get(_SAMPLES_PER_PIXEL, 1) != len(image.getbands()) or image.mode == "RGBX"
            changed = image.tag_v2.get(_EXTRA_SAMPLES) == (1,)  # Pillow divides colours by such an alpha
            return image.n_frames > 1 or left_out or changed
    except UnidentifiedImageError:
        with open(path, "rb") as file:
            return file.read(2) in (b"II", b"MM")  # a TIFF all the same
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error


def _tiff_pixels(path: Path, channels: int | None, header: bool = False) -> np.ndarray:
    """``(H, W, C)`` of the file's first series, its pages as channels; with ``header`` zeros of that shape."""
    tifffile = _tifffile(path)
    try:
        with tifffile.TiffFile(path) as file:
            orientation = file.pages[0].tags.valueof(_ORIENTATION, 1)
            series, *others = file.series
            shape, axes = series.shape, series.axes
            pixels = np.broadcast_to(np.uint8(0), shape) if header else series.asarray()
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error
    if orientation != 1:
        raise UserError(f"{path}: {_to_be_turned(orientation)}")
    if others:
        raise UserError(
            f"{path}: its pages are of {1 + len(others)} sizes or kinds, expected one. Save the right one alone."
        )
    if not {"X", "Y"} <= set(axes):
        raise UserError(f"{path}: a TIFF with the axes {axes} {shape}, expected height and width among them.")
    # tifffile.imwrite(path, array), which is not told otherwise, makes a page of each row of (height, width, channels)
    if axes == "QYX" and shape[2] == channels != shape[0]:
        return pixels
    pixels = np.moveaxis(pixels, (axes.index("Y"), axes.index("X")), (0, 1))
    return pixels.reshape(*pixels.shape[:2], math.prod(pixels.shape[2:]))


def _tifffile(path: Path) -> ModuleType:
    try:
        import tifffile
    except ImportError as error:
        raise MissingPackageError(path, "tifffile") from error
    return tifffile


def _with_channels(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _narrow(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Values as one of the four types that images have."""
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if not pixels.size or kind not in "buif":
        raise UserError(f"{path}: holds {pixels.dtype} values {pixels.shape}, expected numbers.")
    if kind == "b":
        return pixels.astype(np.uint8)
    if kind == "f":
        return pixels.astype(np.float32)
    if size <= 2:
        wanted = f"u{size}" if kind == "u" else "i2"
        return np.ascontiguousarray(pixels, dtype=np.dtype(wanted))
    refuse_inexact(pixels, path)
    return pixels.astype(np.float32)
