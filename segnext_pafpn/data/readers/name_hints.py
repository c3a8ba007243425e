"""What a file that was not found may be called instead."""

from bisect import bisect
from functools import cached_property
from itertools import takewhile
from unicodedata import normalize


class NameHints:
    """What a missing mask may be called instead.

    Args:
        files: the masks that are there, by name.
    """

    def __init__(self, files: dict[str, str]):
        self.files = files

    @cached_property
    def names(self) -> list[str]:
        """Those of the files, sorted."""
        return sorted(self.files)

    @cached_property
    def plain(self) -> dict[str, str]:
        """The names by how they are spelt plainly."""
        return {_plain(name): name for name in self.files}

    def text(self, name: str) -> str:
        """A sentence on the file that is called ``name`` but for its spelling or an end; or nothing.

        Macs write an umlaut as a letter and two dots, others as one letter; both look alike.
        """
        if (other := self.plain.get(_plain(name))) is not None:
            return (
                f" There is {self.files[other]}, spelt otherwise: upper and lower case, and accents, must agree. "
                f"Rename one."
            )
        for longer in takewhile(lambda other: other.startswith(name), self.names[bisect(self.names, name) :]):
            end = longer.removeprefix(name)
            if not end[0].isalnum():
                return f" There is {self.files[longer]}; if it is that, set layout.mask_suffix: {end}."
        return ""


def _plain(name: str) -> str:
    return normalize("NFC", name).casefold()
