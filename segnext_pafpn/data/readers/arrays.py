"""Opening ``.npy`` files."""

from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.refusals import DECODE_ERRORS, unreadable
from segnext_pafpn.errors import UserError

_EXACT_IN_FLOAT32 = 2**24


def refuse_inexact(values: np.ndarray, path: Path) -> None:
    """Refuse whole numbers that float32 would round.

    Raises:
        UserError: naming the file and their range.
    """
    low, high = int(values.min()), int(values.max())
    if max(abs(low), abs(high)) > _EXACT_IN_FLOAT32:
        raise UserError(
            f"{path}: holds {values.dtype} values of {low} to {high}, expected at most {_EXACT_IN_FLOAT32} in size. "
            f"Save them as 16 bits or as float32."
        )


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """The array in a ``.npy`` file, of any shape and type but objects.

    Args:
        mapped: leave it in the file.

    Raises:
        UserError: naming a file that is missing, cut short, or holds something else.
    """
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except DECODE_ERRORS as error:
        raise unreadable(path, error, "Is it cut short? Save it again with numpy.save, or leave it out.") from error
    if not isinstance(array, np.ndarray):
        names = ", ".join(array.files[:4])
        array.close()
        raise UserError(f"{path}: an archive (.npz) of the arrays {names}, expected one array. Save it by numpy.save.")
    return array
