"""NIfTI files (.nii, .nii.gz) by nibabel, which is imported when the first is read."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from segnext_pafpn.data.readers.refusals import DECODE_ERRORS, MissingPackageError
from segnext_pafpn.data.readers.volume.header import VolumeHeader, copied_bytes, unreadable
from segnext_pafpn.errors import UserError

_MILLIMETRES = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}


def read_header(path: Path) -> VolumeHeader:
    """Shape, spacing and affine; of a compressed file only its beginning is unpacked.

    Raises:
        UserError: naming a file that is no NIfTI file of two or three axes, or nibabel where it is not installed.
    """
    image = load(path)
    try:
        return _header(image, path)
    except UserError:
        raise
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error


def _header(image: Any, path: Path) -> VolumeHeader:
    i, j, k = _three_axes(image, path)
    header = image.header
    # most programs leave the unit out and mean millimetres
    factor = _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    zooms = [factor * float(zoom) for zoom in (*header.get_zooms()[:3], 1.0)[:3]]
    known = all(np.isfinite(zoom) and zoom > 0 for zoom in zooms)
    packed, dtype = path.suffix.lower() == ".gz", image.get_data_dtype()
    if not _is_plain(image.dataobj):
        packed, dtype = True, np.dtype(np.float32)
    return VolumeHeader(
        (k, j, i),
        spacing=tuple(reversed(zooms)) if known else None,
        affine=np.asarray(image.affine),
        orientation=_orientation(image),
        unpacked_bytes=i * j * k * dtype.itemsize if packed else copied_bytes((i, j, k), dtype),
    )


def read_values(path: Path) -> np.ndarray:
    """``(D, H, W, 1)`` as the file's scaling has it: float32 if it is scaled, else its type; uncompressed ones mapped.

    Raises:
        UserError: naming a file that is missing, cut short, or no NIfTI file of two or three axes.
    """
    image = load(path, whole=True)
    proxy = image.dataobj
    try:
        axes = _three_axes(image, path)
        values = proxy.get_unscaled() if _is_plain(proxy) else np.asarray(proxy, dtype=np.float32)
    except UserError:
        raise
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error
    return values.reshape(axes, order="F").transpose(2, 1, 0)[..., None]


def load(path: Path, whole: bool = False) -> Any:
    """nibabel's image, whose voxels have not been decoded.

    Args:
        whole: unpack a compressed file to its end, where its checksum stands, which nibabel does not look at.

    Raises:
        UserError: naming the file, or nibabel where it is not installed.
    """
    try:
        import nibabel
    except ImportError as error:
        raise MissingPackageError(path, "nibabel") from error
    try:
        if whole and path.suffix.lower() == ".gz":
            with gzip.open(path) as file:
                return nibabel.Nifti1Image.from_bytes(file.read())
        return nibabel.Nifti1Image.from_filename(path)
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error


def _is_plain(proxy: Any) -> bool:
    """Whether the values are those of the file, not scaled."""
    return proxy.slope == 1 and proxy.inter == 0


def _orientation(image: Any) -> str:
    """Empty where the affine is none, or the file says by its codes that it has none (nibabel then makes one up)."""
    import nibabel

    said = image.header["sform_code"] > 0 or image.header["qform_code"] > 0
    codes = nibabel.aff2axcodes(image.affine) if said and np.isfinite(image.affine).all() else (None,)
    return "" if None in codes else "".join(codes)


def _three_axes(image: Any, path: Path) -> tuple[int, int, int]:
    """Sides along i, j and k; further axes of length 1 mean nothing."""
    shape = list(image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) == 2:
        shape.append(1)
    if not all(shape):
        raise UserError(f"{path}: holds no voxels {tuple(image.shape)}, expected some. Export it again.")
    if len(shape) != 3:
        raise UserError(
            f"{path}: has {len(shape)} axes {tuple(image.shape)}, expected 3. Save each channel (or moment) as a file "
            f"of its own, such as CASE_0000.nii.gz and CASE_0001.nii.gz."
        )
    if image.get_data_dtype().fields is not None:
        raise UserError(f"{path}: its voxels are colours, expected numbers. Save each colour as a file of its own.")
    return tuple(shape)
