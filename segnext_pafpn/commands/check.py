"""check: a data set read once, and what is wrong with it."""

import sys
from pathlib import Path

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, console, say, say_cause, track
from segnext_pafpn.files import write_json
from segnext_pafpn.training.config import TrainConfig

_MAX_WARNINGS = 40


def check(argv: list[str]) -> int:
    """read a data set once and say what is wrong with it"""
    parser = build_parser(
        "check", "Read a data set once and say what is wrong with which file. Exit code 2: do not train."
    )
    parser.add_argument("--config", action="config", help="a shipped configuration's name, or the path of a YAML file.")
    parser.add_class_arguments(TrainConfig)
    parser.add_argument("--json", type=str | None, help="also write everything that was found to this file.")
    parser.add_argument("--html", type=str | None, help="also write a page with charts and thumbnails to this file.")
    arguments = parse(parser, argv)

    # behind the parsing, so that a mistyped option is told at once; none of these needs torch
    from segnext_pafpn.data.check import check_data, check_split, check_table, check_values
    from segnext_pafpn.data.check.duplicates import find_twins
    from segnext_pafpn.data.check.page import write_check_page
    from segnext_pafpn.data.source import DataSource

    data = DataSource(arguments.data)
    config = arguments.data
    splits = list(dict.fromkeys([*data.reader.splits(), config.train_split, config.val_split]))
    reports = [check_split(data.card, data.reader, split, track, details=True) for split in splits]
    found = check_data(data.card, reports, find_twins(reports))
    console.print(check_table(data.card, reports))
    if arguments.json:
        write_json(check_values(found), Path(arguments.json))
    if arguments.html:
        write_check_page(found, data.reader, Path(arguments.html))
        say(f"The page is {arguments.html}.")
    for line in found.warnings[:_MAX_WARNINGS]:
        say(f"warning: {line}")
    if (more := len(found.warnings) - _MAX_WARNINGS) > 0:
        say(f"warning: {more} more; --json PATH lists all")
    for line in found.problems:
        print(f"error: {line}", file=sys.stderr)
    for cause in found.causes:
        say_cause(cause)
    if found.problems:
        return 2
    say("Nothing is wrong: training may start.")
    return 0
