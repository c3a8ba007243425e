"""A run's folder: made, filled, and read at the end."""

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning as L
from lightning.pytorch.loggers import Logger
from torch import nn

from segnext_pafpn.data.card import is_yaml, load_card, shipped_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.readers import Sample
from segnext_pafpn.data.source import DataSource
from segnext_pafpn.errors import UserError
from segnext_pafpn.files import NO_ROOM, cannot_write, make_folder
from segnext_pafpn.training.checkpoints import read_checkpoint
from segnext_pafpn.training.config import RunConfig, TrainConfig
from segnext_pafpn.training.config_file import read_config, save_config
from segnext_pafpn.training.engine import build_loggers, is_first_process
from segnext_pafpn.training.resume import ResumePoint

log = logging.getLogger(__name__)


def absolute_card(name_or_path: str) -> str:
    """The absolute path of a card or a data set's folder, which means the same everywhere; a shipped name as it is."""
    means_path = is_yaml(name_or_path) or (shipped_card(name_or_path) is None and os.path.exists(name_or_path))
    return os.path.abspath(name_or_path) if means_path else name_or_path


def absolute_root(root: str | Path | None) -> str | None:
    """The absolute path; None stays, which is the card's own."""
    return None if root is None else os.path.abspath(root)


def found_from_anywhere(data: DataConfig) -> DataConfig:
    """The same with absolute paths of card, root and cache, so that a run finds them in whatever folder it is used."""
    cache = None if data.cache_dir is None else os.path.abspath(data.cache_dir)
    return replace(data, card=absolute_card(data.card), root=absolute_root(data.root), cache_dir=cache)


def is_runs_own(folder: Path, data: DataConfig) -> bool:
    """Whether card, layout and root are those of the run's ``config.yaml``; True where there is no such file.

    A card or a root that is not there any more was moved: any other is taken for it.
    """
    config = folder / "config.yaml"
    if not config.is_file():
        return True
    own = read_config(config)["data"]
    if own.get("layout", {}) != data.layout:
        return False
    if not _is_there(own["card"]):
        return True
    if absolute_card(own["card"]) != absolute_card(data.card):
        return False
    root = root_of(own["card"], own["root"])
    return root == root_of(data.card, data.root) or not os.path.isdir(root or "")


def _is_there(card: str) -> bool:
    return shipped_card(card) is not None or os.path.exists(card)


def root_of(card: str, root: str | None) -> str | None:
    """The absolute path of the data, which the card may say; None for what is built in."""
    return absolute_root(load_card(card).root if root is None else root)


def count_trained(folder: Path, data: SegmentationDataModule, split: str) -> int:
    """How many images of the split the run in ``folder`` was trained on; 0 where that cannot be told."""
    config = folder / "config.yaml"
    if not config.is_file():
        return 0
    own = read_config(config)["data"]
    if is_runs_own(folder, data.config) and split == own["val_split"]:
        return 0
    try:
        card = own["card"] if _is_there(own["card"]) else data.config.card
        root = own["root"] if os.path.isdir(own["root"] or "") else data.config.root
        source = DataSource(DataConfig(card=card, root=root, layout=own.get("layout", {})))
        trained = {_identity(sample, card) for sample in source.samples(own["train_split"])}
    except UserError:  # the training pictures need not be where a test split is scored
        return 0
    return sum(_identity(sample, data.config.card) in trained for sample in data.samples(split))


def _identity(sample: Sample, card: str) -> tuple[str, str | int | None]:
    """What a sample is, by whatever card and from whatever folder it is read."""
    if sample.image is None:
        return absolute_card(card), sample.name
    return os.path.realpath(sample.image), sample.slice


def remove_stale_scores(folder: Path, stem: str, what: str = "weights") -> None:
    """Remove what ``val`` has scored of the weights (or other ``what``) before, but ``stem``, which is written anew."""
    kept = (f"{stem}.", f"{stem}_images.", f"{stem}_confusion.")
    stale = [path for path in sorted(folder.glob("metrics_*")) if not path.name.startswith(kept)]
    stale += [path for path in [folder / "thresholds.json"] if path.is_file()]
    for path in stale:
        path.unlink()
    if stale:
        names = ", ".join(path.name for path in stale)
        log.info(f"{folder}: removed, as they were of the {what} before: {names}. val scores anew.")


def refuse_taken(config: RunConfig, resume: bool) -> None:
    """Refuse a folder that holds a run which is neither resumed nor to be overwritten, or weights to start from.

    Raises:
        UserError: naming it.
    """
    folder = config.run_dir
    if resume or not _holds_run(folder):
        return
    _refuse_start_inside(config)
    if not config.overwrite:
        raise UserError(
            f"{folder}: holds a run already. Choose another --name, go on with --resume {folder}, "
            f"or start anew with --overwrite true."
        )


def _refuse_start_inside(config: RunConfig) -> None:
    """Each process reads the weights by itself, after the first one has removed the folder."""
    starts = {"weights": config.weights}
    if isinstance(config, TrainConfig):
        starts["model.init_from"] = config.model.init_from
    for key, path in starts.items():
        if path is not None and Path(path).resolve().is_relative_to(config.run_dir.resolve()):
            raise UserError(
                f"{key}: {path}: lies in {config.run_dir}, which --overwrite true removes. Choose another --name for "
                f"the new run."
            )


def _holds_run(folder: Path) -> bool:
    return (folder / "checkpoints" / "last.ckpt").exists()


def prepare_folder(config: RunConfig, resume: bool) -> None:
    """Make the folder and write ``config.yaml`` into it; the first process alone does.

    The file does not say to overwrite: a run that is started from it must not remove this one.

    Raises:
        UserError: as :func:`refuse_taken`.
    """
    if not is_first_process():
        return
    refuse_taken(config, resume)
    folder = config.run_dir
    if not resume and _holds_run(folder):
        shutil.rmtree(folder)
    make_folder(folder)
    save_config(replace(config, overwrite=False), folder / "config.yaml")


def fit_to_best(
    trainer: L.Trainer,
    module: L.LightningModule,
    data: L.LightningDataModule,
    folder: Path,
    start: ResumePoint | None,
    loggers: Sequence[Logger] = (),
) -> None:
    """Train and log into ``folder``; leave the best weights in ``module``, and the trainer ready to evaluate them.

    Args:
        start: where to go on from; None for a new run.
        loggers: besides those of the folder.

    Raises:
        KeyboardInterrupt: if the user stopped the run.
        UserError: if there is no room for what it writes, or the network has parameters that DDP waits for in vain.
    """
    trainer.loggers = [*build_loggers(folder, steps=start.steps if start else 0), *loggers]
    try:
        trainer.fit(module, datamodule=data, ckpt_path=start.checkpoint if start else None, weights_only=True)
    except RuntimeError as error:
        if "parameters that were not used in producing the loss" in str(error):  # Lightning's, at DDP's second step
            raise UserError(
                "trainer.strategy: some parameters of the network take no part in its output, which ddp does not "
                "expect. Set --trainer.strategy ddp_find_unused_parameters_true."
            ) from error
        raise
    except SystemExit as error:  # how Lightning ends at Ctrl-C
        raise KeyboardInterrupt from error
    except OSError as error:
        if isinstance(error.__context__, UserError):  # Lightning closes the logs of a run that failed, which fails too
            raise error.__context__ from error
        if error.errno in NO_ROOM and error.filename is None:  # of the logs
            raise cannot_write(folder, error) from error
        raise
    trainer.loggers = []  # the final evaluation is no row of the curves,
    trainer.callbacks = []  # and the averaged weights of the last epoch must not take the best ones' place
    _load_best(module, folder)


def _load_best(module: nn.Module, folder: Path) -> None:
    """The best weights, or the last ones of a run too short to have been evaluated."""
    best, last = (folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    module.load_state_dict(read_checkpoint(best if best.is_file() else last)["state_dict"])
