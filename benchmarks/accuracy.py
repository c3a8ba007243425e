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
import json
import logging
import os
import re
import statistics
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from environment import describe_environment
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from speed_paths import train_step

from segnext_pafpn.arguments import find_config, parse
from segnext_pafpn.data.card import load_card
from segnext_pafpn.models.factory import ModelConfig, build_model
from segnext_pafpn.training.callbacks import NonFiniteLossError
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.run import fit

RESULTS = Path(__file__).parent / "results"


def _article(**options: str) -> ModelConfig:
    return ModelConfig(arch="article", encoder_name="article", options=options)


NETWORKS = {
    "peers": {
        "PAFPNeXt elanext_tiny": ModelConfig(encoder_name="elanext_tiny"),
        "PAFPNeXt elanext_nano": ModelConfig(encoder_name="elanext_nano"),
        "DeepLabV3Plus resnet18": ModelConfig(arch="deeplabv3plus", encoder_name="resnet18"),
        "FPN resnet18": ModelConfig(arch="fpn", encoder_name="resnet18"),
        "Unet resnet18": ModelConfig(arch="unet", encoder_name="resnet18"),
        "SegFormer mit_b0": ModelConfig(arch="segformer", encoder_name="mit_b0"),
        "SegNeXt mscan_tiny": ModelConfig(arch="segnext", encoder_name="mscan_tiny"),
        "UPerNet convnext_atto": ModelConfig(arch="upernet", encoder_name="tu-convnext_atto"),
        "Unet resnet34": ModelConfig(arch="unet", encoder_name="resnet34"),
        "FPN resnet34": ModelConfig(arch="fpn", encoder_name="resnet34"),
        "DeepLabV3Plus resnet50": ModelConfig(arch="deeplabv3plus", encoder_name="resnet50"),
        "SegFormer mit_b1": ModelConfig(arch="segformer", encoder_name="mit_b1"),
        "article network, quarter width, as published": ModelConfig(arch="article", encoder_name="article"),
    },
    "ablation": {
        "PAFPNeXt elanext_tiny": ModelConfig(encoder_name="elanext_tiny"),
        "384 channels at stride 32, not 256": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"widths": [32, 64, 128, 256, 384]}
        ),
        "pyramid 96 wide, not 64": ModelConfig(options={"decoder_channels": 96}),
        "3x3 depthwise kernels, not 7x7": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"kernel_size": 3, "decoder_kernel_size": 3}
        ),
        "LayerScale of 1e-6 in the encoder": ModelConfig(encoder_name="tu-elanext_tiny", options={"layer_scale": 1e-6}),
        "LayerNorm in encoder and pyramid": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"norm": "layer", "decoder_norm": "layer"}
        ),
        "LayerNorm in encoder and pyramid, LayerScale of 1e-6": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"norm": "layer", "layer_scale": 1e-6, "decoder_norm": "layer"}
        ),
    },
    "article": {  # each row has the changes of those above it, too
        "article network, quarter width, as published": _article(),
        "RepConv that folds": _article(rep="folding"),
        "BatchNorm for LayerNorm": _article(rep="folding", norm="batch"),
        "depthwise residual blocks in ELAN and SPPCSPC": _article(rep="folding", norm="batch", block="convnext"),
        "FuseHead, still at stride 8": _article(rep="folding", norm="batch", block="convnext", head="sum"),
        "PAFPNeXt elanext_tiny: 64 channels at every level, down to stride 4": ModelConfig(),
    },
}
CHAINS = ("article",)  # comparisons whose rows stay in their order


def main() -> None:
    """Train what is missing in the result file, then print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="camvid-cpu", help="a shipped configuration, or a path")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--compare", default="peers", choices=list(NETWORKS), help="which networks")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="of these, the named ones")
    parser.add_argument("--epochs", type=int, help="in place of the configuration's")
    parser.add_argument("--precision", help="in place of the configuration's, for all networks alike")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--time", action="store_true", help="train nothing; time the steps of the networks in the file")
    parser.add_argument(
        "--equal-time",
        metavar="FILE",
        type=Path,
        help="train each network for as long as the first of --compare takes, by the step times in this result file",
    )
    parser.add_argument("--runs", default="runs/benchmark", help="where the runs lie")
    parser.add_argument("--out", type=Path, help="result file; default results/CONFIG.json, or CONFIG-COMPARE.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = _load(arguments.config)
    if arguments.epochs is not None:
        trainer = replace(base.trainer, max_epochs=arguments.epochs, check_val_every_n_epoch=arguments.epochs)
        base = replace(base, trainer=trainer)
    if arguments.precision is not None:
        base = replace(base, trainer=replace(base.trainer, precision=arguments.precision))
    suffix = "" if arguments.compare == "peers" else f"-{arguments.compare}"
    suffix += "-equal-time" if arguments.equal_time else ""
    step_ms = _read(arguments.equal_time)["step_ms"] if arguments.equal_time else None
    out = arguments.out or RESULTS / f"{Path(arguments.config).stem}{suffix}.json"
    recipe = {key: asdict(base)[key] for key in ("data", "loss", "optim", "trainer")}
    recipe = json.loads(json.dumps(recipe))  # as it reads back
    rows = []
    if arguments.time and not out.is_file():
        raise SystemExit(f"{out}: no such file. --time times the networks in it: train them first, or give its --out.")
    if out.is_file():
        content = _read(out)
        if not _same_recipe(content["recipe"], recipe, asdict(TrainConfig())):
            raise SystemExit(f"{out}: was measured with another recipe. Move it away, or give another --out.")
        rows = content["rows"]
    if arguments.time:
        times = time_steps({name: NETWORKS[arguments.compare][name] for name in {r["network"]: 0 for r in rows}}, base)
        out.write_text(json.dumps({**content, **times}, indent=1) + "\n")
        return
    done = {(row["network"], row["seed"]) for row in rows}
    for seed in arguments.seeds:
        for name, model in NETWORKS[arguments.compare].items():
            if (name, seed) in done or (arguments.only and name not in arguments.only):
                continue
            length = (
                base if step_ms is None else _as_long_as(next(iter(NETWORKS[arguments.compare])), name, step_ms, base)
            )
            row = _train(name, model, seed, length, arguments.root, arguments.runs)
            rows = _in_order([*_read(out).get("rows", []), row], arguments.compare)
            _save(rows, base, recipe, arguments, out)
    _show(rows, base.name, chain=arguments.compare in CHAINS)


def time_steps(networks: dict[str, ModelConfig], base: TrainConfig, rounds: int = 9) -> dict:
    """Median milliseconds of a training step on random crops in float32, the networks taking turns."""
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
            start = time.perf_counter()
            step()
            if turn:  # the first chooses algorithms
                seconds[name].append(time.perf_counter() - start)
    return {
        "step_ms": {name: round(1000 * statistics.median(times), 1) for name, times in seconds.items()},
        "step_environment": describe_environment(),
    }


def _as_long_as(reference: str, name: str, step_ms: dict[str, float], base: TrainConfig) -> TrainConfig:
    """The configuration with as many epochs of network ``name`` as take the time of the reference's."""
    epochs = max(1, round(base.trainer.max_epochs * step_ms[reference] / step_ms[name]))
    return replace(base, trainer=replace(base.trainer, max_epochs=epochs, check_val_every_n_epoch=epochs))


def _read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.is_file() else {}


def _same_recipe(old: dict, new: dict, default: dict) -> bool:
    """Whether nothing differs but settings that the old one had not yet and that stand at their defaults."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict) and isinstance(default[key], dict):
            if not _same_recipe(old[key], value, default[key]):
                return False
        elif value != old.get(key, json.loads(json.dumps(default[key]))):
            return False
    return True


def _load(config: str) -> TrainConfig:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(TrainConfig)
    values = parse(parser, ["--config", find_config(config)])
    return TrainConfig(**{key: values[key] for key in TrainConfig.__dataclass_fields__})


def _train(name: str, model: ModelConfig, seed: int, base: TrainConfig, root: str, runs: str) -> dict:
    config = replace(
        base,
        name=f"{base.name}-{re.sub(r'[^a-zA-Z0-9_]+', '-', name)}-{seed}",
        output_dir=runs,
        overwrite=True,
        seed=seed,
        model=model,
        data=replace(base.data, root=root),
    )
    logging.info(f"{name}, seed {seed}")
    load = os.getloadavg()[0]
    environment = describe_environment()  # of the code that is running, not of what is edited meanwhile
    start = time.perf_counter()
    outcome = _outcome(config)
    seconds = time.perf_counter() - start
    network = build_model(model, len(load_card(base.data.card).classes))
    return {
        "network": name,
        "seed": seed,
        "million_parameters": round(sum(p.numel() for p in network.parameters()) / 1e6, 2),
        **outcome,
        "seconds": round(seconds),
        "load_at_start": round(load, 2),
        "model": asdict(model),
        "environment": environment,
    }


def _outcome(config: TrainConfig) -> dict:
    """Train; the scores and the steps, or at which step the loss was not finite any more."""
    try:
        result = fit(config)
    except NonFiniteLossError as error:
        logging.info(str(error))
        stopped = f"non-finite loss at step {error.step}"
        return {"mIoU": None, "aAcc": None, "IoU": None, "stopped": stopped, "steps": error.step}
    last = torch.load(config.run_dir / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    scores = result.scores
    return {
        "mIoU": round(100 * scores.mIoU, 2),
        "aAcc": round(100 * scores.aAcc, 2),
        "IoU": dict(zip(result.class_names, (round(100 * float(v), 2) for v in scores.iou), strict=True)),
        "stopped": None,
        "steps": last["global_step"],
    }


def _command(arguments: argparse.Namespace) -> str:
    command = f"python benchmarks/accuracy.py --config {arguments.config} --compare {arguments.compare} --root PATH"
    for name in ("epochs", "precision", "equal_time"):
        if (value := getattr(arguments, name)) is not None:
            command += f" --{name.replace('_', '-')} {Path(value).name if name == 'equal_time' else value}"
    return command


def _save(rows: list[dict], base: TrainConfig, recipe: dict, arguments: argparse.Namespace, out: Path) -> None:
    content = {
        "benchmark": "accuracy",
        "command": _command(arguments),
        "data": f"card '{base.data.card}', trained on '{base.data.train_split}', scored on '{base.data.val_split}'",
        "recipe": recipe,
        "chain": arguments.compare in CHAINS,
        **{key: value for key, value in _read(out).items() if key.startswith("step_")},
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1) + "\n")


def _in_order(rows: list[dict], compare: str) -> list[dict]:
    """A chain in its order, anything else as it was measured."""
    if compare not in CHAINS:
        return rows
    place = {name: i for i, name in enumerate(NETWORKS[compare])}
    return sorted(rows, key=lambda row: (place.get(row["network"], len(place)), row["seed"]))


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
    main()
