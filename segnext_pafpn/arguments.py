"""jsonargparse's parsing with shipped names for configurations and one-line errors."""

import re
from argparse import ArgumentError
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.files import shipped_folder

_SHORT = {"-i": "--input", "-o": "--output", "--data": "--data.card"}


def rewrite(argv: list[str]) -> list[str]:
    """Replace short options by their long ones and names of shipped configurations by their paths.

    Configurations come first, so that options on the command line win wherever they stand.

    Raises:
        UserError: naming a configuration that is neither shipped nor a file.
    """
    configs: list[str] = []
    result: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        option, equals, value = argument.partition("=")
        option = _SHORT.get(option, option)
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
    path = Path(name_or_path)
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
    try:
        return parser.instantiate(parser.parse_args(argv))
    except ArgumentError as error:
        raise UserError(_one_line(str(error), parser)) from error


def _one_line(message: str, parser: ArgumentParser) -> str:
    text = " ".join(message.split())
    keys = [option.removeprefix("--") for action in parser._actions for option in action.option_strings]
    if match := re.search(r"arguments are required: (.*)", text):
        return _missing(match[1].split(", "), parser)
    if match := re.search(r"unrecognized arguments: (\S+)", text):
        if not match[1].startswith("-"):
            return _alone(match[1], keys)
        key = match[1].split("=")[0].lstrip("-")
        return f"unknown option '{match[1]}'.{_nearest_option(key, keys)}"
    if match := re.search(r"(?:Group '(?P<group>[^']+)')? ?does not accept option '(?P<key>[^']+)'", text):
        key = ".".join(part for part in (match["group"], match["key"]) if part)
        return _unknown_key(key, keys)
    if match := re.search(r"Option '([^']+)' is not accepted", text):
        return _unknown_key(match[1], keys)
    if match := re.search(r"Parser key \"(?P<key>[^\"]+)\": (?P<reason>.*)", text):
        reason = re.sub(r"<class '(\w+)'>", r"\1", match["reason"])
        return f"{match['key']}: {_explained(match['key'], reason)}"
    return text


def _unknown_key(key: str, keys: list[str]) -> str:
    is_card = key.split(".")[0] in ("classes", "layout")
    hint = " If the file is a card, give it with --data." if is_card else _nearest_option(key, keys)
    return f"unknown key '{key}' in the configuration.{hint}"


def _missing(names: list[str], parser: ArgumentParser) -> str:
    """Options that must be given, by what they are for."""
    short = {long.removeprefix("--"): f" ({option})" for option, long in _SHORT.items()}
    purposes = {action.dest: action.help for action in parser._actions}
    found = [f"--{name}{short.get(name, '')} is missing: {purposes.get(name) or 'see --help.'}" for name in names]
    return " ".join(found)


def _alone(value: str, keys: list[str]) -> str:
    """A value without an option in front of it, which is most often a card's or a folder's path."""
    if "data.card" in keys:
        return f"'{value}' has no option in front of it. Give a card as --data {value}, other values as --KEY VALUE."
    return f"'{value}' has no option in front of it, or is one too many. See --help for the options."


def _explained(key: str, reason: str) -> str:
    """jsonargparse's reason, or how to write a pair or a mapping where that is what went wrong."""
    value = re.search(r"(?:Got|Given) value: (.*)$", reason)
    if value and "tuple" in reason and re.fullmatch(r"-?[\d.]+", value[1]):
        return f'expected two numbers in brackets, found {value[1]}. Write --{key} "[{value[1]}, {value[1]}]".'
    if value and "Expected a dict" in reason:
        spaced = re.sub(r":(?=\S)", ": ", value[1])
        if spaced == value[1] or not spaced.startswith("{"):
            return f'expected a mapping, found {value[1]}. Write --{key} "{{name: value}}".'
        return f'expected a mapping, found {value[1]}: YAML wants a space after a colon. Write --{key} "{spaced}".'
    return reason


def _nearest_option(key: str, keys: list[str]) -> str:
    """Compare whole keys first, then last parts, so that ``data.lr`` finds ``optim.lr``."""
    if hint := nearest(key, keys):
        return hint
    last = {known.rsplit(".", 1)[-1]: known for known in keys}
    if hint := nearest(key.rsplit(".", 1)[-1], last):
        return f" Did you mean '{last[hint.split(chr(39))[1]]}'?"
    return " See --help for all of them."
