"""The data's way from a card to batches, for Lightning."""

import logging
import os

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from segnext_pafpn.data.cache import DiskCache, RamCache, build_cache
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.dataset import EvalBatchSampler, SegmentationDataset, TrainSampler
from segnext_pafpn.data.focus import class_odds
from segnext_pafpn.data.pairs import FilePairs, Pairs
from segnext_pafpn.data.readers import Sample
from segnext_pafpn.data.source import DataSource
from segnext_pafpn.data.transforms import Transform, eval_transform, train_transform
from segnext_pafpn.errors import UserError
from segnext_pafpn.track import Track, untracked

log = logging.getLogger(__name__)


class SegmentationDataModule(DataSource, L.LightningDataModule):
    """Loaders of batches (:class:`~segnext_pafpn.data.dataset.Batch`).

    8-bit RGB stays uint8, to be normalised on the device; other images are normalised here by ``config.intensity``.
    """

    def __init__(self, config: DataConfig, seed: int = 0):
        L.LightningDataModule.__init__(self)
        DataSource.__init__(self, config)
        self.seed = seed
        self.first_epoch = 0  # of a resumed run: Lightning reads ahead before it tells the sampler
        self.first_batch = 0  # in this epoch; those before are done
        self.repeat_factors: np.ndarray | None = None  # of the train split, where config.repeat_threshold is set
        self.track: Track = untracked  # shows the filling of the cache
        self.cache: RamCache | DiskCache | None = None

    def setup(self, stage: str) -> None:
        """Called by the trainer before it asks for loaders. What a cache in memory is to hold is read now."""
        if stage != "fit":
            return
        self._settle_cache()
        if isinstance(self.cache, RamCache) and not self.cache.is_full:
            self.cache.fill(self.track)
            size = self.cache.num_bytes / 2**20
            log.info(f"data.cache: ram: {len(self.cache.samples)} pictures, {size:.1f} MiB")

    def _settle_cache(self) -> None:
        """The cache that the configuration asks for, once.

        Raises:
            UserError: if the pictures do not fit.
        """
        config = self.config
        if self.cache is None and config.cache != "none":
            samples = [sample for split in self._cached_splits for sample in self.samples(split)]
            files = FilePairs(self.reader, self.labels, self.card.image)
            processes = 1 if self.trainer is None else self.trainer.num_devices
            self.cache = build_cache(config.cache, files, samples, config.cache_dir, processes)

    @property
    def _cached_splits(self) -> list[str]:
        return list(dict.fromkeys([self.config.train_split, self.config.val_split]))

    def dataset(self, samples: list[Sample], transform: Transform, pairs: Pairs | None = None) -> SegmentationDataset:
        """These samples, normalised as the configuration says.

        Args:
            pairs: a cache to read them from, in place of their files.

        Raises:
            UserError: if it does not say so yet: training finds the numbers first.
        """
        form, intensity = self.card.image, self.config.intensity
        if intensity is None and form.needs_statistics:
            raise UserError(
                f"data.intensity: is null, but normalize '{form.normalize}' of the card takes numbers of the train "
                f"split, which a run's config.yaml or model/ holds. Train first."
            )
        return SegmentationDataset(
            self.reader, samples, self.labels, transform, self.seed, form, intensity or form.intensity(), pairs
        )

    def train_dataloader(self) -> DataLoader:
        config = self.config
        samples = self.samples(config.train_split)
        rank, world_size = rank_and_world_size(self)
        length = config.samples_per_epoch or len(samples)
        if length < config.batch_size * world_size:
            raise UserError(
                f"data.batch_size: {config.batch_size} on {world_size} device(s) is more than the {length} samples "
                f"of an epoch. Lower it, or set data.samples_per_epoch to at least {config.batch_size * world_size}."
            )
        if config.repeat_threshold is not None and self.repeat_factors is None:
            raise ValueError("no repeat_factors have been counted; see training.sampling.settle_sampling")
        self._settle_cache()
        rgb8, focus = self.card.image.is_rgb8, None
        if config.crop_focus.probability:
            odds = class_odds(config.crop_focus, self.card.class_names, not self.card.multi_label)
            focus = config.crop_focus.probability, odds
        transform = train_transform(config.augment, config.crop_size, config.image_size, rgb8, focus)
        dataset = self.dataset(samples, transform, self.cache)
        sampler = TrainSampler(
            len(samples), length, seed=self.seed, rank=rank, world_size=world_size, factors=self.repeat_factors
        )
        sampler.go_on(self.first_epoch, self.first_batch * config.batch_size)
        return build_loader(dataset, config.num_workers, sampler=sampler, batch_size=config.batch_size)

    def val_dataloader(self) -> DataLoader:
        return self.eval_dataloader(self.config.val_split)

    def eval_dataloader(self, split: str) -> DataLoader:
        """Every picture of ``split`` once, whole, in a fixed order."""
        config = self.config
        samples = self.samples(split)
        rank, world_size = rank_and_world_size(self)
        if len(samples) < world_size:
            raise UserError(f"split '{split}': {len(samples)} pictures are fewer than {world_size} devices. Use fewer.")
        sizes = [config.image_size or self.reader.size(sample) for sample in samples]
        cache = self.cache if split in self._cached_splits else None
        dataset = self.dataset(samples, eval_transform(config.image_size), cache)
        batch_size = min(config.val_batch_size, len(samples) // world_size)  # no device may go without a batch
        batches = EvalBatchSampler(sizes, batch_size, rank=rank, world_size=world_size)
        return build_loader(dataset, config.num_workers, batch_sampler=batches)


def rank_and_world_size(data: L.LightningDataModule) -> tuple[int, int]:
    """Which of how many processes this is; without a trainer the only one."""
    if data.trainer is None:
        return 0, 1
    return data.trainer.global_rank, data.trainer.world_size


def build_loader(
    dataset: Dataset,
    num_workers: int | None,
    sampler: Sampler | None = None,
    batch_sampler: Sampler | None = None,
    batch_size: int = 1,
) -> DataLoader:
    """A loader whose workers stay, in a sampler's order, a last batch that is not full left out, or in batches."""
    if num_workers is None:
        num_workers = min(8, max(0, len(os.sched_getaffinity(0)) - 1)) if hasattr(os, "sched_getaffinity") else 4
    return DataLoader(
        dataset,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # else each epoch would draw from the generator that training draws from
        sampler=sampler,
        batch_sampler=batch_sampler,
        batch_size=batch_size,
        drop_last=sampler is not None,
    )
