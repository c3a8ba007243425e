"""One network of ``gpu.py accuracy``, trained or scored in a process of its own that Ctrl-C ends without loss.

A run that was stopped goes on from its last whole epoch. The row comes into the result file when the run is complete;
scores on the test split are added to it later, once.
"""

import argparse
import logging
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from environment import describe_environment
from rows import load_config, put_row, read, recipe_of, with_length

from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.factory import ModelConfig
from segnext_pafpn.training.callbacks import NonFiniteLossError
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.run import Result, evaluate, fit

NETWORKS = {
    "PAFPNeXt elanext_tiny": ModelConfig(encoder_name="elanext_tiny"),
    "PAFPNeXt elanext_small": ModelConfig(encoder_name="elanext_small"),
    "DeepLabV3Plus resnet18": ModelConfig(arch="deeplabv3plus", encoder_name="resnet18"),
    "DeepLabV3Plus resnet50": ModelConfig(arch="deeplabv3plus", encoder_name="resnet50"),
    "FPN resnet34": ModelConfig(arch="fpn", encoder_name="resnet34"),
    "Unet resnet34": ModelConfig(arch="unet", encoder_name="resnet34"),
    "SegFormer mit_b0": ModelConfig(arch="segformer", encoder_name="mit_b0"),
    "SegNeXt mscan_tiny": ModelConfig(arch="segnext", encoder_name="mscan_tiny"),
    "UPerNet convnext_atto": ModelConfig(arch="upernet", encoder_name="tu-convnext_atto"),
    "article network, quarter width, as published": ModelConfig(arch="article", encoder_name="article"),
}
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
    parser.add_argument("--test", action="store_true", help="score the test split in place of training")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background ignores it else
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = base_config(arguments.config, arguments.epochs)
    config = replace(
        base,
        name=f"{base.name}-{re.sub(r'[^a-zA-Z0-9_]+', '-', arguments.network)}-{arguments.seed}",
        output_dir=str(arguments.runs),
        seed=arguments.seed,
        model=NETWORKS[arguments.network],
        data=replace(base.data, root=arguments.root),
    )
    keys = {"network": arguments.network, "seed": arguments.seed}
    try:
        if arguments.test:
            row = _with_test(keys, config, arguments.out)
        else:
            row = _trained(keys, config)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        return STOPPED
    put_row(arguments.out, header(base, arguments.config, arguments.epochs), row, keys=("network", "seed"))
    return 0


def base_config(config: str, epochs: int | None) -> TrainConfig:
    """The recipe of all networks."""
    return with_length(load_config(config), epochs, precision=None)


def header(base: TrainConfig, config: str, epochs: int | None) -> dict:
    """What stands in the result file beside the rows."""
    command = f"python benchmarks/gpu.py accuracy --config {config} --root PATH"
    return {
        "benchmark": "gpu-accuracy",
        "command": command if epochs is None else f"{command} --epochs {epochs}",
        "data": f"card '{base.data.card}', trained on '{base.data.train_split}', chosen on '{base.data.val_split}'",
        "recipe": recipe_of(base),
    }


def _trained(keys: dict, config: TrainConfig) -> dict:
    """The row of a complete run, which may have been stopped and taken up on the way."""
    resume = (config.run_dir / "checkpoints" / "last.ckpt").is_file()
    if not resume and config.run_dir.exists():  # what was stopped in its first epoch
        shutil.rmtree(config.run_dir)
    clock = config.run_dir / "seconds.txt"
    facts = {"model": asdict(config.model), "environment": describe_environment()}
    try:
        with _clocked(clock):
            result = fit(config, resume=resume)
    except NonFiniteLossError as error:
        logging.info(str(error))
        stopped = f"non-finite loss at step {error.step}"
        return {**keys, "mIoU": None, "stopped": stopped, "steps": error.step, **facts}
    last = torch.load(config.run_dir / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    model = load_bundle(config.run_dir)[0]
    return {
        **keys,
        "million_parameters": round(sum(p.numel() for p in model.parameters()) / 1e6, 2),
        **_scores(result),
        "stopped": None,
        "steps": last["global_step"],
        "seconds": round(float(clock.read_text())),
        **facts,
    }


def _with_test(keys: dict, config: TrainConfig, out: Path) -> dict:
    """The row with the scores of the test split."""
    row = next(row for row in read(out)["rows"] if all(row[key] == value for key, value in keys.items()))
    return {**row, "test": _scores(evaluate(str(config.run_dir), config.data, "test", config.trainer))}


def _scores(result: Result) -> dict:
    """Percent."""
    iou = {name: round(100 * float(v), 2) for name, v in zip(result.class_names, result.scores.iou, strict=True)}
    return {"mIoU": round(100 * result.scores.mIoU, 2), "aAcc": round(100 * result.scores.aAcc, 2), "IoU": iou}


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
