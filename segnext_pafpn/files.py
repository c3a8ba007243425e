"""Writing files so that nobody ever sees half of one, and finding the files that travel with the package."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` with its suffix; rename it on success, remove it on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def shipped_folder(name: str) -> Path:
    """The folder ``configs`` or ``datasets``: inside an installed package, or at the top of a checkout."""
    package = Path(str(files("segnext_pafpn")))
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
