"""One network of ``gpu.py accuracy``, trained or scored in a process of its own that Ctrl-C ends without loss.

A run that was stopped goes on from its last whole epoch. The row comes into the result file when the run is complete;
scores on the test split are added to it later, once.
"""

import argparse
import logging
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from networks import AS_PUBLISHED, named
from result_files import given_command, read
from rows import put_row, recipe_of, with_length
from training import accuracy_scores, run_of, train

from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.evaluate import evaluate
from segnext_pafpn.training.load_config import load_config

NETWORKS = named(
    "PAFPNeXt elanext_tiny",
    "PAFPNeXt elanext_nano",
    "PAFPNeXt elanext_small",
    "DeepLabV3Plus resnet18",
    "FPN resnet18",
    "DeepLabV3Plus resnet50",
    "FPN resnet34",
    "Unet resnet34",
    "SegFormer mit_b0",
    "SegNeXt mscan_tiny",
    "UPerNet convnext_atto",
    AS_PUBLISHED,
)
STOPPED = 130  # the exit code of a run that Ctrl-C ended, as the shell has it


def main() -> int:
    """Train or score; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", required=True, choices=list(NETWORKS))
    parser.add_argument("--config", default="camvid-gpu")
    parser.add_argument("--root", required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--workers", type=int, help="processes that read and augment; default the configuration's")
    parser.add_argument("--test", action="store_true", help="score the test split in place of training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--command", default=given_command(), help="to be filed; default this one")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background ignores it else
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = base_config(arguments.config, arguments.epochs)
    name, seed = arguments.network, arguments.seed
    config = replace(run_of(base, name, NETWORKS[name], seed, arguments.runs, arguments.root), seed=seed)
    if arguments.workers is not None:
        config = replace(config, data=replace(config.data, num_workers=arguments.workers))
    keys = {"network": name, "seed": seed}
    try:
        if arguments.test:
            row = _with_test(keys, config, arguments.out)
        else:
            row = _trained(keys, config, arguments.command)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        return STOPPED
    put_row(arguments.out, _header(base, arguments.command), row, keys=("network", "seed"))
    return 0


def base_config(config: str, epochs: int | None) -> TrainConfig:
    """The recipe of all networks."""
    return with_length(load_config(config), epochs, precision=None)


def _header(base: TrainConfig, command: str) -> dict:
    """What stands in the result file beside the rows."""
    return {
        "benchmark": "gpu-accuracy",
        "command": command,
        "data": f"card '{base.data.card}', trained on '{base.data.train_split}', chosen on '{base.data.val_split}'",
        "recipe": recipe_of(base),
    }


def _trained(keys: dict, config: TrainConfig, command: str) -> dict:
    """The row of a complete run, which may have been stopped and taken up on the way."""
    resume = (config.run_dir / "checkpoints" / "last.ckpt").is_file()
    if not resume and config.run_dir.exists():  # what was stopped in its first epoch
        shutil.rmtree(config.run_dir)
    clock = config.run_dir / "seconds.txt"
    with _clocked(clock):
        row = train(config, keys, accuracy_scores, resume, command)
    return {**row, "seconds": round(float(clock.read_text()))}


def _with_test(keys: dict, config: TrainConfig, out: Path) -> dict:
    """The row with the scores of the test split."""
    row = next(row for row in read(out)["rows"] if all(row[key] == value for key, value in keys.items()))
    return {**row, "test": accuracy_scores(evaluate(str(config.run_dir), config.data, "test", config.trainer))}


@contextmanager
def _clocked(path: Path) -> Iterator[None]:
    """Add the seconds that pass to those in the file."""
    before = float(path.read_text()) if path.is_file() else 0.0
    start = time.perf_counter()
    try:
        yield
    finally:
        if path.parent.is_dir():
            path.write_text(f"{before + time.perf_counter() - start:.1f}")


if __name__ == "__main__":
    sys.exit(main())
