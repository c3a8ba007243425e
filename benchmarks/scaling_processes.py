"""Milliseconds of a training step in one process or in several, for ``scaling.py``; Lightning starts the others."""

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from scaling_points import peak_mib
from torch.utils.data import DataLoader, IterableDataset

from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from segnext_pafpn.training.config import OptimConfig, TrainerConfig
from segnext_pafpn.training.engine import build_trainer
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.module import SegmentationModule

CLASSES, SIDE = 11, 128


class RandomBatches(IterableDataset):
    """The same batch of random images without end, so that no time goes into data."""

    def __init__(self, size: int):
        self.batch = {
            "image": torch.randint(0, 256, (size, 3, SIDE, SIDE), dtype=torch.uint8),
            "mask": torch.randint(0, CLASSES, (size, SIDE, SIDE), dtype=torch.uint8),
            "name": [""] * size,
        }

    def __iter__(self) -> Iterator[Mapping]:
        while True:
            yield self.batch


class Clock(Callback):
    """Times the steps and ends the run when there are enough; all processes count alike, by the first one's clock."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.times: list[float] = []
        self._mark = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Mapping, batch: Mapping, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if batch_idx > 1:  # the first two choose algorithms and arrange the gradients
            self.times.append(now - self._mark)
        enough = len(self.times) >= 3 and sum(self.times) >= self.seconds
        trainer.should_stop = trainer.strategy.broadcast(enough)
        self._mark = time.perf_counter()


def main() -> None:
    """Train, and let the first process file what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True, help="of each process")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--encoder", default="elanext_tiny")
    parser.add_argument("--batch", type=int, default=8, help="of all processes together")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and torch.cuda.device_count() < arguments.processes:
        content = {"not_measured": f"there are {torch.cuda.device_count()} GPUs"}
        arguments.out.write_text(json.dumps(content))
        return
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder_name=arguments.encoder), CLASSES)
    module = SegmentationModule(
        network, CLASSES, LossConfig(), OptimConfig(), IMAGENET_MEAN, IMAGENET_STD, channels_last=True
    )
    config = TrainerConfig(
        accelerator="gpu" if arguments.device == "cuda" else "cpu",
        devices=arguments.processes,
        strategy="ddp" if arguments.processes > 1 else "auto",
        max_epochs=-1,
        max_steps=100_000,
    )
    clock = Clock(arguments.seconds)
    trainer = build_trainer(config, [clock], root=arguments.out.parent)
    torch.set_num_threads(arguments.threads)
    batches = DataLoader(RandomBatches(arguments.batch // arguments.processes), batch_size=None)
    trainer.fit(module, train_dataloaders=batches)
    if trainer.is_global_zero:
        median = statistics.median(clock.times)
        peak = torch.cuda.max_memory_allocated() / 2**20 if arguments.device == "cuda" else peak_mib()
        content = {
            "ms": round(1000 * median, 2),
            "images_per_second": round(arguments.batch / median, 2),
            "rounds": len(clock.times),
            "peak_mib": round(peak),
        }
        arguments.out.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
