"""check: a data set read once, and what is wrong with it."""

import sys
from pathlib import Path

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, console, few_of_each_kind, say, say_cause, track
from segnext_pafpn.errors import UserError
from segnext_pafpn.files import refuse_no_file, write_json
from segnext_pafpn.training.config import TrainConfig

_MAX_LINES, _MAX_ALIKE = 40, 5


def check(argv: list[str]) -> int:
    """read a data set once and say what is wrong with it"""
    parser = build_parser(
        "check", "Read a data set once and say what is wrong with which file. Exit code 2: do not train."
    )
    parser.add_argument("--config", action="config", help="a shipped configuration's name, or the path of a YAML file.")
    parser.add_class_arguments(TrainConfig)
    parser.add_argument("--json", type=str | None, help="also write everything that was found to this file.")
    parser.add_argument("--html", type=str | None, help="also write a page with charts and thumbnails to this file.")
    parser.add_argument("--threads", type=int | None, help="that read files; null: a few more than there are cores.")
    arguments = parse(parser, argv)
    if arguments.threads is not None and arguments.threads < 1:
        raise UserError(f"threads: found {arguments.threads}, expected at least 1.")
    for output in (arguments.json, arguments.html):
        if output:
            refuse_no_file(Path(output))

    # behind the parsing, so that a mistyped option is told at once; none of these needs torch
    from segnext_pafpn.data.check import check_data, check_split, check_table, check_values, empty_masks
    from segnext_pafpn.data.check.duplicates import find_twins
    from segnext_pafpn.data.check.page import write_check_page
    from segnext_pafpn.data.source import DataSource

    data = DataSource(arguments.data)
    config = arguments.data
    say(data.describe())
    splits = list(dict.fromkeys([*data.reader.splits(), config.train_split, config.val_split]))
    reports = [
        check_split(data.card, data.reader, split, track, details=True, workers=arguments.threads) for split in splits
    ]
    found = check_data(data.card, reports, find_twins(reports))
    console.print(check_table(data.card, reports))
    for line in empty_masks(reports):
        say(line)
    if arguments.json:
        write_json(check_values(found), Path(arguments.json))
    if arguments.html:
        write_check_page(found, data.reader, Path(arguments.html))
        say(f"The page is {arguments.html}.")
    for lines in (found.leaks, found.oddities):
        for line in _first(lines):
            say(f"warning: {line}")
    for cause in found.causes:
        say_cause(cause)
    for line in _first(found.problems):
        print(f"error: {line}", file=sys.stderr)
    if found.problems:
        return 2
    say("Nothing is wrong: training may start.")
    return 0


def _first(lines: list[str]) -> list[str]:
    """As many as can be read, and how many there are."""
    shown = few_of_each_kind(lines, _MAX_ALIKE)[:_MAX_LINES]
    return [*shown, *([f"{len(lines)} in all; --json PATH lists them"] if len(shown) < len(lines) else [])]
