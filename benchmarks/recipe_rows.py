"""One network trained again and again from one configuration, each time with a change: a row for each and seed."""

import argparse
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from networks import NETWORKS
from result_files import RESULTS
from rich.console import Console
from rows import header_of, put_row, read_rows, refuse_missing_data, with_length
from table_scores import recipe_table
from training import accuracy_scores, run_of, train

from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.load_config import load_config

Change = tuple[TrainConfig, dict[str, Any], Sequence[Callback]]


def recipe_parser(description: str, name: str, network: str, precision: str) -> argparse.ArgumentParser:
    """The options that all such benchmarks have.

    Args:
        name: what the result file is called behind the configuration.
        network, precision: where nothing is given.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="camvid-cpu", help="a shipped configuration, or a path")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--network", default=network, choices=list(NETWORKS), metavar="NAME")
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--precision", default=precision)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--runs", default="runs/benchmark", help="where the runs lie")
    parser.add_argument("--out", type=Path, help=f"result file; default results/CONFIG-{name}.json")
    parser.set_defaults(name=name)
    return parser


def run_of_change(arguments: argparse.Namespace, base: TrainConfig, change: str, seed: int) -> TrainConfig:
    """The run of one change and seed, in a folder of its own."""
    name, model = f"{arguments.network}-{change}", NETWORKS[arguments.network]
    return replace(run_of(base, name, model, seed, arguments.runs, arguments.root), overwrite=True, seed=seed)


def train_changes(
    arguments: argparse.Namespace, changes: Iterable[str], make: Callable[[TrainConfig, str, int], Change]
) -> None:
    """Train what is missing in the result file, scored once after the last epoch, then print all of it.

    Args:
        changes: their names, by which the rows go.
        make: the configuration, the settings to file and the callbacks of a change and seed; it gets the base.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = with_length(load_config(arguments.config), arguments.epochs, arguments.precision)
    base = replace(base, trainer=replace(base.trainer, check_val_every_n_epoch=base.trainer.max_epochs))
    out = arguments.out or RESULTS / f"{Path(arguments.config).stem}-{arguments.name}.json"
    header = {**header_of("recipe", base), "network": arguments.network}
    refuse_missing_data(base.data, arguments.root)
    rows = read_rows(out, header["recipe"])
    done = {(row["change"], row["seed"]) for row in rows}
    for seed in arguments.seeds:
        for change in changes:
            if (change, seed) in done:
                continue
            logging.info(f"{change}, seed {seed}")
            config, settings, callbacks = make(base, change, seed)
            keys = {"change": change, "settings": settings, "seed": seed}
            row = train(config, keys, accuracy_scores, callbacks=callbacks)
            rows = put_row(out, header, row, keys=("change", "seed"))
    Console(width=120).print(recipe_table({**header, "rows": rows}), highlight=False)
