"""Result files that are filled row by row, by several processes at once, and what their rows were measured under."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from jsonargparse import ArgumentParser

from segnext_pafpn.arguments import find_config, parse
from segnext_pafpn.files import write_json
from segnext_pafpn.training.config import TrainConfig


def load_config(config: str) -> TrainConfig:
    """A shipped configuration by its name, or one by its path."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(TrainConfig)
    values = parse(parser, ["--config", find_config(config)])
    return TrainConfig(**{key: values[key] for key in TrainConfig.__dataclass_fields__})


def with_length(config: TrainConfig, epochs: int | None, precision: str | None) -> TrainConfig:
    """The configuration at another length and precision; None keeps its own."""
    trainer = config.trainer
    if epochs is not None:
        every = min(trainer.check_val_every_n_epoch, epochs)
        trainer = replace(trainer, max_epochs=epochs, check_val_every_n_epoch=every)
    if precision is not None:
        trainer = replace(trainer, precision=precision)
    return replace(config, trainer=trainer)


def recipe_of(config: TrainConfig) -> dict:
    """All that networks beside each other have in common, as JSON gives it back."""
    return json.loads(json.dumps({key: asdict(config)[key] for key in ("data", "loss", "optim", "trainer")}))


def read(path: Path) -> dict:
    """A result file; empty where there is none."""
    return json.loads(path.read_text()) if path.is_file() else {}


def read_rows(path: Path, recipe: dict) -> list[dict]:
    """The rows that are there already.

    Raises:
        SystemExit: if they were measured with another recipe.
    """
    content = read(path)
    if content and content["recipe"] != recipe:
        raise SystemExit(f"{path}: was measured with another recipe. Move it away, or give another --out.")
    return content.get("rows", [])


def put_row(path: Path, header: dict, row: dict, keys: tuple[str, ...]) -> list[dict]:
    """Add the row to the file, in place of one with the same ``keys``; returns all rows.

    The file is read anew, and no other process that goes this way writes meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        rows = [r for r in read(path).get("rows", []) if any(r[key] != row[key] for key in keys)]
        rows.append(row)
        write_json({**header, "rows": rows}, path)
    return rows


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone in the folder, among those who ask; nothing is left in it. Windows has no such lock."""
    if os.name == "nt":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
