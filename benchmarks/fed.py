"""Training steps on what the real loader gives, beside the same steps on tensors that are on the device already.

    python benchmarks/fed.py --root PATH/TO/CamVid
    python benchmarks/fed.py --root PATH/TO/CamVid --device cuda --precision bf16 --encoder elanext_tiny --batch 16

A step takes 8-bit pictures to the device, normalises them, and is one of AdamW on cross-entropy and Dice, as in
training; both sides run the same function on the same network, ``ready`` on one batch of the loader that it keeps.
A round is so many steps of the one, then of the other. Before each of them come steps that are not counted, as many as
the workers read ahead: they empty what was read while the other side ran, and let the workers come to rest.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from sides import ratios, spread, wait
from table_sides import fed_table
from torch.utils.data import DataLoader

from segnext_pafpn.data.config import AugmentConfig, DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.dataset import Batch
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from segnext_pafpn.training.config import OptimConfig
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.module import SegmentationModule
from segnext_pafpn.training.optim import build_optimizer

PRECISIONS = {"float32": None, "bf16": torch.bfloat16}
READ_AHEAD = 2  # batches of each worker, torch's default


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", default="camvid")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--encoder", default="elanext_nano", help="of PAFPNeXt")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS)
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--caches", nargs="+", default=["none", "ram"], choices=["none", "ram"])
    parser.add_argument("--crop", nargs=2, type=int, default=[480, 352], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5, help="of each side in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="result file; default results/fed-DEVICE.json")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    rows = [_measure(cache, workers, device, arguments) for cache in arguments.caches for workers in arguments.workers]
    content = {
        "benchmark": "fed",
        "command": given_command(),
        "network": f"PAFPNeXt {arguments.encoder}",
        "device": device.type,
        **{key: getattr(arguments, key) for key in ("precision", "crop", "batch", "steps", "rounds")},
        "environment": describe_environment(arguments.device),
        "rows": rows,
    }
    write_result(content, arguments.out or RESULTS / f"fed-{device.type}.json")
    Console(width=140).print(fed_table(content), highlight=False)


def _measure(cache: str, workers: int, device: torch.device, arguments: argparse.Namespace) -> dict:
    width, height = arguments.crop
    config = DataConfig(
        card=arguments.card,
        root=arguments.root,
        crop_size=(height, width),
        batch_size=arguments.batch,
        num_workers=workers,
        cache=cache,
        augment=AugmentConfig(scale=(0.5, 2.0), horizontal_flip=0.5, color=0.4),
    )
    data = SegmentationDataModule(config)
    data.setup("fit")
    step = _training_step(arguments.encoder, len(data.card.class_names), PRECISIONS[arguments.precision], device)
    fed = _endless(data.train_dataloader())
    first = next(fed)
    ready = {key: first[key].to(device) for key in ("image", "mask")}
    sides: dict[str, Callable[[], Batch]] = {"ready": lambda: ready, "fed": lambda: next(fed)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    settle = READ_AHEAD * workers + 1
    for turn in range(arguments.rounds + 1):
        for name, batch in sides.items():
            for _ in range(settle):
                step(batch())
            wait(device)
            start = time.perf_counter()
            for _ in range(arguments.steps):
                step(batch())
            wait(device)
            if turn > 0:
                seconds[name].append(time.perf_counter() - start)
    return {
        "cache": cache,
        "workers": workers,
        **{key: value for name in sides for key, value in _milliseconds(name, seconds[name], arguments.steps).items()},
        **spread(ratios(seconds["ready"], seconds["fed"]), "share", 4),
    }


def _milliseconds(name: str, seconds: list[float], steps: int) -> dict:
    return spread([1000 * s / steps for s in seconds], f"{name}_ms", 2)


def _endless(loader: DataLoader) -> Iterator[Batch]:
    """Epoch after epoch, each in an order of its own, as in training."""
    for epoch in range(1_000_000):
        loader.sampler.set_epoch(epoch)
        yield from loader


def _training_step(
    encoder: str, classes: int, precision: torch.dtype | None, device: torch.device
) -> Callable[[Batch], None]:
    """What training does with a batch, without Lightning around it."""
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder_name=encoder), classes)
    module = SegmentationModule(
        network, classes, LossConfig(), OptimConfig(), IMAGENET_MEAN, IMAGENET_STD, channels_last=True
    )
    module.to(device).train()
    optimizer, _ = build_optimizer(network, OptimConfig(), total_steps=1000, fused=True)

    def step(batch: Batch) -> None:
        image = batch["image"].to(device, non_blocking=True)
        mask = batch["mask"].to(device, non_blocking=True)
        with torch.autocast(device.type, dtype=precision, enabled=precision is not None):
            loss = module.loss(module(image), mask)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    run_main(main)
