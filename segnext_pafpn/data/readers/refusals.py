"""What to say of a file that no decoder takes: that it is none of its kind, where that can be told, and what to do."""

import os
from pathlib import Path

from segnext_pafpn.errors import UserError

DECODE_ERRORS = Exception  # for damaged bytes decoders raise anything, TypeError and ZeroDivisionError too
_BEGINNING = 132  # bytes; DICOM's mark stands at 128
_REASON = 160  # letters of a decoder's own words


class MissingPackageError(UserError):
    """A package is not installed, so that no file of a format can be read."""

    def __init__(self, what: Path | str, package: str, extra: str = "medical"):
        super().__init__(
            f"{what}: reading it needs {package}, which is not installed. Install it with pip install "
            f'"segnext-pafpn[{extra}]".'
        )


def unreadable(path: Path, error: Exception, advice: str = "Replace the file or leave it out.") -> UserError:
    """What to raise for a file that a decoder has refused.

    Args:
        error: the decoder's.
        advice: what to do where the file's own bytes do not say it.
    """
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            return UserError(f"{path}: is a link to {os.readlink(path)}, which is not there. Copy the file itself.")
        return UserError(f"{path}: no such file.")
    if isinstance(error, PermissionError):
        return UserError(f"{path}: may not be read ({error.strerror}). Correct the rights of the file or its folder.")
    if kind := _kind(path):
        return UserError(f"{path}: cannot be decoded: {kind}")
    reason = " ".join(str(error).replace(f"'{path}'", "it").replace(f'"{path}"', "it").replace(str(path), "it").split())
    reason = reason.replace("cannot identify image file it", "it is no image of a known kind")
    if "imagecodecs" in reason:
        advice = "Install that with pip install imagecodecs, or save the file without this compression."
    return UserError(f"{path}: cannot be decoded ({reason[:_REASON] or type(error).__name__}). {advice}")


def _kind(path: Path) -> str:
    """What the file is instead, and what to do; empty where its first bytes do not tell."""
    try:
        with open(path, "rb") as file:
            head = file.read(_BEGINNING)
    except OSError:
        return ""
    text = head.lstrip().lower()
    if not head:
        return "the file is empty (0 bytes). Copy it again or leave it out."
    if not any(head):
        return "it begins with zeros, as after a copy that broke off. Copy it again or leave it out."
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file itself. Fetch the file with git lfs pull."
    if text.startswith((b"<!doctype", b"<html")):
        return "it is a web page, such as a login or an error, not the file itself. Download it again."
    gzipped = head.startswith(b"\x1f\x8b")
    if gzipped != (path.suffix.lower() == ".gz"):
        return f"it is {'' if gzipped else 'not '}compressed by gzip, against what its name says. Rename or unpack it."
    if head[128:] == b"DICM":
        return "it is a DICOM file. Convert it to NIfTI (dcm2niix does), TIFF or PNG first."
    return ""
