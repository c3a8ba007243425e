"""One network by many recipes: what each setting of training gains or costs, one changed at a time.

    python benchmarks/recipe.py --root PATH/TO/CamVid
    python benchmarks/recipe.py --root PATH/TO/CamVid --only "as shipped" "OHEM in place of cross-entropy" --seeds 0 1

Everything else is as in accuracy.py: the package's own ``fit``, one order of the data, the validation split scored
after the last epoch, the test split never read. What is in the result file already is not trained again.
"""

import argparse
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from networks import NETWORKS
from result_files import RESULTS, run_main
from rich.console import Console
from rows import header_of, put_row, read_rows, refuse_missing_data, with_length
from table_scores import recipe_table
from training import accuracy_scores, run_of, train

from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.load_config import load_config

RECIPES: dict[str, dict[str, Any]] = {  # settings by their names on the command line
    "as shipped": {},
    "learning rate 0.0005": {"optim.lr": 5e-4},
    "learning rate 0.002": {"optim.lr": 2e-3},
    "learning rate 0.003": {"optim.lr": 3e-3},
    "weight decay 0.01": {"optim.weight_decay": 0.01},
    "weight decay 0.2": {"optim.weight_decay": 0.2},
    "no averaged weights": {"optim.ema_decay": None},
    "zoom 0.5 to 2": {"data.augment.scale": (0.5, 2.0)},
    "zoom 1": {"data.augment.scale": (1.0, 1.0)},
    "colours 0.5": {"data.augment.color": 0.5},
    "colours as they are": {"data.augment.color": 0.0},
    "half of the crops around rare classes": {
        "data.crop_focus.probability": 0.5,
        "data.crop_focus.classes": "rare",
    },
    "pictures with rare classes more often": {"data.repeat_threshold": 0.5},
    "cross-entropy alone": {"loss.dice": 0.0},
    "OHEM in place of cross-entropy": {"loss.cross_entropy": 0.0, "loss.ohem": 1.0},
    "Lovasz in place of Dice": {"loss.dice": 0.0, "loss.lovasz": 1.0},
    "boundary loss besides": {"loss.boundary": 0.01},
    "label smoothing 0.1": {"loss.label_smoothing": 0.1},
    "classes by their median frequency": {"loss.class_weights": "median_frequency"},
    "classes by the root of their frequency": {"loss.class_weights": "sqrt_inverse"},
}


def main() -> None:
    """Train what is missing in the result file, then print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="camvid-cpu", help="a shipped configuration, or a path")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--network", default="PAFPNeXt elanext_tiny", choices=list(NETWORKS), metavar="NAME")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(RECIPES), help="the named recipes")
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--runs", default="runs/benchmark", help="where the runs lie")
    parser.add_argument("--out", type=Path, help="result file; default results/CONFIG-recipe.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = with_length(load_config(arguments.config), arguments.epochs, arguments.precision)
    base = replace(base, trainer=replace(base.trainer, check_val_every_n_epoch=base.trainer.max_epochs))
    out = arguments.out or RESULTS / f"{Path(arguments.config).stem}-recipe.json"
    header = {**header_of("recipe", base), "network": arguments.network}
    refuse_missing_data(base.data, arguments.root)
    rows = read_rows(out, header["recipe"])
    done = {(row["change"], row["seed"]) for row in rows}
    for seed in arguments.seeds:
        for change in arguments.only or RECIPES:
            if (change, seed) in done:
                continue
            logging.info(f"{change}, seed {seed}")
            changed = with_settings(base, RECIPES[change])
            model = NETWORKS[arguments.network]
            config = run_of(changed, f"{arguments.network}-{change}", model, seed, arguments.runs, arguments.root)
            keys = {"change": change, "settings": RECIPES[change], "seed": seed}
            row = train(replace(config, overwrite=True, seed=seed), keys, accuracy_scores)
            rows = put_row(out, header, row, keys=("change", "seed"))
    Console(width=120).print(recipe_table({**header, "rows": rows}), highlight=False)


def with_settings(config: TrainConfig, settings: dict[str, Any]) -> TrainConfig:
    """The configuration with settings in place of its own, each by its dotted name."""
    for name, value in settings.items():
        config = _with(config, name.split("."), value)
    return config


def _with(part: Any, path: list[str], value: Any) -> Any:
    key, *rest = path
    assert key in asdict(part), f"{type(part).__name__} has no setting {key}"
    return replace(part, **{key: _with(getattr(part, key), rest, value) if rest else value})


if __name__ == "__main__":
    run_main(main)
