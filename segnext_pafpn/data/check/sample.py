"""What can be seen of one pair: its size, its ids, and, where asked for, its pixels' statistics and fingerprints."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageMode

from segnext_pafpn.data.image_format import ImageFormat
from segnext_pafpn.data.labels import UNKNOWN, LabelMap
from segnext_pafpn.data.pairs import describe_sizes, describe_unknown, read_raw
from segnext_pafpn.data.readers import Reader, Sample
from segnext_pafpn.data.readers.files import DECODE_ERRORS
from segnext_pafpn.data.readers.volume.files import suffix_of
from segnext_pafpn.data.statistics import Measured, measure_image
from segnext_pafpn.errors import UserError
from segnext_pafpn.ids import IGNORE_INDEX
from segnext_pafpn.intensity import viewable

THUMB = (16, 17)  # rows and columns of the fingerprint: 16 x 16 differences between neighbours
_EXACT_COUNTS = 2**24  # OpenCV counts in float32


@dataclass(frozen=True)
class Details:
    """What the check of a training run leaves out.

    Args:
        image_kind: format, mode and decoded type, such as ``JPEG RGB, 3 x uint8``.
        mask_kind: the same with the file's own type; the suffix alone for what Pillow does not open.
        low, high: smallest and largest value of the image.
        sums, squares: of the values of each channel, and of their squares, (C,).
        pixels: of the image.
        digest: hash of the image's decoded pixels and size.
        thumb: the image in grey, shrunk to 16 x 17, for finding copies that are not exact.
    """

    image_kind: str
    mask_kind: str
    low: float
    high: float
    sums: np.ndarray
    squares: np.ndarray
    pixels: int
    digest: bytes
    thumb: np.ndarray


@dataclass(frozen=True)
class Finding:
    """One pair.

    ``ids`` are the raw ids in its mask (of layers, the indices of classes) and ``counts`` their pixels; both are None
    if it was not read. ``measured`` is of its image's values, where they were asked for.
    """

    sample: Sample
    problem: str | None = None
    readable: bool = True
    size: tuple[int, int] | None = None
    ids: np.ndarray | None = None
    counts: np.ndarray | None = None
    details: Details | None = None
    measured: Measured | None = None


def look_at(
    sample: Sample, reader: Reader, labels: LabelMap, form: ImageFormat, details: bool, most: int = 0
) -> Finding:
    """Read a pair and compare it with the card; nothing is raised for what is wrong with its files.

    Args:
        form: what the card says of the image.
        details: also measure image and mask, see :class:`Details`.
        most: also measure the image's values, and pick so many pixels of it; 0 not to.
    """
    size = None
    try:
        image = reader.read_image(sample)
        size = image.shape[:2]
        raw = read_raw(reader, sample, labels)
    except UserError as error:
        return Finding(sample, str(error), readable=False, size=size)
    try:
        form.check(image, sample.label)
    except UserError as error:
        return Finding(sample, str(error), size=size)
    ids, counts = count_layers(raw) if labels.multi_label else count_ids(raw)
    seen = _details(sample, image, raw, form.neighbours) if details else None
    problem = None
    where = sample.mask_label
    if raw.shape[-2:] != size:
        problem = f"{where}: {describe_sizes(image, raw)}"
    elif (unknown := ids[labels.table[ids] == UNKNOWN]).size:
        problem = f"{where}: {describe_unknown(unknown.tolist(), labels)}"
    measured = None
    if most and not problem:
        truth = labels(raw)
        measured = measure_image(image, truth, labels.num_classes, form, most)
    return Finding(sample, problem, True, size, ids, counts, seen, measured)


def count_ids(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different values of a mask (H, W) of an integer type, ascending, and how many pixels have each."""
    if raw.dtype == np.uint8 and raw.size < _EXACT_COUNTS:  # twice as fast as bincount, which widens to int64 first
        bins = cv2.calcHist([raw], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    else:
        bins = np.bincount(raw.ravel())
    ids = np.flatnonzero(bins)
    return ids, bins[ids]


def count_layers(layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes in layers (K, H, W), ascending, and how many pixels have each; last 255, if pixels have no layer."""
    counts = np.append((layers == 1).sum(axis=(1, 2)), (layers == IGNORE_INDEX).all(axis=0).sum())
    ids = np.append(np.arange(len(layers)), IGNORE_INDEX)
    return ids[counts > 0], counts[counts > 0]


def _details(sample: Sample, image: np.ndarray, raw: np.ndarray, neighbours: int) -> Details:
    if image.dtype == np.uint8 and image.shape[2] <= 4:  # what OpenCV takes, ten times as fast
        mean, deviation = (values.ravel() for values in cv2.meanStdDev(image))
    else:
        mean, deviation = (getattr(image, name)(axis=(0, 1), dtype=np.float64) for name in ("mean", "std"))
    pixels = image.shape[0] * image.shape[1]
    image = np.ascontiguousarray(image)
    kind = "" if image.dtype == np.uint8 else str(image.dtype)
    digest = hashlib.sha256(f"{image.shape}{kind}".encode())
    digest.update(image)
    return Details(
        image_kind=f"{_file_kind(sample.image)}{image.shape[2]} x {image.dtype}",
        mask_kind=_mask_kind(sample, raw),
        low=image.min().item(),
        high=image.max().item(),
        sums=pixels * mean,
        squares=pixels * (deviation**2 + mean**2),
        pixels=pixels,
        digest=digest.digest(),
        thumb=_thumb(viewable(image, neighbours=neighbours)),
    )


def _thumb(picture: np.ndarray) -> np.ndarray:
    rows, columns = THUMB
    # in two steps: averaging the whole picture at once takes five times as long
    small = cv2.resize(picture, (8 * columns, 8 * rows), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_AREA)
    return small.reshape(rows, columns, -1).mean(axis=2).round().astype(np.uint8)


def _mask_kind(sample: Sample, raw: np.ndarray) -> str:
    """Of the file as it is, whose values a reader may have changed."""
    path = sample.mask or next((path for _, path in sample.class_masks), None)
    if path is None:
        return f"1 x {raw.dtype}" if sample.image is None else "no file"
    try:
        with Image.open(path) as image:
            kind = np.dtype(ImageMode.getmode(image.mode).typestr)
            return f"{image.format} {image.mode}, {len(image.getbands())} x {kind}"
    except DECODE_ERRORS:
        return suffix_of(path).lstrip(".").upper()


def _file_kind(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with Image.open(path) as image:
            return f"{image.format} {image.mode}, "
    except DECODE_ERRORS:  # a format of a reader that does not use Pillow
        return f"{suffix_of(path).lstrip('.').upper()}, "
