"""A run's configuration in Python, as ``segnext-pafpn train`` has it."""

import json
from collections.abc import Mapping
from pathlib import Path

from jsonargparse import ArgumentParser

from segnext_pafpn.arguments import as_config, find_config, parse
from segnext_pafpn.training.config import TrainConfig


def load_config(name_or_path: str | Path, settings: Mapping[str, object] | None = None) -> TrainConfig:
    """A shipped configuration by its name, or one by its path, with settings in place of its own.

    Args:
        settings: by their dotted names, as ``{"data.root": "data/camvid", "trainer.max_epochs": 2}``.

    Raises:
        UserError: naming a configuration that is not there, or a setting that cannot be.
    """
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(TrainConfig)
    given = [f"--{name}={_as_text(value)}" for name, value in (settings or {}).items()]
    values = parse(parser, ["--config", find_config(str(name_or_path)), *given])
    return as_config(values, TrainConfig)


def _as_text(value: object) -> str:
    """As it would stand on the command line."""
    return str(value) if isinstance(value, str | Path) else json.dumps(value)
