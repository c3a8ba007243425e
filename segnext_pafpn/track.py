"""How a loop that takes long shows how far it has come: the type of the function, and the one that shows nothing."""

from collections.abc import Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")

Track = Callable[[Iterable, int, str], Iterable]
"""Wraps the items of a loop, given how many they are and a title."""


def untracked(items: Iterable[_Item], total: int, title: str) -> Iterable[_Item]:
    """The items as they are."""
    return items
