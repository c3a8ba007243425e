"""Decoded pictures as ``.npy`` files, mapped into memory, for all workers, processes and runs together."""

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from segnext_pafpn import __version__
from segnext_pafpn.data.pairs import FilePairs, Pair
from segnext_pafpn.data.readers import Reader, Sample
from segnext_pafpn.data.readers.splits import Draw
from segnext_pafpn.errors import UserError
from segnext_pafpn.files import write_atomic

# options of a layout that divide the samples, say where they are or how volumes are kept, but change none
_DIVIDING = {"root", "card", "lists", "splits_file", "train", "val", "test", "min_foreground", "cache_mb", "unpack"}
_DIVIDING |= {field.name for field in fields(Draw)}


class DiskCache:
    """Two files for each pair, image and mask, written by whoever reads it first.

    A file's name follows from the paths, sizes and times of the files that were decoded, from the reader's options and
    from the card: what has changed is decoded anew. What nobody asks for any more stays until the folder is removed,
    which does no harm at any time.
    """

    def __init__(self, files: FilePairs, folder: Path):
        self.files = files
        self.folder = folder
        options = _options(files.reader)
        card = getattr(files.reader, "card", None)
        card = card and replace(card, layout={}, root=None, path=None)  # the layout's options are the reader's
        table = _digest(files.labels.table.tobytes())
        self._image_key = f"{__version__} {options} {files.form}"
        self._mask_key = f"{__version__} {options} {card} {table}"

    def holds(self, sample: Sample) -> bool:
        """Whether the pair is there."""
        return self._image_path(sample).is_file() and self._mask_path(sample).is_file()

    def read(self, sample: Sample) -> Pair:
        """The pair, as views of the files.

        Raises:
            UserError: naming a file that cannot be read or written.
        """
        image = _kept(self._image_path(sample), lambda: self.files.read_image(sample))
        mask = _kept(self._mask_path(sample), lambda: self.files.read_mask(sample, image))
        return image, mask

    def _image_path(self, sample: Sample) -> Path:
        return self._path(self._image_key, sample, sample.channel_files or (sample.image,), "image")

    def _mask_path(self, sample: Sample) -> Path:
        # the image too: outlines and runs are looked up by its name, and its size must be that of the mask
        masks = [file for _, file in sample.class_masks]
        return self._path(self._mask_key, sample, (sample.image, sample.mask, *masks, sample.valid), "mask")

    def _path(self, key: str, sample: Sample, files: tuple[Path | None, ...], what: str) -> Path:
        named = [index for index, _ in sample.class_masks]
        made = sample.name if sample.image is None else ""
        text = f"{key} {[_stamp(file) for file in files]} {named} {sample.slice} {sample.seed} {made}"
        digest = _digest(text.encode())
        return self.folder / digest[:2] / f"{digest}.{what}.npy"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _options(reader: Reader) -> str:
    names = [field.name for field in fields(reader) if field.name not in _DIVIDING]
    return f"{type(reader).__name__} {[(name, getattr(reader, name)) for name in names]} {reader.slicing}"


def _stamp(file: Path | None) -> tuple | None:
    """Place, size and time of change; None for a file that is not there, about which its reader will complain."""
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return status and (str(file.absolute()), status.st_size, status.st_mtime_ns)


def _kept(path: Path, read: Callable[[], np.ndarray]) -> np.ndarray:
    """What the file holds; if it is not there, or was damaged, what ``read`` gives, which is written."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError):  # not there; or less than was written, which a loss of power can leave
        pass
    array = read()
    try:
        with write_atomic(path) as temporary:
            np.save(temporary, array)
    except UserError as error:
        raise UserError(f"data.cache_dir: {error}") from error
    return array
