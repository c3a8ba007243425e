"""The forms a network can be exported to, by name and suffix. Does without torch, for the command line."""

from pathlib import Path

from segnext_pafpn.errors import UserError, nearest

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2", "torchscript": ".ts"}


def format_of(path: Path, name: str | None = None) -> str:
    """The format called ``name``, or the one that the file's suffix stands for.

    Raises:
        UserError: naming a format or suffix that is none.
    """
    if name is not None:
        if name not in SUFFIXES:
            raise UserError(f"--format: '{name}' is not known.{nearest(name, SUFFIXES)} Known: {', '.join(SUFFIXES)}.")
        return name
    found = next((known for known, suffix in SUFFIXES.items() if path.suffix.lower() == suffix), None)
    if found is None:
        expected = ", ".join(f"{suffix} ({known})" for known, suffix in SUFFIXES.items())
        raise UserError(f"{path}: its suffix is of no format. Expected {expected}; or say it with --format.")
    return found
