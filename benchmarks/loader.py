"""Images per second of the whole input side, by file format, workers and cache.

Beside it stands a plain loader of PIL and albumentations.

    python benchmarks/loader.py --root PATH/TO/CamVid
    python benchmarks/loader.py --root PATH/TO/CamVid --formats jpg png --workers 0 1 2 --caches none ram disk

The data set's pictures are written anew in each format into a temporary folder first, masks as PNG.
Caches are full when the measured rounds begin.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
import yaml
from environment import describe_environment
from PIL import Image
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.transforms import AugmentConfig


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", default="camvid")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--formats", nargs="+", default=["jpg", "png"])
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--caches", nargs="+", default=["none"], choices=["none", "ram", "disk"])
    parser.add_argument("--crop", nargs=2, type=int, default=[480, 352], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "loader.json")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in arguments.formats:
            card = _rewrite(arguments.card, arguments.root, Path(folder) / suffix, suffix)
            for workers in arguments.workers:
                rows += _measure(card, suffix, workers, arguments)
    content = {
        "benchmark": "loader",
        "command": given_command(),
        "crop": arguments.crop,
        "environment": describe_environment("cpu"),
        "rows": rows,
    }
    write_result(content, arguments.out)
    title = "images per second, median over the rounds"
    table = Table("format", "workers", "loader", "cache", "images/s", title=title)
    for row in rows:
        speed = f"{row['images_per_second']:.0f}"
        table.add_row(row["format"], str(row["workers"]), row["loader"], row["cache"], speed)
    Console().print(table)


def _rewrite(card_name: str, root: str, folder: Path, suffix: str) -> Path:
    """The training split in one format; returns the path of a card for it."""
    card = load_card(card_name)
    reader = build_reader(card, root)
    for part in ("images/train", "masks/train"):
        (folder / part).mkdir(parents=True)
    for sample in track(reader.list_samples("train").samples, f"write {suffix}"):
        name = Path(sample.name).name
        quality = {"quality": 95} if suffix == "jpg" else {}
        Image.fromarray(reader.read_image(sample)).save(folder / "images" / "train" / f"{name}.{suffix}", **quality)
        Image.fromarray(reader.read_mask(sample)).save(folder / "masks" / "train" / f"{name}.png")
    rows = [{"name": row.name, "color": list(row.color), "ids": list(row.ids)} for row in card.classes]
    layout = {"reader": "folder", "images": "images/{split}", "masks": "masks/{split}"}
    content = {"name": "rewritten", "classes": rows, "ignore": list(card.ignore), "root": ".", "layout": layout}
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _measure(card: Path, suffix: str, workers: int, arguments: argparse.Namespace) -> list[dict]:
    width, height = arguments.crop
    config = DataConfig(
        card=str(card),
        val_split="train",
        crop_size=(height, width),
        batch_size=arguments.batch,
        num_workers=workers,
        cache_dir=str(card.parent / "cache"),
        augment=AugmentConfig(scale=(0.5, 2.0), horizontal_flip=0.5, color=0.4),
    )
    plain = DataLoader(
        _PlainDataset(card.parent, suffix, height, width),
        batch_size=arguments.batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        drop_last=True,
    )
    loaders = {("segnext_pafpn", cache): _loader(replace(config, cache=cache)) for cache in arguments.caches}
    loaders["PIL + albumentations", "none"] = plain
    rates: dict[tuple[str, str], list[float]] = {name: [] for name in loaders}
    for turn in range(arguments.rounds + 1):
        for name, loader in loaders.items():
            start = time.perf_counter()
            images = sum(len(batch["image"]) for batch in loader)
            if turn > 0:  # the first starts the workers, and fills the cache on the disk
                rates[name].append(images / (time.perf_counter() - start))
    return [
        {
            "format": suffix,
            "workers": workers,
            "loader": name,
            "cache": cache,
            "images_per_second": round(statistics.median(r), 1),
        }
        for (name, cache), r in rates.items()
    ]


def _loader(config: DataConfig) -> DataLoader:
    data = SegmentationDataModule(config)
    data.setup("fit")
    return data.train_dataloader()


class _PlainDataset(Dataset):
    """What one writes by hand: Pillow, the same augmentations, normalised floats."""

    def __init__(self, folder: Path, suffix: str, height: int, width: int):
        self.images = sorted((folder / "images" / "train").glob(f"*.{suffix}"))
        self.masks = folder / "masks" / "train"
        self.transform = A.Compose(
            [
                A.RandomScale((-0.5, 1.0), p=1, interpolation=cv2.INTER_LINEAR),
                A.PadIfNeeded(height, width, border_mode=cv2.BORDER_CONSTANT, fill=0, fill_mask=255),
                A.RandomCrop(height, width),
                A.HorizontalFlip(p=0.5),
                A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.04, 0.04), p=0.8),
                A.Normalize(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        path = self.images[index]
        image = np.array(Image.open(path).convert("RGB"))
        mask = np.array(Image.open(self.masks / f"{path.stem}.png"))
        result = self.transform(image=image, mask=mask)
        image = torch.from_numpy(np.ascontiguousarray(result["image"].transpose(2, 0, 1)))
        return {"image": image, "mask": torch.from_numpy(result["mask"]).long()}


if __name__ == "__main__":
    run_main(main)
