"""Result files: where they lie, how they are written, the command that is filed in them, and how that ends."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

RESULTS = Path(__file__).resolve().parent / "results"


def read(path: Path) -> dict:
    """A result file; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_result(content: dict, path: Path) -> None:
    """Write it whole or not at all.

    Raises:
        ValueError: for NaN, which JSON has not.
    """
    from segnext_pafpn.files import write_atomic  # takes seconds, which tables.py need not wait

    text = json.dumps(content, indent=1, allow_nan=False)
    with write_atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def run_main(main: Callable[[], object]) -> NoReturn:
    """Run a script. What its user can mend is one line on standard error and exit code 2, as on the command line."""
    try:
        main()
    except ValueError as error:
        from segnext_pafpn.errors import UserError, one_line  # takes seconds; such an error has imported it

        if not isinstance(error, UserError):
            raise
        sys.exit(_told(one_line(error)))
    except SystemExit as stop:
        sys.exit(_told(stop.code) if isinstance(stop.code, str) else stop.code)
    sys.exit(0)


def _told(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return 2


def given_command() -> str:
    """The command line of this process, in words that mean the same elsewhere.

    The folder of the data, which ``--root`` takes, reads PATH. Any other absolute path is counted from the top of the
    checkout, or is its name alone where it lies outside.
    """
    words = ["python", f"benchmarks/{Path(sys.argv[0]).stem}.py"]
    option = ""
    for word in sys.argv[1:]:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            words.append(f"{option}={_anywhere(value, option)}" if equals else option)
        else:
            words.append(_anywhere(word, option))
            option = ""
    return shlex.join(words)


def _anywhere(value: str, option: str) -> str:
    if option == "--root":
        return "PATH"
    path, top = Path(value), RESULTS.parent.parent
    if not path.is_absolute():
        return value
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else path.name
