"""What a user can mend."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in data, configuration or arguments. The command line prints its one line and exits with 2.

    The message names the place, what was found, what was expected, and the next step.
    """


def one_line(error: UserError) -> str:
    """The error's line, also where a worker process has wrapped it in its traceback."""
    return " ".join(str(error).rsplit("UserError: ", 1)[-1].split())


def counted(count: int, what: str) -> str:
    """``1 mask``, ``2 masks``: a number and what is counted, whose plural ends in s."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def closest(name: object, known: Iterable[str]) -> str | None:
    """The known name that is most like ``name``, or None where none is."""
    return next(iter(get_close_matches(str(name), list(known), n=1, cutoff=0.5)), None)


def nearest(name: object, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name closest to ``name``, or an empty string."""
    match = closest(name, known)
    return f" Did you mean '{match}'?" if match else ""
