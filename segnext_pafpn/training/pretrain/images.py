"""A folder of pictures by class, listed with care, augmented by timm, in batches for Lightning."""

from collections.abc import Callable
from pathlib import Path
from random import seed as seed_python
from typing import TypedDict

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from timm.data import create_transform
from torch.utils.data import DataLoader, Dataset

from segnext_pafpn.data.datamodule import build_loader, rank_and_world_size
from segnext_pafpn.data.dataset import EvalBatchSampler, TrainSampler
from segnext_pafpn.data.readers.files import image_files, read_rgb
from segnext_pafpn.data.source import MAX_PIXELS
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from segnext_pafpn.training.pretrain.config import ImageFolderConfig

_INTERPOLATIONS = ("bicubic", "bilinear", "random")


class ImageBatch(TypedDict):
    """``image`` (B, 3, S, S) uint8, ``label`` (B,) int64 class ids, ``name`` B paths for messages."""

    image: torch.Tensor
    label: torch.Tensor
    name: list[str]


class ImageFolderDataset(Dataset):
    """Pictures read, transformed and labelled.

    An item is asked for by ``(epoch, index)``; its augmentation follows from these two and the seed alone, so
    neither workers nor a resumed run change it. timm's transforms draw from Python's, numpy's and torch's
    generators, so these are seeded for each picture, and put back.

    Args:
        samples: paths and class ids.
        transform: a PIL image to ``(3, S, S)`` uint8, numpy or torch.
    """

    def __init__(self, samples: list[tuple[str, int]], transform: Callable, seed: int = 0):
        self.samples = samples
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> ImageBatch:
        epoch, index = key
        path, label = self.samples[index]
        image = Image.fromarray(read_rgb(Path(path)))
        seed = int(np.random.SeedSequence([self.seed, epoch, index]).generate_state(1)[0])
        with isolate_rng(include_cuda=False):
            seed_python(seed)
            np.random.seed(seed)
            torch.default_generator.manual_seed(seed)
            pixels = self.transform(image)
        return {"image": torch.as_tensor(pixels).contiguous(), "label": torch.tensor(label), "name": path}


class ImageFolderDataModule(L.LightningDataModule):
    """Loaders of uint8 batches (:class:`ImageBatch`); normalising, erasing and mixing are left to the device.

    Raises:
        UserError: for settings that cannot be, and folders that are not as expected.
    """

    def __init__(self, config: ImageFolderConfig, seed: int = 0):
        super().__init__()
        _check_config(config)
        self.config = config
        self.seed = seed
        self.first_epoch = 0  # of a resumed run: Lightning reads ahead before it tells the sampler
        self.first_batch = 0  # in this epoch; those before are done
        root = Path(config.root)
        if not root.is_dir():
            raise UserError(f"data.root: {root}: no such folder. {_expected(config)}")
        self.class_names, self.train_samples = _list_split(root, config.train_split, config)
        val_names, self.val_samples = _list_split(root, config.val_split, config)
        _check_classes(self.class_names, val_names, config)
        self.transforms = {training: _build_transform(config, training) for training in (True, False)}

    def train_dataloader(self) -> DataLoader:
        config, samples = self.config, self.train_samples
        rank, world_size = rank_and_world_size(self)
        if len(samples) < config.batch_size * world_size:
            raise UserError(
                f"data.batch_size: {config.batch_size} on {world_size} device(s) is more than the {len(samples)} "
                f"pictures of {Path(config.root) / config.train_split}. Lower it."
            )
        dataset = ImageFolderDataset(samples, self.transforms[True], seed=self.seed)
        sampler = TrainSampler(len(samples), len(samples), seed=self.seed, rank=rank, world_size=world_size)
        sampler.go_on(self.first_epoch, self.first_batch * config.batch_size)
        return build_loader(dataset, config.num_workers, sampler=sampler, batch_size=config.batch_size)

    def val_dataloader(self) -> DataLoader:
        samples = self.val_samples
        rank, world_size = rank_and_world_size(self)
        if len(samples) < world_size:
            raise UserError(f"data: {len(samples)} pictures to evaluate on are fewer than {world_size} devices.")
        dataset = ImageFolderDataset(samples, self.transforms[False])
        batch_size = min(self.config.val_batch_size, len(samples) // world_size)  # no device goes without a batch
        batches = EvalBatchSampler([(0, 0)] * len(samples), batch_size, rank=rank, world_size=world_size)
        return build_loader(dataset, self.config.num_workers, batch_sampler=batches)


def _list_split(root: Path, split: str, config: ImageFolderConfig) -> tuple[list[str], list[tuple[str, int]]]:
    """Names of the class folders, sorted; paths and class ids of their pictures."""
    folder = root / split
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder. {_expected(config)}")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise UserError(f"{folder}: holds no class folders. {_expected(config)}")
    if len(names) == 1:
        raise UserError(f"{folder}: holds a single class, {names[0]}, so there is nothing to tell apart. Add classes.")
    samples = []
    for label, name in enumerate(names):
        files = image_files(folder / name)
        if not files:
            raise UserError(f"{folder / name}: holds no pictures. Add some, or remove the folder.")
        samples += [(str(path), label) for path in files]
    return names, samples


def _check_classes(train: list[str], val: list[str], config: ImageFolderConfig) -> None:
    for split, own, other in ((config.val_split, val, train), (config.train_split, train, val)):
        if missing := [name for name in other if name not in set(own)]:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise UserError(
                f"{Path(config.root) / split}: has no folder for {len(missing)} of the {len(other)} classes of the "
                f"other split: {shown}. {config.train_split}/ and {config.val_split}/ must hold the same class folders."
            )


def _expected(config: ImageFolderConfig) -> str:
    return (
        f"Expected {config.train_split}/CLASS/PICTURE and {config.val_split}/CLASS/PICTURE in data.root; "
        f"data.train_split and data.val_split name other folders."
    )


def _check_config(config: ImageFolderConfig) -> None:
    if config.root is None:
        raise UserError(f"data.root: is not set. Give the data set's folder. {_expected(config)}")
    augment = config.augment
    for key in ("input_size", "batch_size", "val_batch_size"):
        if (value := getattr(config, key)) < 1:
            raise UserError(f"data.{key}: must be at least 1, found {value}.")
    if config.input_size**2 > MAX_PIXELS:
        raise UserError(
            f"data.input_size: found {config.input_size}, expected at most {int(MAX_PIXELS**0.5)}: a batch of such "
            f"pictures is more than memory holds. ImageNet is trained at 224."
        )
    for key in ("horizontal_flip", "random_erasing", "label_smoothing"):
        if not 0 <= (value := getattr(augment, key)) <= 1:
            raise UserError(f"data.augment.{key}: expected 0 to 1, found {value}.")
    for key in ("mixup", "cutmix", "color_jitter"):
        if not 0 <= (value := getattr(augment, key)) < np.inf:
            raise UserError(f"data.augment.{key}: expected 0 or more, found {value}.")
    if not 0 < augment.scale[0] <= augment.scale[1] <= 1:
        raise UserError(f"data.augment.scale: expected [smallest, largest] in 0 to 1, found {list(augment.scale)}.")
    if not 0 < config.crop_pct <= 1:
        raise UserError(f"data.crop_pct: expected more than 0 and at most 1, found {config.crop_pct}.")
    if config.interpolation not in _INTERPOLATIONS:
        hint = nearest(config.interpolation, _INTERPOLATIONS)
        raise UserError(f"data.interpolation: '{config.interpolation}' is not one of {_INTERPOLATIONS}.{hint}")
    if config.batch_size % 2 and (augment.mixup or augment.cutmix):
        raise UserError(
            f"data.batch_size: must be even for mixup and cutmix, which pair pictures; found {config.batch_size}."
        )


def _build_transform(config: ImageFolderConfig, training: bool) -> Callable:
    augment = config.augment
    try:
        return create_transform(
            config.input_size,
            is_training=training,
            use_prefetcher=True,  # which is to say: leave uint8, and normalising and erasing to the device
            scale=augment.scale,
            hflip=augment.horizontal_flip,
            auto_augment=augment.auto_augment,
            color_jitter=augment.color_jitter,
            interpolation="bicubic" if config.interpolation == "random" and not training else config.interpolation,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            crop_pct=config.crop_pct,
        )
    except (AssertionError, ValueError, KeyError) as error:
        raise UserError(
            f"data.augment.auto_augment: timm cannot read '{augment.auto_augment}' ({error!r}). "
            f"Write it like rand-m9-mstd0.5-inc1."
        ) from error
