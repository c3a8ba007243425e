"""Small data sets whose fields have metrics of their own, and runs over them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.readers import FolderReader, Listing, Sample
from segnext_pafpn.data.transforms import eval_transform
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.training.config import OptimConfig, TrainerConfig
from segnext_pafpn.training.evaluate import build_module
from segnext_pafpn.training.loss_config import LossConfig

SPACING = (3.0, 0.5, 0.75)


@dataclass(kw_only=True)
class NumberedReader(FolderReader):
    """Files CASE_NUMBER.png are slices of the case, SPACING apart."""

    def list_samples(self, split: str) -> Listing:
        listing = super().list_samples(split)
        listing.samples = [_slice(sample) for sample in listing.samples]
        return listing


def _slice(sample: Sample) -> Sample:
    case, number = sample.name.rsplit("_", 1)
    return replace(sample, case=case, slice=int(number), spacing=SPACING)


def write_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def discs(seed: int, size: tuple[int, int], count: int) -> np.ndarray:
    """(count, H, W) bool: discs at random places, which may overlap."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    centres = rng.uniform(0.25, 0.75, (count, 2)) * size
    radii = rng.uniform(0.15, 0.3, count) * min(size)
    return np.stack([(y - cy) ** 2 + (x - cx) ** 2 <= r**2 for (cy, cx), r in zip(centres, radii, strict=True)])


def picture_of(layers: np.ndarray, seed: int) -> np.ndarray:
    """(H, W, 3) uint8: each layer brightens a channel of its own."""
    noise = np.random.default_rng(seed).integers(20, 60, (*layers.shape[1:], 3), dtype=np.uint8)
    for k, layer in enumerate(layers):
        noise[..., k % 3] += (150 * layer).astype(np.uint8)
    return noise


def logits_of(run: Path, card: Path, split: str = "val", **changes) -> tuple[SegmentationDataModule, list, list]:
    """The data, the split's samples, and the logits (K, H, W) of each by the run's model, as ``val`` has them."""
    model, preprocessing = load_bundle(run)
    module = build_module(model, preprocessing, LossConfig(), OptimConfig(), TrainerConfig())
    data = SegmentationDataModule(DataConfig(card=str(card), intensity=preprocessing.intensity, **changes))
    samples = data.samples(split)
    pictures = data.dataset(samples, eval_transform())
    with torch.inference_mode():
        logits = [module.eval()(pictures[0, i]["image"][None])[0] for i in range(len(samples))]
    return data, samples, logits


def score(run: Path, *options: str, expect: int = 0) -> None:
    common = ["val", "--checkpoint", str(run), "--trainer.accelerator=cpu", "--data.val_batch_size=1"]
    assert main([*common, "--data.num_workers=0", *options]) == expect


def values_of(run: Path, metric: str) -> dict:
    return json.loads((run / f"metrics_val_{metric}.json").read_text())
