"""Numbers that a network is built from, refused where they cannot be; torch would speak of tensors instead."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import numpy as np

# For huggingface_hub, which otherwise leaves a number of NumPy out of the configuration it saves beside the weights.
NUMPY_CODERS = {np.integer: (int, int), np.floating: (float, float)}


def check_counts(numbers: Mapping[str, int]) -> None:
    """Refuse what is no whole number of at least 1.

    Raises:
        ValueError: naming the argument, what was found and what was expected.
    """
    for name, value in numbers.items():
        if not _is_count(value):
            raise ValueError(f"{name}: found {value!r}, expected a whole number of at least 1.")


def check_odd(name: str, value: int) -> None:
    """Refuse the side of a kernel that has no middle.

    Raises:
        ValueError: as :func:`check_counts`.
    """
    if not _is_count(value) or value % 2 == 0:
        raise ValueError(f"{name}: found {value!r}, expected an odd number of at least 1.")


def check_dilations(name: str, values: Sequence[int]) -> None:
    """Refuse an empty list, dilations below 1, and NumPy's numbers, since a list of them is no configuration to save.

    Raises:
        ValueError: as :func:`check_counts`.
    """
    is_list = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    if not is_list or not all(isinstance(value, int) and _is_count(value) for value in values):
        raise ValueError(f"{name}: found {values!r}, expected whole numbers of at least 1, as in [3, 4, 6].")


def check_share(name: str, value: float, below_one: bool = False) -> None:
    """Refuse a probability of dropout outside 0 to 1; with ``below_one``, as stochastic depth needs it, 1 too.

    Raises:
        ValueError: as :func:`check_counts`.
    """
    is_share = isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= 1
    if not is_share or (below_one and value == 1):
        expected = "0 or more and less than 1" if below_one else "a share of 0 to 1"
        raise ValueError(f"{name}: found {value!r}, expected {expected}.")


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1
