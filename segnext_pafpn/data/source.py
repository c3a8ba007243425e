"""A data set as a configuration names it: card, reader and labels. Does without torch, to be quick."""

from typing import get_args

import numpy as np

from segnext_pafpn.data.card import Card, load_card
from segnext_pafpn.data.config import CacheKind, DataConfig
from segnext_pafpn.data.focus import check_focus
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import Reader, Sample, build_reader
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.intensity import Intensity


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
        if self.card.multi_label:
            return self.reader.read_layers(sample)
        return self.labels(self.reader.read_mask(sample))


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
    positive = {
        "batch_size": config.batch_size,
        "val_batch_size": config.val_batch_size,
        "crop_size": min(config.crop_size),
        "image_size": 1 if config.image_size is None else min(config.image_size),
        "samples_per_epoch": 1 if config.samples_per_epoch is None else config.samples_per_epoch,
        "augment.scale": config.augment.scale[0],
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
    if config.augment.scale[0] > config.augment.scale[1]:
        raise UserError(f"data.augment.scale: expected [smallest, largest], found {list(config.augment.scale)}.")
