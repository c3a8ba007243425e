"""Any file of a volume by its name's end, and its values in the types that the package works with."""

from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.arrays import load_array, refuse_inexact
from segnext_pafpn.data.readers.files import IMAGE_SUFFIXES, read_ids
from segnext_pafpn.data.readers.pixels import read_pixels, read_pixels_size
from segnext_pafpn.data.readers.volume import nifti, tiff
from segnext_pafpn.data.readers.volume.header import KEPT_TYPES, VolumeHeader, copied_bytes
from segnext_pafpn.errors import UserError

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".tif", ".tiff", ".npy")
ANY_SUFFIXES = (*VOLUME_SUFFIXES, *(suffix for suffix in IMAGE_SUFFIXES if suffix not in VOLUME_SUFFIXES))


def suffix_of(path: Path | str) -> str:
    """The end that says the format, in lower case: of ``a.b.nii.gz`` it is ``.nii.gz``."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def stem_of(path: Path | str) -> str:
    """The name without that end."""
    name = Path(path).name
    return name[: len(name) - len(suffix_of(name))]


def read_header(path: Path) -> VolumeHeader:
    """What a file says of itself.

    Raises:
        UserError: naming a file that is missing, damaged or of more axes, or a package that is not installed.
    """
    suffix = suffix_of(path)
    if suffix in (".nii", ".nii.gz"):
        return nifti.read_header(path)
    if suffix in (".tif", ".tiff"):
        return tiff.read_header(path)
    if suffix == ".npy":
        array = _map_npy(path)
        shape = array.shape
        is_picture = len(shape) == 2
        return VolumeHeader(
            (1, *shape) if is_picture else shape[:3],
            *shape[3:],
            is_picture=is_picture,
            unpacked_bytes=copied_bytes(shape, array.dtype),
        )
    height, width = read_pixels_size(path)
    return VolumeHeader((1, height, width), 1, is_picture=True)  # channels are counted when the picture is decoded


def read_volume(path: Path, labels: bool = False) -> np.ndarray:
    """``(D, H, W, C)`` uint8, uint16, int16 or float32, of any byte order; mapped where the file allows it.

    Args:
        labels: of a palette picture read the indices, not the colours.

    Raises:
        UserError: as :func:`read_header`.
    """
    suffix = suffix_of(path)
    if suffix in (".nii", ".nii.gz"):
        values = nifti.read_values(path)
    elif suffix in (".tif", ".tiff"):
        values = tiff.read_values(path)
    elif suffix == ".npy":
        values = _map_npy(path)
        values = values[None, ..., None] if values.ndim == 2 else values
        values = values[..., None] if values.ndim == 3 else values
    else:
        values = read_ids(path)[None, ..., None] if labels else read_pixels((path,))[None]
    return _narrow(values, path)


def as_ids(values: np.ndarray, path: Path) -> np.ndarray:
    """Labels of any type to uint8 or uint16.

    Raises:
        UserError: naming the file, if they are no whole numbers of 0 to 65535.
    """
    if values.dtype in (np.uint8, np.uint16):
        return values
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (low >= 0 and high < 65536) or (values.dtype.kind == "f" and (values != np.rint(values)).any()):
        raise UserError(
            f"{path}: the labels are {values.dtype} values of {low:g} to {high:g}, expected whole numbers of 0 to "
            f"65535. Was it interpolated, or is it an image? Save whole numbers."
        )
    return values.astype(np.uint16)


def _map_npy(path: Path) -> np.ndarray:
    array = load_array(path, mapped=True)
    if not 2 <= array.ndim <= 4 or not array.size or array.dtype.kind not in "biuf":
        raise UserError(
            f"{path}: an array of {array.dtype} {array.shape}, expected numbers (rows, columns), (slices, rows, "
            f"columns) or (slices, rows, columns, channels)."
        )
    return array


def _narrow(values: np.ndarray, path: Path) -> np.ndarray:
    """The same numbers in one of the four types; float64 is rounded to float32."""
    if values.dtype.newbyteorder("=") in KEPT_TYPES:
        return values
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype.kind not in "iu":
        raise UserError(f"{path}: holds {values.dtype} values, expected whole or floating numbers. Save it again.")
    low, high = int(values.min()), int(values.max())
    fitting = next((t for t in KEPT_TYPES[:3] if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None)
    if fitting is None:
        refuse_inexact(values, path)
    return values.astype(fitting or np.float32)
