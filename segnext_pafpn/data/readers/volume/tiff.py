"""TIFF files of one picture or of many pages by tifffile, which is imported when the first is read."""

import json
import logging
import re
import threading
from contextlib import ExitStack
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from segnext_pafpn.data.readers.refusals import DECODE_ERRORS, MissingPackageError
from segnext_pafpn.data.readers.volume.header import VolumeHeader, copied_bytes, unreadable
from segnext_pafpn.errors import UserError

_MILLIMETRES = {
    "mm": 1.0, "millimeter": 1.0, "cm": 10.0, "centimeter": 10.0, "inch": 25.4, "nm": 1e-6,
    "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "\\u00b5m": 1e-3, "micrometer": 1e-3,
}  # fmt: skip
_SERIOUS = ("page offset", "corrupted", "series failed")  # of tifffile's complaints
_RESOLUTION_UNITS = {3: 10.0}  # tag 296: centimetre; 2, inch, says how large a picture is to be printed


def read_header(path: Path) -> VolumeHeader:
    """Shape, channels, and the spacing that ImageJ, OME or the resolution tags give.

    Raises:
        UserError: naming a file that is no TIFF file of pages of one size, or tifffile where it is not installed.
    """
    with _open(path) as tiff:
        try:
            axes, shape = _axes(tiff, path)
            sides = dict(zip(axes, shape, strict=True))
            spacing = _spacing(tiff, "D" in sides)
            series = tiff.series[0]
            is_mapped = series.dataoffset is not None
        except UserError:
            raise
        except DECODE_ERRORS as error:
            raise unreadable(path, error) from error
    return VolumeHeader(
        (sides.get("D", 1), sides["Y"], sides["X"]),
        sides.get("C", 1),
        spacing,
        is_picture="D" not in sides,
        unpacked_bytes=copied_bytes(shape, series.dtype) if is_mapped else series.nbytes,
    )


def read_values(path: Path) -> np.ndarray:
    """``(D, H, W, C)`` of the file's type; files without compression are mapped.

    Raises:
        UserError: naming a file that is missing, cut short, or has pages of several sizes.
    """
    import tifffile

    with _open(path) as tiff:
        try:
            axes, shape = _axes(tiff, path)
            if tiff.series[0].dataoffset is not None:
                values = tifffile.memmap(path, mode="r")
            else:
                values = _decode(tiff, path)
            values = values.reshape(shape)
        except UserError:
            raise
        except DECODE_ERRORS as error:
            raise unreadable(path, error) from error
    for place, axis in enumerate("DYXC"):
        if axis not in axes:
            axes, values = axes + axis, values[..., None]
        at = axes.index(axis)
        values = np.moveaxis(values, at, place)
        axes = axes.replace(axis, "")[:place] + axis + axes.replace(axis, "")[place:]
    return values


def spacing_beside(path: Path) -> tuple[float, float, float] | None:
    """What nnU-Net's ``CASE.json`` beside ``CASE_0000.tif`` (or ``CASE.tif``) says; None if there is no such file.

    Raises:
        UserError: naming the JSON file, if it holds no spacing.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    file = path.with_name(re.sub(r"_\d{4}$", "", path.stem) + ".json")
    if not file.is_file():
        return None
    try:
        spacing = [float(side) for side in json.loads(file.read_text(encoding="utf-8"))["spacing"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{file}: {error!r}, expected {{"spacing": [slices, rows, columns]}}. Correct it.') from error
    if len(spacing) not in (2, 3) or min(spacing) <= 0:
        raise UserError(f"{file}: spacing: expected [slices, rows, columns] in millimetres, found {spacing}.")
    return (1.0, *spacing)[-3:]


def _open(path: Path) -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise MissingPackageError(path, "tifffile") from error
    complaints = _Complaints()
    tifffile.logger().addFilter(complaints)
    with ExitStack() as opened:
        try:
            tiff = opened.enter_context(tifffile.TiffFile(path))
            len(tiff.pages), len(tiff.series)  # follows the chain of pages to its end
        except DECODE_ERRORS as error:
            raise unreadable(path, error) from error
        finally:
            tifffile.logger().removeFilter(complaints)
        if complaints.found:
            raise unreadable(path, ValueError(complaints.found[0]))
        opened.pop_all()
    return tiff


class _Complaints(logging.Filter):
    """What tifffile logs of pages that it cannot find or put together, where it goes on with others; of one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        ours = record.thread == self._thread and any(words in text for words in _SERIOUS)
        self.found += [text] if ours else []
        return not ours


def _axes(tiff: Any, path: Path) -> tuple[str, tuple[int, ...]]:
    """Letters D, Y, X, C and lengths of the axes that the file has, in its order."""
    if len(tiff.series) != 1:
        raise UserError(
            f"{path}: its pages are of {len(tiff.series)} sizes or kinds, expected one. Save each as a file of its own."
        )
    series = tiff.series[0]
    names = {"S": "C", "C": "C", "Y": "Y", "X": "X"}
    found = [(names.get(axis, "D"), size) for axis, size in zip(series.axes, series.shape, strict=True)]
    found = [(axis, size) for axis, size in found if size > 1 or axis in "YX"]
    axes = "".join(axis for axis, _ in found)
    if len(set(axes)) < len(axes):
        raise UserError(
            f"{path}: has the axes {series.axes} {tuple(series.shape)}, expected slices, rows, columns and channels. "
            f"Save each time or series as a file of its own."
        )
    return axes, tuple(size for _, size in found)


def _decode(tiff: Any, path: Path) -> np.ndarray:
    try:
        return tiff.series[0].asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        try:  # Pillow knows LZW and others that tifffile leaves to a further package
            with Image.open(path) as image:
                return np.stack([np.asarray(page) for page in ImageSequence.Iterator(image)])
        except UnidentifiedImageError:
            raise error from None


def _spacing(tiff: Any, stack: bool) -> tuple[float, float, float] | None:
    """Of slices, rows and columns in millimetres; None if one of them is not said."""
    page = tiff.pages[0]
    if tiff.is_ome:
        pixels = _ome_pixels(tiff.ome_metadata)
        sizes = [_length(pixels, f"PhysicalSize{axis}") for axis in "ZYX"]
    else:
        metadata = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}
        unit = _MILLIMETRES.get(str(metadata.get("unit", "")).lower())
        unit = unit or _RESOLUTION_UNITS.get(_tag(page, "ResolutionUnit"))
        depth = metadata.get("spacing")
        sizes = [unit * float(depth) if unit and depth else None]
        sizes += [_pixel_side(_tag(page, f"{axis}Resolution"), unit) for axis in "YX"]
    if not stack:
        sizes[0] = sizes[0] or 1.0
    return tuple(sizes) if all(size and isfinite(size) and size > 0 for size in sizes) else None


def _pixel_side(resolution: tuple[int, int] | None, unit: float | None) -> float | None:
    """From pixels per unit, a fraction."""
    if not resolution or not unit or not resolution[0]:
        return None
    return unit * resolution[1] / resolution[0]


def _tag(page: Any, name: str) -> Any:
    tag = page.tags.get(name)
    return None if tag is None else tag.value


def _ome_pixels(text: str) -> dict:
    import tifffile

    image = tifffile.xml2dict(text)["OME"]["Image"]
    return (image[0] if isinstance(image, list) else image)["Pixels"]


def _length(pixels: dict, key: str) -> float | None:
    unit = _MILLIMETRES.get(str(pixels.get(f"{key}Unit", "µm")).lower())  # OME's unit where none is written
    return unit * float(pixels[key]) if key in pixels and unit else None
