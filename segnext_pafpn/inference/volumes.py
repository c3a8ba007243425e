"""Predict volumes: which files are the channels of one, its slices in batches, and the labels in the volume's form."""

import gzip
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from time import perf_counter

import numpy as np

from segnext_pafpn.data.readers.pattern_images import by_name
from segnext_pafpn.data.readers.patterns import PathPattern
from segnext_pafpn.data.readers.volume import nifti
from segnext_pafpn.data.readers.volume.axes import turn_to, turned_header
from segnext_pafpn.data.readers.volume.cache import VolumeCache, read_slice
from segnext_pafpn.data.readers.volume.files import ANY_SUFFIXES, VOLUME_SUFFIXES, read_header, suffix_of
from segnext_pafpn.data.readers.volume.header import describe_grid_difference
from segnext_pafpn.data.readers.volume.tiff import spacing_beside
from segnext_pafpn.errors import UserError, counted
from segnext_pafpn.files import write_atomic
from segnext_pafpn.inference.inputs import image_format
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.writer import save_mask
from segnext_pafpn.slicing import Slicing, stack_along

log = logging.getLogger(__name__)

_SPARE_BYTES = 2**30  # for the channels of the volume at hand


@dataclass(frozen=True)
class VolumeAnswer:
    """A volume's answer, which lies as its files do.

    Args:
        labels: class ids (D, H, W) uint8.
        probabilities: (K, D, H, W) float16, or None.
        seconds: that the model took.
        orientation: where the files' axes run to, such as ``RAS``; empty if they do not say it.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    seconds: float
    orientation: str


@dataclass(frozen=True)
class VolumeFiles:
    """A volume to predict: its name, which its labels are written under, and a file for each channel or for all."""

    name: str
    files: tuple[Path, ...]

    @property
    def output_name(self) -> str:
        """Of the labels' file: NIfTI, TIFF and numpy stay what they are, pictures become PNG."""
        suffix = suffix_of(self.files[0])
        return self.name + (suffix if suffix in VOLUME_SUFFIXES else ".png")


def find_volumes(source: str, slicing: Slicing) -> list[VolumeFiles]:
    """The volumes in a folder whose files are named as those of training were, or those of chosen files.

    Args:
        source: a folder such as nnU-Net's imagesTs, the file of a volume (of its first channel), or a glob of such.

    Raises:
        UserError: if there is none, or a channel of one is missing.
    """
    path = Path(source)
    patterns = [PathPattern(text, ANY_SUFFIXES) for text in slicing.images]
    chosen = [] if path.is_dir() else [path] if path.exists() else _globbed(source)
    if not path.is_dir() and not chosen:
        raise UserError(f"{source}: no such file or folder. Give a volume, a folder of volumes, or a quoted glob.")
    if len({file.parent for file in chosen}) > 1:
        raise UserError(f"{source}: finds volumes in several folders, expected one. Predict them one by one.")
    root = chosen[0].parent if chosen else path
    found = [by_name(pattern, root, "", "image") for pattern in patterns]
    if chosen:
        fitting = {name: file for name, file in found[0].items() if Path(file) in chosen}
        if not fitting and len(patterns) > 1:
            raise UserError(f"{source}: is not named as in training, {patterns[0].text}. Rename it, and its channels.")
        if not fitting:
            return [VolumeFiles(file.name.removesuffix(suffix_of(file)), (file,)) for file in chosen]
        found[0] = fitting
    volumes = []
    for name in found[0]:
        for pattern, files in zip(patterns, found, strict=True):
            if name not in files:
                raise UserError(f"{found[0][name]}: a channel is missing. Expected {pattern.show(root, name)}. Add it.")
        volumes.append(VolumeFiles(name, tuple(Path(files[name]) for files in found)))
    named = " and ".join(slicing.images)
    if not volumes:
        types = f" (.* is any of {' '.join(ANY_SUFFIXES[:6])} ...)" if ".*" in named else ""
        raise UserError(f"{source}: no volume found. Expected files named as in training, {named}{types}.")
    taken = {file for volume in volumes for file in volume.files}
    kinds = {*VOLUME_SUFFIXES, *map(suffix_of, taken)}
    left = [file for file in chosen or _files(path.iterdir(), kinds) if file not in taken]
    if left:
        what = counted(len(left), "file")
        log.warning(f"warning: {what} left out, {left[0]} first: not named as in training, {named}.")
    return volumes


def _globbed(pattern: str) -> list[Path]:
    """The volumes that a glob finds; the pictures, each a volume of one slice, where it finds nothing else."""
    found = glob(pattern, recursive=True)
    return _files(found, VOLUME_SUFFIXES) or _files(found, ANY_SUFFIXES)


def _files(paths: Iterable[str | Path], suffixes: Collection[str]) -> list[Path]:
    return sorted(path for path in map(Path, paths) if path.is_file() and suffix_of(path) in suffixes)


def predict_volume(predictor: Predictor, volume: VolumeFiles, probabilities: bool = False) -> VolumeAnswer:
    """Predict a volume, some slices at a time.

    Raises:
        UserError: naming a file that cannot be read, whose shape or place is not that of the first, or whose values
            or channels are not what the model was trained on.
    """
    headers = [read_header(path) for path in volume.files]
    for path, header in zip(volume.files, headers, strict=True):
        if difference := describe_grid_difference(headers[0], header):
            raise UserError(f"{path}: {difference} ({volume.files[0]}). Resample it onto that one.")
    slicing, form = predictor.preprocessing.slicing, image_format(predictor.preprocessing)
    cache = VolumeCache(_SPARE_BYTES * len(volume.files))
    turn = turn_to(headers[0], slicing.orientation)
    shape = turned_header(headers[0], slicing.orientation).shape
    axis = 0 if headers[0].is_picture else slicing.axis
    masks: list[np.ndarray] = []
    shares = None
    seconds = 0.0
    depth = shape[axis]
    for first in range(0, depth, predictor.batch_size):
        images = [
            read_slice(cache, volume.files, axis, number, slicing.neighbours, slicing.standardize, turn)
            for number in range(first, min(first + predictor.batch_size, depth))
        ]
        images = [form.check(image, str(volume.files[0]), "model") for image in images]
        begin = perf_counter()
        answers = predictor.answers(images, probabilities)
        seconds += perf_counter() - begin
        masks += [answer.mask for answer in answers]
        for number, answer in enumerate(answers if probabilities else (), start=first):
            if shares is None:
                shares = np.empty((len(answer.probabilities), *shape), answer.probabilities.dtype)
            shares[(slice(None),) * (1 + axis) + (number,)] = answer.probabilities
    if shares is not None:
        shares = np.moveaxis(turn.back(np.moveaxis(shares, 0, 3)), 3, 0)
    labels = np.ascontiguousarray(turn.back(stack_along(masks, axis)))
    return VolumeAnswer(labels, shares, seconds, headers[0].orientation)


def save_labels(labels: np.ndarray, path: Path, like: Path) -> None:
    """Write class ids (D, H, W) uint8 or uint16 in the form of the volume ``like``, whole or not at all.

    NIfTI keeps the shape, affine, units and codes of its header; TIFF the spacing, written as ImageJ does.

    Raises:
        ValueError: if the labels are of another type, or not of the volume's shape.
    """
    header = read_header(like)
    if labels.dtype not in (np.uint8, np.uint16) or labels.shape != header.shape:
        raise ValueError(f"the labels are {labels.dtype} {labels.shape}, expected uint8 or uint16 {header.shape}.")
    suffix = suffix_of(path)
    if suffix in (".nii", ".nii.gz"):
        _save_nifti(labels, path, like)
    elif suffix in (".tif", ".tiff"):
        _save_tiff(labels, path, spacing_beside(like) or header.spacing)
    elif suffix == ".npy":
        with write_atomic(path) as temporary:
            np.save(temporary, labels[0] if header.is_picture else labels)
    else:
        save_mask(labels[0], path)


def _save_nifti(labels: np.ndarray, path: Path, like: Path) -> None:
    source = nifti.load(like)
    header = source.header.copy()
    header.set_data_dtype(labels.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # the window of the image
    image = type(source)(labels.transpose(2, 1, 0).reshape(source.shape), source.affine, header)
    content = image.to_bytes()
    with write_atomic(path) as temporary:
        temporary.write_bytes(gzip.compress(content, 6, mtime=0) if suffix_of(path) == ".nii.gz" else content)


def _save_tiff(labels: np.ndarray, path: Path, spacing: tuple[float, float, float] | None) -> None:
    import tifffile

    with write_atomic(path) as temporary:
        if spacing is None:
            tifffile.imwrite(temporary, labels, photometric="minisblack", compression="zlib")
            return
        depth, height, width = (1000 * side for side in spacing)
        metadata = {"axes": "ZYX", "spacing": depth, "unit": "um"}
        tifffile.imwrite(temporary, labels, imagej=True, resolution=(1 / width, 1 / height), metadata=metadata)
