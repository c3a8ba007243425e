"""From a reader to tensors, and in which order."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from segnext_pafpn.data.image_format import RGB8, ImageFormat
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.pairs import FilePairs, Pairs
from segnext_pafpn.data.readers import Reader, Sample
from segnext_pafpn.data.transforms import Transform, apply_transform
from segnext_pafpn.intensity import Intensity


class Batch(TypedDict):
    """``image`` (B, 3, H, W) uint8 or (B, C, H, W) normalised floats, ``mask`` (B, H, W) uint8 training ids,
    ``name`` B labels for messages.

    Where a pixel may be of several classes, ``mask`` is (B, K, H, W) uint8 of 0, 1 and the ignore index.
    """

    image: torch.Tensor
    mask: torch.Tensor
    name: list[str]


class SegmentationDataset(Dataset):
    """Samples of one split, read, mapped to training ids, and transformed.

    An item is asked for by ``(epoch, index)``, and where a picture comes again in an epoch by ``(epoch, index, turn)``;
    ``index`` alone is that of epoch 0. What augmentation does to it follows from these and the seed alone: not from the
    number of workers, processes or devices, nor from where a run resumed.

    Args:
        form: what the card says of the images.
        intensity: by which images are normalised; None for 8-bit RGB.
        pairs: what was kept of the files, to read that in their place.
    """

    def __init__(
        self,
        reader: Reader,
        samples: list[Sample],
        labels: LabelMap,
        transform: Transform,
        seed: int = 0,
        form: ImageFormat = RGB8,
        intensity: Intensity | None = None,
        pairs: Pairs | None = None,
    ):
        self.samples = samples
        self.transform = transform
        self.seed = seed
        self.intensity = intensity
        self.pairs = pairs or FilePairs(reader, labels, form)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, ...] | int) -> Batch:
        key = (0, key) if isinstance(key, int) else key
        sample = self.samples[key[1]]
        image, mask = self.pairs.read(sample)
        if self.intensity is not None:
            image = self.intensity(image)
        seed = int(np.random.SeedSequence([self.seed, *key]).generate_state(1)[0])
        image, mask = apply_transform(self.transform, image, mask, seed)
        return {
            "image": torch.from_numpy(np.require(image.transpose(2, 0, 1), requirements="CW")),
            "mask": torch.from_numpy(np.require(mask, requirements="CW")),
            "name": sample.label,
        }


class TrainSampler(Sampler[tuple[int, ...]]):
    """Endless shuffling cut into epochs of equal length; the part of one process.

    All processes draw the same order and take turns, so no sample is seen twice in a round. The order
    of an epoch follows from seed and epoch, so that a resumed run sees what it would have seen. Keys are
    ``(epoch, index)``; a sample that comes again in the epoch has how often it came before as their third number, so
    that it is not cropped as it was.

    Args:
        size: samples to draw from, N.
        length: samples of an epoch, over all processes.
        factors: how often each sample comes in a round, (N,) of 1 or more; what is after the point is the chance of
            one time more, drawn for each round. None for once.
    """

    def __init__(
        self,
        size: int,
        length: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        factors: np.ndarray | None = None,
    ):
        if size < 1:
            raise ValueError("there are no samples to draw from")
        self.size = size
        self.length = length // world_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.factors = factors
        self.epoch = 0
        self._first_epoch, self._done = 0, 0

    def go_on(self, epoch: int, done: int) -> None:
        """Begin with this epoch, of which this process has had the first ``done`` samples."""
        self.epoch = self._first_epoch = epoch
        self._done = done

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        order = self._order()
        keys = zip(order.tolist(), _turns(order).tolist(), strict=True)
        own = [(self.epoch, index, turn) if turn else (self.epoch, index) for index, turn in keys]
        return iter(own[self.rank :: self.world_size][self._done if self.epoch == self._first_epoch else 0 :])

    def _order(self) -> np.ndarray:
        """Indices of the epoch's samples, of all processes."""
        random = np.random.default_rng([self.seed, self.epoch])
        total = self.length * self.world_size
        rounds = [np.zeros(0, dtype=np.int64)]
        while sum(map(len, rounds)) < total:
            rounds.append(self._round(random))
        return np.concatenate(rounds)[:total]

    def _round(self, random: np.random.Generator) -> np.ndarray:
        if self.factors is None:
            return random.permutation(self.size)
        times = np.floor(self.factors + random.random(self.size)).astype(np.int64)
        return random.permutation(np.repeat(np.arange(self.size), times))


def _turns(order: np.ndarray) -> np.ndarray:
    """How often each entry came before in ``order`` (N,)."""
    by_value = np.argsort(order, kind="stable")
    values = order[by_value]
    turns = np.empty_like(order)
    turns[by_value] = np.arange(len(order)) - np.searchsorted(values, values)
    return turns


class EvalBatchSampler(Sampler[list[tuple[int, int]]]):
    """Every sample once, over all processes together, in batches of pictures of one size.

    Nothing is padded and nothing is repeated, so the score does not depend on the batch size or on the
    number of devices.
    """

    def __init__(self, sizes: list[tuple[int, int]], batch_size: int, rank: int = 0, world_size: int = 1):
        by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, size in enumerate(sizes):
            by_size[size].append(index)
        batches = [
            [(0, index) for index in group[i : i + batch_size]]
            for group in by_size.values()
            for i in range(0, len(group), batch_size)
        ]
        self.batches = batches[rank::world_size]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)
