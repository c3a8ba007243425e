"""A data set as a configuration names it: card, reader and labels. Does without torch, to be quick."""

from collections.abc import Sequence
from typing import get_args

import numpy as np

from segnext_pafpn.data.card import Card, load_card
from segnext_pafpn.data.config import AugmentConfig, CacheKind, DataConfig
from segnext_pafpn.data.focus import check_focus
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.pairs import read_raw
from segnext_pafpn.data.readers import Reader, Sample, build_reader
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.intensity import Intensity

MAX_PIXELS = 2**26  # of a crop: its floats alone take 0.75 GiB
MIN_SCALE, MAX_SCALE = 0.1, 10  # zoomed out further small pictures vanish, further in large ones fill the memory


class DataSource:
    """What there is to read, and how.

    Raises:
        UserError: for a setting that cannot be, or a card or reader that does not fit.
    """

    def __init__(self, config: DataConfig):
        _check_config(config)
        self.config = config
        card = load_card(config.card)
        self.reader: Reader = build_reader(card, config.root, config.layout)
        self.card: Card = self.reader.fitted(card)
        self.labels = LabelMap(self.card)
        _check_intensity(self.card, config.intensity)
        check_focus(config.crop_focus, self.card.class_names)

    def describe(self) -> str:
        """Which card is read, and which folder, in a sentence."""
        root = getattr(self.reader, "root", None)
        place = f"in {root}" if root is not None else "drawn, as it is built in; --data CARD names another"
        return f"Reads the data of card '{self.card.name}' ({self.card.path}), {place}."

    def samples(self, split: str) -> list[Sample]:
        """The split's complete pairs.

        Raises:
            UserError: with the first of the listing's problems.
        """
        listing = self.reader.list_samples(split)
        if listing.problems:
            raise UserError(listing.problems[0])
        return listing.samples

    def read_truth(self, sample: Sample) -> np.ndarray:
        """Truth of a sample in its own size, (H, W) or (K, H, W) uint8; it is taken to have passed the check."""
        return self.labels(read_raw(self.reader, sample, self.labels))


def _check_intensity(card: Card, intensity: Intensity | None) -> None:
    """Numbers that were found for other images must not be taken for these."""
    if intensity is None:
        return
    if card.image.is_rgb8 or intensity.channels != card.image.channels:
        kind = "8-bit RGB" if card.image.is_rgb8 else f"images of {card.image.channels} channels"
        raise UserError(
            f"data.intensity: is for images of {intensity.channels} channels that are normalised by "
            f"'{intensity.method}', but card '{card.name}' has {kind}. Set it to null to follow the card."
        )


def _check_config(config: DataConfig) -> None:
    for key in ("crop_size", "image_size"):
        size = getattr(config, key)
        if size is not None and not (isinstance(size, Sequence) and len(size) == 2):
            raise UserError(f"data.{key}: expected height and width, found {size!r}. Write ({size!r}, {size!r}).")
    positive = {
        "batch_size": config.batch_size,
        "val_batch_size": config.val_batch_size,
        "crop_size": min(config.crop_size),
        "image_size": 1 if config.image_size is None else min(config.image_size),
        "samples_per_epoch": 1 if config.samples_per_epoch is None else config.samples_per_epoch,
    }
    for key, value in positive.items():
        if value <= 0:
            raise UserError(f"data.{key}: must be more than 0, found {value}.")
    if config.num_workers is not None and config.num_workers < 0:
        raise UserError(f"data.num_workers: must be 0 or more (or null), found {config.num_workers}.")
    if config.repeat_threshold is not None and not 0 < config.repeat_threshold <= 1:
        raise UserError(f"data.repeat_threshold: must be more than 0 and at most 1, found {config.repeat_threshold}.")
    kinds = get_args(CacheKind)
    if config.cache not in kinds:
        hint = nearest(str(config.cache), kinds)
        raise UserError(f"data.cache: '{config.cache}' is not known.{hint} Known: {', '.join(kinds)}.")
    if config.cache == "disk" and not config.cache_dir:
        raise UserError(
            "data.cache: disk needs data.cache_dir, a folder on a fast disk. Runs that name one folder share its files."
        )
    _check_augment(config.augment)
    for key in ("crop_size", "image_size"):
        height, width = getattr(config, key) or (1, 1)
        if height * width > MAX_PIXELS:
            raise UserError(
                f"data.{key}: found {height} x {width}, which is {height * width} pixels, expected at most "
                f"{MAX_PIXELS} (8192 x 8192): memory does not hold a batch of such pictures, to which smaller ones are "
                f"enlarged. Take a size like that of the pictures, or smaller."
            )


def _check_augment(augment: AugmentConfig) -> None:
    for key in ("horizontal_flip", "vertical_flip", "rotate90", "blur", "noise"):
        if not 0 <= (value := getattr(augment, key)) <= 1:
            raise UserError(f"data.augment.{key}: expected 0 to 1, found {value}.")
    if not 0 <= augment.color < np.inf:
        raise UserError(f"data.augment.color: expected 0 or more, found {augment.color}.")
    low, high = augment.scale
    if not MIN_SCALE <= low <= high <= MAX_SCALE:
        raise UserError(
            f"data.augment.scale: expected [smallest, largest] in {MIN_SCALE} to {MAX_SCALE}, found "
            f"{list(augment.scale)}."
        )
