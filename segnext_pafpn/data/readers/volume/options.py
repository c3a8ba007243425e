"""Whether the options of a layout of volumes can be."""

from typing import Protocol

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.slicing import is_orientation

_DIVIDE = ("volumes", "slices")
_ORIENTATIONS = ("usual", "stored")


class VolumeOptions(Protocol):
    """Those of :class:`~segnext_pafpn.data.readers.volumes.VolumeReader`."""

    mask_format: str
    axis: int | None
    orientation: str
    neighbours: int
    divide: str
    min_foreground: int
    spacing: list[float]
    cache_mb: int


def check_options(options: VolumeOptions) -> None:
    """Raise a UserError that names the first option that cannot be."""
    if options.mask_format == "rgb":
        raise UserError("layout.mask_format: rgb is for pictures; label volumes hold ids. Use index.")
    if options.axis not in (None, 0, 1, 2):
        raise UserError(f"layout.axis: expected 0, 1 or 2, found {options.axis}.")
    if options.divide not in _DIVIDE:
        raise UserError(
            f"layout.divide: '{options.divide}' is not known.{nearest(options.divide, _DIVIDE)} Known: "
            f"{', '.join(_DIVIDE)}."
        )
    if options.orientation not in _ORIENTATIONS and not is_orientation(options.orientation):
        raise UserError(
            f"layout.orientation: expected {' or '.join(_ORIENTATIONS)}, or where axes i, j and k run to, such as RAS, "
            f"found '{options.orientation}'."
        )
    for key in ("neighbours", "min_foreground", "cache_mb"):
        if getattr(options, key) < 0:
            raise UserError(f"layout.{key}: expected 0 or more, found {getattr(options, key)}.")
    if options.spacing and (len(options.spacing) != 3 or min(options.spacing) <= 0):
        raise UserError(f"layout.spacing: expected millimetres of slices, rows and columns, found {options.spacing}.")
