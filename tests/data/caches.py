"""Data with a cache, and a count of what is decoded."""

from pathlib import Path

import numpy as np

from segnext_pafpn.data.cache import DiskCache
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.pairs import FilePairs
from segnext_pafpn.data.readers import Sample, build_reader
from segnext_pafpn.data.transforms import AugmentConfig

AUGMENT = AugmentConfig(vertical_flip=0.5, rotate90=0.5, blur=0.5, noise=0.5)


def module(root: Path, cache: str, workers: int = 0, **options) -> SegmentationDataModule:
    config = DataConfig(
        card=str(root / "card.yaml"),
        crop_size=(16, 24),
        batch_size=2,
        val_batch_size=2,
        samples_per_epoch=12,
        num_workers=workers,
        augment=AUGMENT,
        cache=cache,
        cache_dir=str(root / "cache") if cache == "disk" else None,
        **options,
    )
    data = SegmentationDataModule(config, seed=3)
    data.setup("fit")
    return data


def pairs_of(card: Path, split: str = "train", **layout) -> tuple[FilePairs, list[Sample]]:
    card = load_card(str(card))
    reader = build_reader(card, layout=layout)
    card = reader.fitted(card)
    return FilePairs(reader, LabelMap(card), card.image), reader.list_samples(split).samples


class Counting(FilePairs):
    """Pairs from files, with a count of what was decoded."""

    def __init__(self, files: FilePairs):
        super().__init__(files.reader, files.labels, files.form)
        object.__setattr__(self, "decoded", [])

    def read_image(self, sample):
        self.decoded.append(("image", sample.name))
        return super().read_image(sample)

    def read_mask(self, sample, image):
        self.decoded.append(("mask", sample.name))
        return super().read_mask(sample, image)


def decoded(card: Path, folder: Path, split: str = "train", **layout) -> list[tuple[str, str]]:
    """What is decoded when every sample is read through a cache in ``folder``."""
    files, samples = pairs_of(card, split, **layout)
    counting = Counting(files)
    cache = DiskCache(counting, folder)
    for sample in samples:
        image, mask = cache.read(sample)
        assert np.array_equal(image, files.read_image(sample))
        assert np.array_equal(mask, files.read_mask(sample, image))
    return counting.decoded
