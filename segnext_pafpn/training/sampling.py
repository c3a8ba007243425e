"""Which crops and pictures are drawn more often, by numbers of the training split that are found once."""

import logging
from collections.abc import Callable
from dataclasses import replace

from segnext_pafpn.data.check import SplitReport
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.focus import rare_weights
from segnext_pafpn.data.repeats import repeat_factors
from segnext_pafpn.training.config import TrainConfig

log = logging.getLogger(__name__)


def settle_sampling(
    config: TrainConfig, data: SegmentationDataModule, train_split: Callable[[], SplitReport]
) -> TrainConfig:
    """The configuration with numbers for ``data.crop_focus`` of rare classes, so that what is saved is what was used;
    ``data`` gets the pictures' repeat factors.

    Args:
        train_split: see :func:`~segnext_pafpn.training.measure.train_split`.

    Raises:
        UserError: if the split cannot be read.
    """
    focus, threshold = config.data.crop_focus, config.data.repeat_threshold
    weigh = focus.probability > 0 and focus.classes == "rare"
    if not weigh and threshold is None:
        return config
    report = train_split()
    names = data.card.class_names
    if threshold is not None:
        factors = repeat_factors(report.holds, threshold)
        data.repeat_factors = factors
        often = int((factors > 1).sum())
        log.info(
            f"data.repeat_threshold: {threshold:g}: {often} of {len(factors)} pictures are drawn more often than the "
            f"others, up to {factors.max():.2f} times"
        )
    if weigh:
        focus = replace(focus, classes=rare_weights(names, report.pixels[: len(names)]))
        log.info("data.crop_focus: rare: " + ", ".join(f"{name} {weight:g}" for name, weight in focus.classes.items()))
    return replace(config, data=replace(config.data, crop_focus=focus))
