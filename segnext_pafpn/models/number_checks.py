"""Numbers that a network is built from, refused where they cannot be; torch would speak of tensors instead."""

from collections.abc import Mapping, Sequence


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
    """Refuse an empty list, and dilations below 1.

    Raises:
        ValueError: as :func:`check_counts`.
    """
    if isinstance(values, str) or not isinstance(values, Sequence) or not values or not all(map(_is_count, values)):
        raise ValueError(f"{name}: found {values!r}, expected whole numbers of at least 1, as in [3, 4, 6].")


def check_share(name: str, value: float) -> None:
    """Refuse a probability of dropout outside 0 to 1.

    Raises:
        ValueError: as :func:`check_counts`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name}: found {value!r}, expected a share of 0 to 1.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
