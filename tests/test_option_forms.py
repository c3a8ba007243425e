"""Options are understood in the forms that other programs have, too."""

import pytest

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser


@pytest.fixture
def parser():
    parser = build_parser("x", "")
    parser.add_argument("--save_probabilities", type=bool, default=False)
    parser.add_argument("--tune-threshold", action="store_true")
    parser.add_argument("--name", type=str, default="")
    return parser


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], (False, False, "")),
        (["--save_probabilities", "true", "--tune-threshold"], (True, True, "")),
        (["--save-probabilities=true", "--tune_threshold"], (True, True, "")),
        (["--save-probabilities", "--name", "true"], (True, False, "true")),
        (["--save_probabilities", "false", "--tune-threshold", "true"], (False, True, "")),
        (["--tune-threshold", "false", "--name=a-b", "--save_probabilities"], (True, False, "a-b")),
        (["--save_probabilities"], (True, False, "")),
    ],
)
def test_dashes_underscores_and_switches_with_a_value_or_without(parser, argv, expected):
    arguments = parse(parser, argv)
    assert (arguments.save_probabilities, arguments.tune_threshold, arguments.name) == expected
