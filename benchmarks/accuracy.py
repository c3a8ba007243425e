"""Networks beside each other: one recipe, one order of the data, equal steps, everything from scratch.

    python benchmarks/accuracy.py --root PATH/TO/CamVid                        # ours and smp's
    python benchmarks/accuracy.py --root PATH/TO/CamVid --compare ablation     # ours, one change at a time
    python benchmarks/accuracy.py --root PATH/TO/CamVid --compare article      # from the article network to ours
    python benchmarks/accuracy.py --root PATH/TO/CamVid --time                 # steps of what was trained, side by side
    python benchmarks/accuracy.py --root PATH/TO/CamVid --equal-time benchmarks/results/camvid-cpu.json

Each network is trained by the package's own ``fit`` from the same shipped configuration; only ``model:``
differs. The score is that of the split the configuration validates on; the test split is never read. A
network that is in the result file already is not trained again, so the script can be stopped and started, and
several of it with different ``--only`` or ``--seeds`` may fill one file at once. A network whose loss is not
finite gets a row that says so, without a score.
"""

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from environment import describe_environment
from networks import CHAINS, COMPARISONS
from result_files import RESULTS, read, run_main
from rich.console import Console
from rich.table import Table
from rows import header_of, put_fields, put_row, read_rows, refuse_missing_data, with_length
from speed_paths import train_step
from training import accuracy_scores, run_of, train

from segnext_pafpn.data.card import load_card
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.load_config import load_config


def main() -> None:
    """Train what is missing in the result file, then print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="camvid-cpu", help="a shipped configuration, or a path")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--compare", default="peers", choices=list(COMPARISONS), help="which networks")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="of these, the named ones")
    parser.add_argument("--epochs", type=int, help="in place of the configuration's")
    parser.add_argument("--precision", help="in place of the configuration's, for all networks alike")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0], help="a run of each network for each")
    parser.add_argument("--time", action="store_true", help="train nothing; time the steps of the networks in the file")
    parser.add_argument(
        "--equal-time",
        metavar="FILE",
        type=Path,
        help="train each network for as long as the first of --compare takes, by the step times in this result file "
        "of the same recipe; what took as many steps there is taken from it",
    )
    parser.add_argument("--runs", default="runs/benchmark", help="where the runs lie")
    parser.add_argument("--out", type=Path, help="result file; default results/CONFIG.json, or CONFIG-COMPARE.json")
    arguments = parser.parse_args()
    networks = COMPARISONS[arguments.compare]
    if unknown := [name for name in arguments.only or () if name not in networks]:
        parser.error(f"--only: {arguments.compare} has no network '{unknown[0]}'. Known: {', '.join(networks)}.")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = _base(arguments)
    out = arguments.out or _default_out(arguments)
    header = {**header_of("accuracy", base), "chain": arguments.compare in CHAINS}
    refuse_missing_data(base.data, arguments.root)
    rows = read_rows(out, header["recipe"])
    if arguments.time:
        if not out.is_file():
            raise SystemExit(
                f"{out}: no such file. --time times the networks in it: train them first, or give its --out."
            )
        put_fields(out, time_steps({row["network"]: networks[row["network"]] for row in rows}, base))
        return
    step_ms = None if arguments.equal_time is None else _step_times(arguments.equal_time)
    # at equal steps; what takes as many at equal time is not trained again
    equal_steps = [] if arguments.equal_time is None else read_rows(arguments.equal_time, header["recipe"])
    measured = {(row["network"], row["seed"]): row for row in equal_steps}
    done = {(row["network"], row["seed"]) for row in rows}
    for seed in arguments.seeds:
        for name in networks:
            if (name, seed) in done or (arguments.only and name not in arguments.only):
                continue
            length = base if step_ms is None else _as_long_as(next(iter(networks)), name, step_ms, base)
            if length == base and (name, seed) in measured:
                rows = put_row(out, header, measured[name, seed], keys=("network", "seed"))
                continue
            config = run_of(length, name, networks[name], seed, arguments.runs, arguments.root)
            logging.info(f"{name}, seed {seed}")
            keys = {"network": name, "seed": seed}
            row = train(replace(config, overwrite=True, seed=seed), keys, accuracy_scores)
            rows = put_row(out, header, row, keys=("network", "seed"), order=_order(arguments.compare))
    _show(rows, base.name, chain=arguments.compare in CHAINS)


def _base(arguments: argparse.Namespace) -> TrainConfig:
    """The recipe; one at another length is evaluated after its last epoch alone."""
    base = with_length(load_config(arguments.config), arguments.epochs, arguments.precision)
    if arguments.epochs is None:
        return base
    return replace(base, trainer=replace(base.trainer, check_val_every_n_epoch=arguments.epochs))


def _default_out(arguments: argparse.Namespace) -> Path:
    suffix = "" if arguments.compare == "peers" else f"-{arguments.compare}"
    suffix += "-equal-time" if arguments.equal_time else ""
    return RESULTS / f"{Path(arguments.config).stem}{suffix}.json"


def time_steps(networks: dict[str, ModelConfig], base: TrainConfig, rounds: int = 9) -> dict:
    """Median milliseconds of a training step on random crops in float32, the networks taking turns.

    The step that comes after another network's is not timed: it pays for memory that training would have at hand.
    """
    height, width = base.data.crop_size
    image = torch.randn(base.data.batch_size, 3, height, width).contiguous(memory_format=torch.channels_last)
    classes = len(load_card(base.data.card).classes)
    steps = {}
    for name, config in networks.items():
        network = build_model(config, classes).to(memory_format=torch.channels_last)
        steps[name] = train_step(network, image, classes)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            step()
            start = time.perf_counter()
            step()
            if turn:  # the first chooses algorithms
                seconds[name].append(time.perf_counter() - start)
    return {
        "step_ms": {name: round(1000 * statistics.median(times), 1) for name, times in seconds.items()},
        "step_environment": describe_environment("cpu"),
    }


def _step_times(path: Path) -> dict[str, float]:
    """What ``--time`` has added to a result file."""
    content = read(path)
    if "step_ms" not in content:
        raise SystemExit(f"{path}: has no times of steps. Train the networks into it, then add them with --time.")
    return content["step_ms"]


def _as_long_as(reference: str, name: str, step_ms: dict[str, float], base: TrainConfig) -> TrainConfig:
    """The configuration with as many epochs of network ``name`` as take the time of the reference's."""
    epochs = max(1, round(base.trainer.max_epochs * step_ms[reference] / step_ms[name]))
    return replace(base, trainer=replace(base.trainer, max_epochs=epochs, check_val_every_n_epoch=epochs))


def _order(compare: str) -> Callable[[dict], object] | None:
    """What the rows of a chain are sorted by; others stay as they were measured."""
    if compare not in CHAINS:
        return None
    place = {name: i for i, name in enumerate(COMPARISONS[compare])}
    return lambda row: (place.get(row["network"], len(place)), row["seed"])


def _show(rows: list[dict], title: str, chain: bool) -> None:
    table = Table(title=title)
    for column in ("network", "M parameters", "seed", "steps", "val mIoU %", "seconds"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for row in rows if chain else sorted(rows, key=lambda r: -(r["mIoU"] or 0)):
        score = row["mIoU"] if row["mIoU"] is not None else row["stopped"]
        values = (row["million_parameters"], row["seed"], row["steps"], score, row["seconds"])
        table.add_row(row["network"], *map(str, values))
    Console().print(table)


if __name__ == "__main__":
    run_main(main)
