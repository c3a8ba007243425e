"""What a run takes from its train split in numbers: found once, before training, and kept with the run."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from segnext_pafpn.data.check import SplitReport, check_split
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.errors import UserError
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.losses import balanced_weights

log = logging.getLogger(__name__)


def train_split(data: SegmentationDataModule, report: SplitReport | None = None) -> Callable[[], SplitReport]:
    """A function that gives a check of the train split: read when it is first called, and once.

    It raises :class:`UserError` if the split has a problem.

    Args:
        report: the check, if one was made already.
    """

    @cache
    def read() -> SplitReport:
        found = report or check_split(data.card, data.reader, data.config.train_split)
        if found.problems:
            raise UserError(found.problems[0])
        return found

    return read


def settle_intensity(
    config: TrainConfig, data: SegmentationDataModule, train_split: Callable[[], SplitReport]
) -> TrainConfig:
    """The configuration with ``data.intensity`` in numbers, so that what is saved is what was used.

    One that has it already, as that of a resumed run, stays as it is.

    Args:
        train_split: see :func:`train_split`.

    Raises:
        UserError: if the split cannot be read, or holds nothing to measure.
    """
    form = data.card.image
    if form.is_rgb8 or config.data.intensity is not None:
        return config
    statistics = None
    if form.needs_statistics:
        split = config.data.train_split
        statistics = train_split().statistics
        if statistics is None:
            raise UserError(
                f"split '{split}': its masks hold the first class alone, so there is no foreground to measure. Set "
                f"image.statistics: all in the card."
            )
    intensity = form.intensity(statistics)
    log.info(f"data.intensity: {_in_words(intensity)}")
    return replace(config, data=replace(config.data, intensity=intensity))


def balance_classes(
    config: TrainConfig, data: SegmentationDataModule, train_split: Callable[[], SplitReport]
) -> TrainConfig:
    """The configuration with numbers for class weights, so that what is saved is what was used.

    Args:
        train_split: see :func:`train_split`.

    Raises:
        UserError: if the split cannot be read.
    """
    balance = config.loss.class_weights
    if not isinstance(balance, str):
        return config
    report = train_split()
    pixels = report.pixels[: len(data.card.classes)]
    weights = balanced_weights(balance, pixels, report.pictures, report.picture_pixels)
    pairs = zip(data.card.class_names, weights, strict=True)
    log.info(f"loss.class_weights: {balance}: " + ", ".join(f"{name} {weight:g}" for name, weight in pairs))
    return replace(config, loss=replace(config.loss, class_weights=weights))


def _in_words(intensity: Intensity) -> str:
    """Such as ``zscore: (value - 20010) / 2504``, channel by channel."""
    if intensity.mean is None or intensity.std is None:
        return f"{intensity.method}, of each image anew"
    if intensity.method == "none":
        return "none: values as they are"
    pairs = zip(intensity.mean, intensity.std, strict=True)
    channels = ", ".join(f"(value - {mean:.4g}) / {std:.4g}".replace("- -", "+ ") for mean, std in pairs)
    return f"{intensity.method}: {channels}"
