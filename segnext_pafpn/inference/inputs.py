"""Which files are the images that are to be predicted, and how they are read."""

import os
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import NoReturn

import numpy as np

from segnext_pafpn.data.image_format import ImageFormat
from segnext_pafpn.data.readers.files import IMAGE_SUFFIXES, read_rgb
from segnext_pafpn.data.readers.patterns import PathPattern
from segnext_pafpn.data.readers.pixels import PIXEL_SUFFIXES, read_pixels
from segnext_pafpn.errors import UserError
from segnext_pafpn.files import read_lines
from segnext_pafpn.models.preprocessing import Preprocessing


def find_images(pattern: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The images that ``pattern`` means: a file, those directly in a folder or of a glob (``**`` is known), sorted.

    A text file is a list of images in its own order, one a line; see :func:`_listed`.

    Args:
        suffixes: of files that are images.

    Raises:
        UserError: if there are none, or one of a list is not there.
    """
    path = Path(pattern)
    try:
        if path.is_file() and path.suffix.lower() == ".txt":
            return _listed(path)
        if path.is_file():
            return [path]
        candidates = _visible(path) if path.is_dir() else sorted(set(map(Path, glob(pattern, recursive=True))))
    except OSError as error:
        raise UserError(f"{pattern}: cannot be searched for images ({error.strerror}).") from error
    # a link that leads nowhere stays, to be reported among those that cannot be read
    found = [path for path in candidates if path.suffix.lower() in suffixes and not path.is_dir()]
    if not found:
        raise UserError(
            f"{pattern}: no images found. Expected an image, a folder with images directly in it, a quoted glob such "
            f"as 'photos/**/*.jpg', or a .txt with the path of an image a line; known suffixes: {' '.join(suffixes)}."
        )
    return found


def folders_left_out(pattern: str | list[str], output: str) -> list[Path]:
    """The folders with images in the folder ``pattern``, which are not looked into; not that of the output."""
    if not isinstance(pattern, str) or not Path(pattern).is_dir():
        return []
    own = Path(output).resolve()
    folders = [path for path in _visible(Path(pattern)) if path.is_dir() and path.resolve() != own]
    return [path for path in folders if any(file.suffix.lower() in PIXEL_SUFFIXES for file in path.rglob("*"))]


def refuse_missing(pattern: str | list[str]) -> None:
    """Ask whether there is anything of this name, which takes no model.

    Raises:
        UserError: if there is not.
    """
    if not isinstance(pattern, str):
        return
    try:
        missing = not Path(pattern).exists() and not glob(pattern, recursive=True)
    except OSError as error:
        raise UserError(f"{pattern}: cannot be searched for images ({error.strerror}).") from error
    if missing:
        raise UserError(
            f"{pattern}: no images found: no such file or folder. Give an image or volume, a folder of them, or a "
            f"quoted glob such as 'photos/**/*.jpg'."
        )


def find_channel_files(patterns: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """The files of images that have several, one for each pattern, by what ``{name}`` is, sorted.

    Further fields of a file's name are part of the image's, with ``_`` between them.

    Raises:
        UserError: naming a pattern without ``{name}``, the file that one image lacks, and two images of one name.
    """
    found = []
    for text in patterns:
        root = Path(text.rsplit("{name}", 1)[0]).parent if "{name}" in text else None
        if root is None or "/" in text.rsplit("{name}", 1)[1]:
            raise UserError(
                f"input: '{text}': expected a pattern with {{name}} in the file's name for each channel, as in "
                f"['scans/{{name}}_t1.tif', 'scans/{{name}}_t2.tif']."
            )
        if not root.is_dir():
            raise UserError(f"{root}: no such folder. Expected images there; see input.")
        pattern = PathPattern(Path(text).relative_to(root).as_posix(), PIXEL_SUFFIXES)
        found.append(dict(sorted(pattern.files(root))))
    names = sorted(set().union(*found))
    if not names:
        raise UserError(f"{', '.join(patterns)}: no images found.")
    for name in names:
        for text, files in zip(patterns, found, strict=True):
            if name not in files:
                raise UserError(f"{text.replace('{name}', name)}: no such file, but another channel of it is there.")
    images: dict[str, tuple[Path, ...]] = {}
    for name in names:
        files = tuple(Path(one[name]) for one in found)
        first = images.setdefault(name.replace("/", "_"), files)
        if first is not files:
            _refuse_same_name(first[0], files[0], name.replace("/", "_"))
    return images


def find_inputs(
    pattern: str | list[str], preprocessing: Preprocessing, keep_folders: bool = False
) -> dict[str, tuple[Path, ...]]:
    """The files of each image, by the name that its outputs are to have.

    Args:
        keep_folders: let the names have the images' folders before them, below the one that all share.

    Raises:
        UserError: see :func:`find_images` and :func:`find_channel_files`; naming two images of one name.
    """
    if isinstance(pattern, list) and len(pattern) > 1:
        if preprocessing.is_rgb8:
            raise UserError(
                f"input: {len(pattern)} files an image, but the model takes 8-bit RGB. "
                f"Give one pattern, or a .txt with the path of an image a line."
            )
        return find_channel_files(pattern)
    pattern = pattern[0] if isinstance(pattern, list) and pattern else pattern
    suffixes = IMAGE_SUFFIXES if preprocessing.is_rgb8 else PIXEL_SUFFIXES
    found = find_images(str(pattern), suffixes)
    if not keep_folders:
        return _by_name(found, [path.stem for path in found], " or keep their folders with --keep_folders true,")
    places = [Path(os.path.abspath(path)) for path in found]  # without .., which would lead out of the output's folder
    shared = os.path.commonpath([place.parent for place in places])
    return _by_name(found, [place.relative_to(shared).with_suffix("").as_posix() for place in places])


def image_format(preprocessing: Preprocessing) -> ImageFormat:
    """Of the images that the model takes."""
    if preprocessing.intensity is None:
        return ImageFormat(channels=preprocessing.channels)
    return ImageFormat(channels=preprocessing.channels, normalize=preprocessing.intensity.method)


def read_input(paths: tuple[Path, ...], preprocessing: Preprocessing) -> np.ndarray:
    """The image (H, W, C) in these files, as the model takes it.

    Raises:
        UserError: naming a file that cannot be read, or is not like the images that the model was trained on.
    """
    form = image_format(preprocessing)
    if preprocessing.is_rgb8:
        return form.check(read_rgb(paths[0], "model"), str(paths[0]), "model")
    pixels = read_pixels(paths, form.channels)
    if len(paths) == 1 and pixels.shape[2] == 1 < form.channels:
        raise UserError(
            f"{paths[0]}: has 1 channel, the model was trained on {form.channels}. Give images that hold all, or a "
            f"list with a pattern for each channel, such as \"['scans/{{name}}_t1.tif', 'scans/{{name}}_t2.tif']\"."
        )
    return form.check(pixels, str(paths[0]), "model")


def _listed(path: Path) -> list[Path]:
    """The images of a list, whose paths begin in its own folder, in the working directory, or at the root."""
    lines = read_lines(path, "the path of an image a line")
    if not lines:
        raise UserError(f"{path}: is empty. Expected the path of an image a line.")
    images = [next((p for p in (path.parent / line, Path(line)) if p.is_file()), None) for _, line in lines]
    if None in images:
        number, line = lines[images.index(None)]
        raise UserError(
            f"{path}: line {number}: '{line}': no such file. Expected an image, its path from the list's folder or "
            f"from the one you are in."
        )
    return images


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _by_name(paths: Sequence[Path], names: Sequence[str], advice: str = "") -> dict[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for path, name in zip(paths, names, strict=True):
        if found.setdefault(name, (path,)) != (path,):
            _refuse_same_name(found[name][0], path, name, advice)
    return found


def _refuse_same_name(first: Path, second: Path, name: str, advice: str = "") -> NoReturn:
    raise UserError(
        f"{first} and {second}: the masks of both would be named {name}.png. Rename one,{advice} or predict them into "
        f"different folders."
    )
