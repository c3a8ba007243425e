"""Opening ``.npy`` files."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from segnext_pafpn.data.readers.refusals import unreadable
from segnext_pafpn.errors import UserError


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """The array in a ``.npy`` file, of any shape and type but objects.

    Args:
        mapped: leave it in the file.

    Raises:
        UserError: naming a file that is missing, cut short, or holds something else.
    """
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise unreadable(path, error, "Is it cut short? Save it again with numpy.save, or leave it out.") from error
    if not isinstance(array, np.ndarray):
        names = ", ".join(array.files[:4])
        array.close()
        raise UserError(f"{path}: an archive (.npz) of the arrays {names}, expected one array. Save it by numpy.save.")
    return array
