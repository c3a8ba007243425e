"""One network by many recipes: what each setting of training gains or costs, one changed at a time.

    python benchmarks/recipe.py --root PATH/TO/CamVid
    python benchmarks/recipe.py --root PATH/TO/CamVid --only "as shipped" "OHEM in place of cross-entropy" --seeds 0 1

Everything else is as in accuracy.py: the package's own ``fit``, one order of the data, the validation split scored
after the last epoch, the test split never read. What is in the result file already is not trained again.
"""

from dataclasses import asdict, replace
from typing import Any

from recipe_rows import Change, recipe_parser, run_of_change, train_changes
from result_files import run_main

from segnext_pafpn.training.config import TrainConfig

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
    parser = recipe_parser(__doc__, "recipe", network="PAFPNeXt elanext_tiny", precision="bf16-mixed")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(RECIPES), help="the named recipes")
    arguments = parser.parse_args()

    def make(base: TrainConfig, change: str, seed: int) -> Change:
        settings = RECIPES[change]
        return run_of_change(arguments, with_settings(base, settings), change, seed), settings, []

    train_changes(arguments, arguments.only or RECIPES, make)


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
