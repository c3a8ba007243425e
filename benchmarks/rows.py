"""Result files that are filled row by row, by several processes at once, and what their rows were measured under."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from result_files import given_command, read, write_result

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.training.config import TrainConfig


def with_length(config: TrainConfig, epochs: int | None, precision: str | None) -> TrainConfig:
    """The configuration at another length and precision; None keeps its own.

    Evaluations come as far apart as before or a little nearer, so that one falls on the last epoch.
    """
    trainer = config.trainer
    if epochs is not None:
        longest = min(trainer.check_val_every_n_epoch, epochs)
        every = next(distance for distance in range(longest, 0, -1) if epochs % distance == 0)
        trainer = replace(trainer, max_epochs=epochs, check_val_every_n_epoch=every)
    if precision is not None:
        trainer = replace(trainer, precision=precision)
    return replace(config, trainer=trainer)


def refuse_missing_data(data: DataConfig, root: str) -> None:
    """Ask whether the data set is in ``root``, before anything is said of results.

    Raises:
        UserError: if there is no such folder.
    """
    build_reader(load_card(data.card), root, data.layout)


def header_of(benchmark: str, config: TrainConfig) -> dict:
    """What a result file says above its rows: the command, the data, and all that the rows have in common."""
    data = config.data
    return {
        "benchmark": benchmark,
        "command": given_command(),
        "data": f"card '{data.card}', trained on '{data.train_split}', scored on '{data.val_split}'",
        "recipe": recipe_of(config),
    }


def recipe_of(config: TrainConfig) -> dict:
    """All that networks beside each other have in common, as JSON gives it back."""
    return _plain({key: asdict(config)[key] for key in ("data", "loss", "optim", "trainer")})


def read_rows(path: Path, recipe: dict) -> list[dict]:
    """The rows that are there already.

    Raises:
        SystemExit: if they were measured with another recipe.
    """
    content = read(path)
    if content and not same_recipe(content["recipe"], recipe, _plain(asdict(TrainConfig()))):
        raise SystemExit(f"{path}: was measured with another recipe. Move it away, or give another --out.")
    return content.get("rows", [])


def same_recipe(old: dict, new: dict, default: dict) -> bool:
    """Whether nothing differs but settings that the old one had not yet and that stand at their defaults."""
    if old.keys() - new.keys():
        return False
    for key, value in new.items():
        found = old.get(key, default[key])
        # options of a layout, say, are no settings of ours: the default is empty, and they are compared as a whole
        if default[key] and all(isinstance(v, dict) for v in (found, value, default[key])):
            if not same_recipe(found, value, default[key]):
                return False
        elif value != found:
            return False
    return True


def put_row(
    path: Path,
    header: dict,
    row: dict,
    keys: tuple[str, ...],
    order: Callable[[dict], object] | None = None,
) -> list[dict]:
    """Add the row to the file, in place of one with the same ``keys``; returns all rows.

    The file is read anew, and no other process that goes this way writes meanwhile. What else it holds stays.

    Args:
        order: what the rows are sorted by; None: as they came.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        old = read(path)
        rows = [r for r in old.get("rows", []) if any(r[key] != row[key] for key in keys)]
        rows.append(row)
        if order is not None:
            rows.sort(key=order)
        write_result({**header, **{key: old[key] for key in old if key not in header}, "rows": rows}, path)
    return rows


def put_fields(path: Path, fields: dict) -> None:
    """Add to what a result file holds beside its rows, as :func:`put_row` does to these."""
    with _locked(path.parent):
        write_result({**read(path), **fields}, path)


def _plain(values: dict) -> dict:
    """As JSON gives it back."""
    return json.loads(json.dumps(values))


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
