"""What the commands share: the terminal, the parser, and where a run's configuration lies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import track as rich_track

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import near_folder
from segnext_pafpn.training.config_file import run_folder

if TYPE_CHECKING:  # it would import torch, which not every command needs
    from segnext_pafpn.data.check import Cause

console = Console()


def build_parser(command: str, description: str) -> ArgumentParser:
    """An empty parser of that command, with help and errors in the style of all."""
    prog = f"segnext-pafpn {command}"
    return ArgumentParser(
        prog=prog, usage=f"{prog} [--KEY VALUE ...]", description=description, exit_on_error=False, allow_abbrev=False
    )


def value_of(option: str, argv: list[str]) -> str | None:
    """What is given for ``option``, as ``--option VALUE`` or ``--option=VALUE``, before anything is parsed.

    Args:
        option: with ``_``; in ``argv`` it may have ``-``.
    """
    for i, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name.startswith("--") and "--" + name[2:].replace("-", "_") == option:
            if equals:
                return value
            if i + 1 < len(argv):
                return argv[i + 1]
    return None


def refuse_several(checkpoint: str) -> None:
    """Refuse a list of runs where one is wanted.

    Raises:
        UserError: if it is one.
    """
    if checkpoint.startswith("["):
        raise UserError(
            f"--checkpoint: expected one run, found {checkpoint}. Only predict takes several; segnext-pafpn folds sums "
            f"up the scores of a cross-validation's runs."
        )


def config_of(folder: Path) -> str:
    """The resolved configuration of a run, given its folder or the ``model/`` in it."""
    if folder.is_file():
        raise UserError(f"{folder}: is a file. Give the folder of a run, such as runs/NAME.")
    if (config := run_folder(folder) / "config.yaml").is_file():
        return str(config)
    if not folder.exists():
        raise UserError(f"{folder}: no such folder.{near_folder(folder)} Give the folder of a run, such as runs/NAME.")
    if (folder / "preprocessing.json").is_file():
        raise UserError(
            f"{folder}: is a model without its run, whose config.yaml says what it was trained on. Put it, called "
            f"model, into a folder with a copy of that config.yaml, and give that folder."
        )
    raise UserError(f"{folder / 'config.yaml'}: no such file. Give the folder of a run, such as runs/NAME.")


def track(items: Iterable, total: int, title: str) -> Iterable:
    """The items, with a progress bar beside them where there is a terminal to show it."""
    return rich_track(
        items, description=title, total=total, console=console, transient=True, disable=not console.is_terminal
    )


def say(text: str) -> None:
    """Print a sentence as it is, however long, so that paths in it can be copied."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def say_cause(cause: Cause) -> None:
    """Print what most likely lies behind a problem, and the lines for the card that would mend it."""
    say(f"likely cause: {cause.text}\n{cause.yaml}")


def few_of_each_kind(lines: Sequence[str], shown: int) -> list[str]:
    """The lines, but only the first ``shown`` of those that differ in files and numbers alone, and how many these are.

    Args:
        lines: each begins with a file and a colon.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        kinds[re.sub(r"\S*[/\\]\S*|\d+", "", line.partition(": ")[2])].append(line)
    result = []
    for alike in kinds.values():
        result += alike[:shown]
        if len(alike) > shown:
            result.append(f"{len(alike) - shown} more like the last one")
    return result
