"""Writing files so that nobody ever sees half of one, reading lists, and finding what travels with the package."""

import csv
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from segnext_pafpn.errors import UserError, nearest

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UTF8 = {"encoding": "utf-8", "errors": "backslashreplace"}  # to write names of files, which may be in another encoding


def cannot_write(path: Path | str, error: OSError) -> UserError:
    """The line for a file or folder that the system did not let us write."""
    step = "Free some space, or name" if error.errno in NO_ROOM else "Name"
    reason = error.strerror or " ".join(str(error).split())
    return UserError(f"{path}: cannot be written ({reason}). {step} another place for the output.")


def system_error(error: Exception, path: Path) -> OSError:
    """The system's error behind that of a library which says it in words, as safetensors does: ``(os error 28)``.

    Args:
        path: of the file that was written.
    """
    found = re.search(r"os error (\d+)", str(error))
    number = int(found[1]) if found else errno.EIO
    return OSError(number, os.strerror(number) if found else str(error), str(path))


def expand_home(path: str) -> str:
    """The path with the user's folder in place of ``~`` in ``~/...``; others, and YAML's null, ``~``, as they are."""
    return os.path.expanduser(path) if path.startswith("~") and "/" in path else path


def make_folder(folder: Path) -> None:
    """Make it, and those above it, where they are not there.

    Raises:
        UserError: if that cannot be, such as below a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written: no such folder can be made ({error.strerror}). "
            f"Name another place for the output."
        ) from error


def refuse_no_file(path: Path) -> None:
    """Ask whether a file of this name could be written, before the work that fills it; nothing is made.

    Raises:
        UserError: if it is a folder, or lies below a file.
    """
    if os.path.isdir(path):  # pathlib's raises where a folder above may not be read
        raise UserError(f"{path}: cannot be written: it is a folder. Name a file, such as {path / 'NAME'}.")
    above = next(folder for folder in path.absolute().parents if os.path.exists(folder))
    if not os.path.isdir(above):
        raise UserError(f"{path}: cannot be written: {above} is a file. Name another place for the output.")


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` with its suffix; rename it on success, remove it on failure.

    Raises:
        UserError: if there can be no file of this name, or no room for it.
    """
    path = Path(path)
    refuse_no_file(path)
    make_folder(path.parent)
    temporary = _beside(path)
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise cannot_write(path, error) from error
    mode = temporary.stat().st_mode & 0o777
    try:
        yield temporary
        temporary.chmod(mode)  # what is written may be a file of the writer's own making, as safetensors' is
        os.replace(temporary, path)
    except OSError as error:
        if error.filename not in (None, str(temporary)):  # of another file, which is read meanwhile
            raise
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_through_memory(save: Callable[[BytesIO], object], path: Path) -> None:
    """Let ``save`` fill a buffer, and write that, so that what the system refuses is the system's error.

    torch, given a file, calls a full disk an error of its archive.
    """
    buffer = BytesIO()
    save(buffer)
    path.write_bytes(buffer.getbuffer())


@contextmanager
def write_folder_atomic(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; on success it becomes ``folder``, on failure it goes.

    One rename where there is no ``folder`` yet. No system call that Python has swaps two folders, and to move the old
    one away first would leave a moment without any: so in one that is there each file takes its namesake's place.

    Raises:
        UserError: if there can be no such folder, or no room for it.
    """
    folder = Path(folder)
    make_folder(folder.parent)
    temporary = _beside(folder)
    try:
        temporary.mkdir()
    except OSError as error:
        raise cannot_write(folder, error) from error
    mode = temporary.stat().st_mode & 0o666
    try:
        yield temporary
        for path in temporary.iterdir():
            path.chmod(mode)
        if not folder.is_dir():
            os.rename(temporary, folder)
            return
        for path in sorted(temporary.iterdir()):
            os.replace(path, folder / path.name)
    except OSError as error:
        if error.filename is not None and not Path(error.filename).is_relative_to(temporary):
            raise
        raise cannot_write(folder / Path(error.filename or "").name, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A hidden name that nobody else takes, with the path's suffix; unlike tempfile's such files heed the umask."""
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}{path.suffix}")


def near_folder(path: Path) -> str:
    """`` Did you mean 'x'?`` for the folder beside it whose name is closest, or an empty string."""
    if not path.name or not path.parent.is_dir():
        return ""
    return nearest(path.name, [other.name for other in path.parent.iterdir() if other.is_dir()])


def write_json(content: Mapping | Sequence, path: Path) -> None:
    """Write what JSON can hold, NaN excepted, whole or not at all."""
    with write_atomic(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", **UTF8)


def write_csv(path: Path, header: Iterable[object], rows: Iterable[Iterable[object]]) -> None:
    """Write a table, whole or not at all; None makes an empty cell."""
    with write_atomic(path) as temporary, temporary.open("w", newline="", **UTF8) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def shipped_folder(name: str) -> Path:
    """The folder ``configs`` or ``datasets``: inside an installed package, or at the top of a checkout."""
    package = Path(str(files("segnext_pafpn")))
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def read_lines(path: Path, expected: str) -> list[tuple[int, str]]:
    """A text file's lines that hold something, without the space around them, and their numbers.

    Args:
        expected: what a message says that the file should hold.

    Raises:
        UserError: naming a file that cannot be read, or is not text of UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # Windows' editors begin with a mark
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). Correct the file or its rights.") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: is not a text file of UTF-8 ({error.reason}). Expected {expected}; save it as UTF-8."
        ) from error
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
