"""At which learning rates and precisions a loss stays finite: the first steps of training, ours and as published.

    python benchmarks/stability.py --root PATH/TO/CamVid                            # CPU: float32 and bfloat16
    python benchmarks/stability.py --root PATH/TO/CamVid --steps 200 --batch 16     # on a GPU float16, too

Each run starts from the same seed and sees the same crops in the same order; a tenth of its steps is warmup, the
learning rate then falls by a cosine, the gradient is clipped, all as in the configuration. A run ends at the first loss
that is not finite. ``last_loss`` is the mean of the last five steps; ``loss_scale``, of float16 alone, is what the
scaler of the gradients has come down to from 65536: it halves at each step whose gradients were not finite, which that
step then leaves out.
"""

import argparse
import itertools
import logging
import math
import os
import statistics
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import lightning as L
import torch
from environment import describe_environment
from lightning.pytorch.callbacks import Callback
from networks import AS_PUBLISHED, named
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from table_kinds import stability_table

from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from segnext_pafpn.training.callbacks import EpochSeed, NonFiniteLossError, NonFiniteLossGuard
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.engine import build_trainer
from segnext_pafpn.training.load_config import load_config
from segnext_pafpn.training.module import SegmentationModule

NETWORKS = named("PAFPNeXt elanext_tiny", AS_PUBLISHED)
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


class Losses(Callback):
    """Keeps the loss of every step, on the device."""

    def __init__(self) -> None:
        self.values: list[torch.Tensor] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Mapping, batch: Mapping, batch_idx: int
    ) -> None:
        self.values.append(outputs["loss"].detach())


def main() -> None:
    """Measure, print, and file."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="camvid-cpu", help="a shipped configuration, or a path: the recipe")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--device", default="cuda" if gpu else "cpu", choices=["cuda", "cpu"])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="default: all that the device has")
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-4, 3e-4, 1e-3, 3e-3, 1e-2], help="of learning")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(NETWORKS), help="the named networks")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", nargs=2, type=int, default=[160, 128], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--out", type=Path, help="result file; default results/stability-DEVICE.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.filterwarnings("ignore", ".*have no `val_dataloader`.*")  # there is nothing to score
    out = arguments.out or RESULTS / f"stability-{arguments.device}.json"
    base = _base(arguments)
    precisions = arguments.precisions or (PRECISIONS if arguments.device == "cuda" else PRECISIONS[:2])
    content = {
        "benchmark": "stability",
        "command": given_command(),
        "steps": arguments.steps,
        "batch": arguments.batch,
        "crop": arguments.crop,
        "seed": base.seed,
        "gradient_clip_val": base.trainer.gradient_clip_val,
        "data": f"card '{base.data.card}', crops of '{base.data.train_split}'",
        "load_at_start": round(os.getloadavg()[0], 2),
        "environment": describe_environment(arguments.device),
        "rows": [],
    }
    console = Console(width=140)
    for name in arguments.only or NETWORKS:
        for precision in precisions:
            for rate in arguments.rates:
                row = measure(base, NETWORKS[name], precision, rate)
                content["rows"].append({"network": name, "precision": precision, "lr": rate, **row})
                write_result(content, out)
                console.print(f"{name}, {precision}, lr {rate:g}: {row['stopped'] or row['last_loss']}")
    console.print(stability_table(content), highlight=False)


def measure(base: TrainConfig, model: ModelConfig, precision: str, rate: float) -> dict:
    """One run: its steps, and the loss they led to or the step at which it was not finite."""
    trainer_config = replace(base.trainer, precision=precision)
    optim = replace(base.optim, lr=rate, min_lr=0.0, warmup_steps=trainer_config.max_steps // 10)
    L.seed_everything(base.seed, workers=True, verbose=False)
    data = SegmentationDataModule(base.data, seed=base.seed)
    classes = len(data.card.classes)
    module = SegmentationModule(
        build_model(model, classes),
        num_classes=classes,
        loss=base.loss,
        optim=optim,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        channels_last=trainer_config.channels_last,
    )
    losses = Losses()
    trainer = build_trainer(trainer_config, [losses, NonFiniteLossGuard(), EpochSeed(base.seed)], root=base.run_dir)
    data.trainer = trainer
    start = time.perf_counter()
    try:
        trainer.fit(module, train_dataloaders=data.train_dataloader())
    except NonFiniteLossError as error:
        logging.info(str(error))
    values = torch.stack(losses.values).float().tolist()
    finite = list(itertools.takewhile(math.isfinite, values))
    stopped = len(finite) + 1 if len(finite) < len(values) else None
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return {
        "steps": len(values) if stopped is None else stopped,
        "stopped": None if stopped is None else f"non-finite loss at step {stopped}",
        "first_loss": round(finite[0], 4) if finite else None,
        "last_loss": round(statistics.fmean(finite[-5:]), 4) if finite else None,
        "highest_loss": round(max(finite), 4) if finite else None,
        "loss_scale": None if scaler is None else scaler.get_scale(),
        "seconds": round(time.perf_counter() - start, 1),
        "model": asdict(model),
    }


def _base(arguments: argparse.Namespace) -> TrainConfig:
    """The recipe with crops and a length that take little time."""
    base = load_config(arguments.config)
    width, height = arguments.crop
    data = replace(base.data, root=arguments.root, crop_size=(height, width), batch_size=arguments.batch, num_workers=0)
    trainer = replace(
        base.trainer,
        accelerator="gpu" if arguments.device == "cuda" else "cpu",
        max_epochs=-1,
        max_steps=arguments.steps,
        check_val_every_n_epoch=1,
    )
    return replace(base, data=data, trainer=trainer)


if __name__ == "__main__":
    run_main(main)
