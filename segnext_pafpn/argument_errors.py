"""What jsonargparse says of wrong arguments, in one line that a user understands."""

import re
from collections.abc import Mapping

from jsonargparse import ArgumentParser

from segnext_pafpn.errors import closest, nearest

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
    "tuple[int, int]": "two whole numbers in brackets",
    "tuple[float, float]": "two numbers in brackets",
    "list[float]": "a list of numbers",
    "list[str]": "a list of names",
}
_NUMBER = r"-?\d+(?:\.\d+)?"
_ELSEWHERE = {  # what other tools call an option, and how it is written here
    "fold": 'data.layout "{fold: 0}"',
    "folds": 'data.layout "{folds: 5}"',
    "batch": "data.batch_size",
    "imgsz": 'data.crop_size "[512, 512]"',
    "model": "checkpoint",
    "source": "input",
    "gpus": "trainer.devices",
    "device": "trainer.accelerator",
    "amp": "trainer.precision",
    "backbone": "model.encoder_name",
    "pretrained": "model.encoder_weights",
    "num_classes": "data.card",
    "learning_rate": "optim.lr",
    "lr0": "optim.lr",
    "epochs": "trainer.max_epochs",
    "max_iters": "trainer.max_steps",
    "val_interval": "trainer.check_val_every_n_epoch",
    "val_check_interval": "data.samples_per_epoch",
    "workers": "data.num_workers",
    "save_dir": "output_dir",
    "project": "output_dir",
}


def describe(message: str, parser: ArgumentParser, short: Mapping[str, str]) -> str:
    """One line that names the option, what was found and what was expected.

    Args:
        message: jsonargparse's.
        short: short options by their long ones' names.
    """
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", " ".join(message.split()))
    keys = [option.removeprefix("--") for action in parser._actions for option in action.option_strings]
    if (match := re.search(r"arguments are required: (.*)", text)) and "Parser key" not in text:
        return _missing(match[1].split(", "), parser, short)
    if match := re.search(r"unrecognized arguments: (\S+)", text):
        if not match[1].startswith("-"):
            return _alone(match[1], keys)
        key = match[1].split("=")[0].lstrip("-")
        return f"unknown option '{match[1]}'.{_nearest_option(key, keys, dashes='--')}"
    if match := re.search(r"argument (\S+): expected (\w+) arguments?", text):
        return f"{match[1]}: expected {'a value' if match[2] == 'one' else f'{match[2]} values'} after it."
    if match := re.search(r"(?:Group '(?P<group>[^']+)')? ?does not accept option '(?P<key>[^']+)'", text):
        key = ".".join(part for part in (match["group"], match["key"]) if part)
        return _unknown_key(key, keys)
    if match := re.search(r"Option '([^']+)' is not accepted", text):
        return _unknown_key(match[1], keys)
    if matches := list(
        re.finditer(r"Parser key \"(?P<key>[^\"]+)\"(?: element \d+)?: (?P<reason>.*?)(?= - Parser|$)", text)
    ):
        match = max(matches, key=lambda match: len(match["key"]))  # the innermost of a mapping
        return f"{match['key']}: {_explained(match['key'], match['reason'], keys)}"
    return text


def _unknown_key(key: str, keys: list[str]) -> str:
    is_card = key.split(".")[0] in ("classes", "layout")
    hint = " If the file is a card, give it with --data." if is_card else _nearest_option(key, keys)
    return f"unknown key '{key}' in the configuration.{hint}"


def _missing(names: list[str], parser: ArgumentParser, short: Mapping[str, str]) -> str:
    """Options that must be given, by what they are for."""
    purposes = {action.dest: re.sub(r"^also -\w: ", "", action.help or "") for action in parser._actions}
    options = {name: f" ({short[name]})" if name in short else "" for name in names}
    return " ".join(f"--{name}{options[name]} is missing: {purposes.get(name) or 'see --help.'}" for name in names)


def _alone(value: str, keys: list[str]) -> str:
    """A value without an option in front of it, which is most often a card's or a folder's path."""
    if match := re.fullmatch(r"([\w.]+)=(.+)", value):
        written = _ELSEWHERE.get(match[1], match[1])
        key, _, example = written.partition(" ")
        words = (
            f"Write --{key} {example or match[2]}." if key in keys else _nearest_option(match[1], keys, "--").strip()
        )
        return f"'{value}': options have dashes in front of them. {words}"
    if "input" in keys:
        return (
            f"'{value}' has no option in front of it, or is one too many. Several runs are a list, --checkpoint "
            f"\"[runs/a-0, runs/a-1]\"; several images a folder or a quoted glob, -i 'photos/*.jpg'."
        )
    if "data.card" in keys and "checkpoint" not in keys:
        return f"'{value}' has no option in front of it. Give a card as --data {value}, other values as --KEY VALUE."
    return f"'{value}' has no option in front of it, or is one too many. See --help for the options."


def _explained(key: str, reason: str, keys: list[str]) -> str:
    """jsonargparse's reason in words, with how to write a pair or a mapping where that is what went wrong."""
    value = re.search(r"(?:Got|Given) value: (.*)$", reason)
    if match := re.search(r"Unable to load config ['\"](.*)['\"]$", reason):
        inside = next((known for known in keys if known.startswith(f"{key}.")), f"{key}.NAME")
        return f"expected a mapping, found {match[1]}. Set what is in it, as with --{inside} VALUE."
    if match := re.search(r"Problem with given class_path '[^']*': (.*?) - Expected", reason):
        return f"{match[1]}."
    if value is None:
        return reason
    if "Expected a dict" in reason and "tuple" not in reason:
        spaced = re.sub(r":(?=\S)", ": ", value[1])
        if spaced == value[1] or not spaced.startswith("{"):
            return f'expected a mapping, found {value[1]}. Write --{key} "{{name: value}}".'
        return f'expected a mapping, found {value[1]}: YAML wants a space after a colon. Write --{key} "{spaced}".'
    if "tuple" in reason:
        numbers = re.findall(_NUMBER, value[1])
        pair = f"{numbers[0]}, {numbers[-1]}" if 1 <= len(numbers) <= 2 else "1, 2"
        return f'expected two numbers in brackets, found {value[1]}. Write --{key} "[{pair}]".'
    expected = re.search(r"Subtypes: \[(.*?)\] Errors:", reason) or re.search(
        r"Expected an? (.*?)\. (?:Got|Given)", reason
    )
    return (
        f"expected {_in_words(expected[1])}, found {value[1]}.{_nearest_word(value[1], expected[1])}"
        if expected
        else reason
    )


def _in_words(types: str) -> str:
    """``int, NoneType`` as ``a whole number or null``."""
    words = []
    for name in re.findall(r"[\w.]+(?:\[[^\]]*\])?", types):
        words += re.findall(r"'([^']*)'", name) if "Literal[" in name else [_TYPES.get(name, "a mapping")]
    return ", ".join(words[:-1]) + " or " + words[-1] if len(words) > 1 else words[0]


def _nearest_word(value: str, types: str) -> str:
    literals = re.findall(r"'([^'.]*)'", types) if "Literal[" in types else []
    return nearest(value, literals)


def _nearest_option(key: str, keys: list[str], dashes: str = "") -> str:
    """What another tool's option is called here; then whole keys, then last parts: ``data.lr`` finds ``optim.lr``."""
    name = key.rsplit(".", 1)[-1].replace("-", "_")
    is_near = "." in key and closest(name, [known.rsplit(".", 1)[-1] for known in keys])
    written = "" if is_near else _ELSEWHERE.get(name, "")
    if written.split(" ")[0] in keys:
        return f" Did you mean {dashes}{written}?"
    keys = [] if written else [known for known in keys if known != "help"]
    last = {known.rsplit(".", 1)[-1]: known for known in keys}
    close = closest(key, keys) or last.get(closest(key.rsplit(".", 1)[-1], last) or "")
    return f" Did you mean '{dashes}{close}'?" if close else " See --help for all of them."
