"""jsonargparse's parsing with shipped names for configurations and one-line errors."""

from argparse import ArgumentError
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import yaml
from jsonargparse import ArgumentParser, Namespace

from segnext_pafpn.argument_errors import describe
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.files import expand_home, shipped_folder

Config = TypeVar("Config")

_SHORT = {"-i": "--input", "-o": "--output", "--data": "--data.card"}


def rewrite(argv: list[str]) -> list[str]:
    """Replace short options by their long ones, names of shipped configurations by their paths, and ``~/``.

    A shell expands that in ``--output_dir ~/runs``, but not in ``--output_dir=~/runs``. Configurations come first, so
    that options on the command line win wherever they stand.

    Raises:
        UserError: naming a configuration that is neither shipped nor a file.
    """
    configs: list[str] = []
    result: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        option, equals, value = argument.partition("=")
        option, value = expand_home(_SHORT.get(option, option)), expand_home(value)
        if option != "--config":
            result.append(option + equals + value)
        elif equals or (value := next(arguments, "")):
            configs += ["--config", find_config(value)]
        else:
            raise UserError("--config: expected a shipped configuration's name or the path of a YAML file after it.")
    return configs + result


def shipped_configs() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(path.stem for path in shipped_folder("configs").glob("*.yaml"))


def find_config(name_or_path: str) -> str:
    """The path of a shipped configuration, or of the user's own."""
    path = Path(expand_home(name_or_path))
    if path.is_file():
        return str(path)
    shipped = shipped_folder("configs") / f"{name_or_path}.yaml"
    if shipped.is_file():
        return str(shipped)
    names = shipped_configs()
    raise UserError(
        f"--config: '{name_or_path}' is neither a file nor a shipped configuration.{nearest(name_or_path, names)} "
        f"Shipped: {', '.join(names)}."
    )


def parse(parser: ArgumentParser, argv: list[str]) -> Namespace:
    """Parse and build the configuration objects.

    Raises:
        UserError: one line that names the key, what was found and what was expected.
    """
    _explain_groups(parser)
    for option, value in pairwise(argv):
        if option == "--config":
            _check_config(Path(value), parser)
    try:
        return parser.instantiate(parser.parse_args(_as_declared(argv, parser)))
    except ArgumentError as error:
        short = {long.removeprefix("--"): option for option, long in _SHORT.items()}
        raise UserError(describe(str(error), parser, short)) from error


def as_config(values: Namespace, config_class: type[Config]) -> Config:
    """The parsed values of the fields of ``config_class``, as an object of it; other values are left out."""
    return config_class(**{field.name: values[field.name] for field in fields(config_class)})


def _explain_groups(parser: ArgumentParser) -> None:
    """Say in the help what ``--data`` and the other groups take, of which jsonargparse calls all a configuration."""
    for action in parser._actions:
        if action.help == "Path to a configuration file.":
            is_data = "--data" in action.option_strings
            action.help = "short for --data.card." if is_data else "path of a YAML file with the options of this group."
            action.metavar = "CARD" if is_data else "FILE"


def _as_declared(argv: list[str], parser: ArgumentParser) -> list[str]:
    """Options as the parser has them, however they are written: with ``_`` or ``-``, switches with a value or without.

    ``--overlay`` is ``--overlay true`` where a value is wanted, ``--report true`` is ``--report`` where none is.
    """
    known = {option.replace("-", "_"): option for option in parser._option_string_actions}
    result: list[str] = []
    for i, argument in enumerate(argv):
        option, equals, value = argument.partition("=")
        following = argv[i + 1] if i + 1 < len(argv) else "--"
        if not option.startswith("--"):
            switch = parser._option_string_actions.get(result[-1]) if result else None
            if switch is not None and switch.nargs == 0 and option in ("true", "false"):
                if option == "false":
                    result.pop()
                continue
            result.append(argument)
            continue
        option = known.get(option.replace("-", "_"), option)
        action = parser._option_string_actions.get(option)
        result.append(option + equals + value)
        if getattr(action, "_typehint", None) is bool and not equals and following.startswith("-"):
            result.append("true")
    return result


def _check_config(path: Path, parser: ArgumentParser) -> None:
    """Refuse a file that is no configuration, by its name."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise UserError(f"{path}: is not a readable configuration ({reason}). Correct it.") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else repr(content)[:40]
        raise UserError(f"{path}: expected a configuration, such as 'optim: {{lr: 0.001}}', found {found}.")
    options = [option.removeprefix("--") for action in parser._actions for option in action.option_strings]
    for key, value in content.items():
        inside = next((option for option in options if option.startswith(f"{key}.")), None)
        if inside is not None and not isinstance(value, dict):
            example = f"{key}: {{{inside.split('.')[1]}: ...}}"
            raise UserError(f"{path}: {key}: expected a mapping, as in '{example}', found {value!r}.")
