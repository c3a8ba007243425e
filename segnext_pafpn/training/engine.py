"""Lightning's Trainer, with the callbacks and loggers of a run."""

import csv
import logging
import os
import sys
import threading
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import StrategyRegistry
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.files import NO_ROOM
from segnext_pafpn.inference.device import why_slow
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.training.callbacks import BestModel, DataWait, EpochLine, EpochSeed, NonFiniteLossGuard, ResumedEpoch
from segnext_pafpn.training.checkpoints import RunCheckpoint, WholeCheckpoints
from segnext_pafpn.training.config import RunConfig, TrainerConfig, check_trainer
from segnext_pafpn.training.graphs import CudaGraphs
from segnext_pafpn.training.optim import EMAWeights
from segnext_pafpn.training.progress import EpochBar, ProgressLines

log = logging.getLogger(__name__)


def is_first_process() -> bool:
    """Whether this process is the one that writes and speaks, however the processes were started."""
    return rank_zero_only.rank == 0 and int(os.environ.get("NODE_RANK", 0)) == 0


def build_trainer(config: TrainerConfig, callbacks: list[Callback], root: Path) -> L.Trainer:
    """The trainer, without loggers, so that nothing is written yet.

    Raises:
        UserError: naming the setting that cannot be.
    """
    _quiet()
    check_trainer(config)
    strategies = ["auto", *StrategyRegistry.available_strategies()]
    if config.strategy.lower() not in strategies:
        hint = nearest(config.strategy, strategies)
        raise UserError(f"trainer.strategy: '{config.strategy}' is not known.{hint} Known: {', '.join(strategies)}.")
    if config.accelerator in ("gpu", "cuda") and not _has_gpu(config.accelerator):
        raise UserError(
            f"trainer: accelerator {config.accelerator} was asked for, but torch finds no such device here. Use auto "
            f"or cpu; segnext-pafpn doctor says what is there."
        )
    on_gpu = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    try:
        trainer = L.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=config.strategy,
            precision=config.precision,
            max_epochs=config.max_epochs,
            max_steps=config.max_steps,
            check_val_every_n_epoch=config.check_val_every_n_epoch,
            accumulate_grad_batches=config.accumulate_grad_batches,
            gradient_clip_val=config.gradient_clip_val,
            limit_train_batches=config.limit_train_batches,
            limit_val_batches=config.limit_val_batches,
            log_every_n_steps=config.log_every_n_steps,
            sync_batchnorm=config.sync_batchnorm and on_gpu and (config.devices, config.num_nodes) != (1, 1),
            deterministic=config.deterministic,
            benchmark=config.benchmark,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(c, RichProgressBar) for c in callbacks),
            logger=False,
            callbacks=callbacks,
            plugins=None if "xla" in config.strategy else [WholeCheckpoints()],
            default_root_dir=root,
        )
    except (
        ValueError,
        RuntimeError,
        TypeError,
        ImportError,
        MisconfigurationException,
    ) as error:  # Lightning's own checks of devices, strategy and accelerator
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error
    if type(trainer.strategy.launcher) is _MultiProcessingLauncher:  # of spawn, fork and notebook
        raise UserError(
            f"trainer.strategy: {config.strategy} starts processes from which weights and scores do not come back. Set "
            f"--trainer.strategy ddp, or in a notebook auto with --trainer.devices 1."
        )
    slow = why_slow(trainer.precision, trainer.strategy.root_device)
    if slow is not None and is_first_process():
        log.warning(f"warning: trainer.{slow}")
    return trainer


def _has_gpu(accelerator: str) -> bool:
    return torch.cuda.is_available() or (accelerator == "gpu" and torch.backends.mps.is_available())


def planned_steps(config: TrainerConfig, batches: int) -> tuple[int, int]:
    """Optimizer steps of an epoch of so many batches, and of the whole run."""
    per_epoch = -(-min(batches, config.limit_train_batches or batches) // config.accumulate_grad_batches)
    limits = [per_epoch * config.max_epochs] if config.max_epochs >= 0 else []
    limits += [config.max_steps] if config.max_steps >= 0 else []
    return per_epoch, min(limits)


def build_callbacks(
    config: RunConfig,
    score: str = "val/mIoU",
    network: nn.Module | None = None,
    preprocessing: Preprocessing | None = None,
) -> list[Callback]:
    """Guards, averaged weights, checkpoints, lines of progress, and a bar where there is a terminal to show it.

    Args:
        score: the metric whose highest value marks the best weights.
        network: a copy of the model on the CPU, with whose form ``model/`` is written at each new best; None
            for a run without ``model/``.
        preprocessing: what goes into ``model/`` beside it.
    """
    folder = config.run_dir / "checkpoints"
    callbacks: list[Callback] = [
        NonFiniteLossGuard(),
        ResumedEpoch(),  # before those that ask which epoch it is
        EpochSeed(config.seed),
    ]
    terminal = sys.stdout.isatty()
    if terminal:
        callbacks.append(EpochBar(refresh_rate=5, leave=False))
    if config.trainer.cuda_graphs:
        callbacks.append(CudaGraphs())
    if config.optim.ema_decay is not None:
        callbacks.append(EMAWeights(config.optim.ema_decay))
    best = RunCheckpoint(folder, "best", monitor=score, every_n_epochs=config.trainer.check_val_every_n_epoch)
    callbacks += [
        DataWait(),  # after the averaging, which belongs to the step
        ProgressLines(config.run_dir, interval=None if terminal else 30.0),
        EpochLine(score),
        best,
        RunCheckpoint(folder, "last"),
    ]
    if network is not None:
        callbacks.append(BestModel(best, network, preprocessing, config.run_dir / "model"))
    return callbacks


def build_loggers(folder: Path, steps: int = 0) -> list[Logger]:
    """``metrics.csv`` and TensorBoard in the run's folder; a run with ``steps`` behind it keeps the rows of these."""
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _thread_failed
    rows = _rows_before(folder / "metrics.csv", steps)
    csv_logger = CSVLogger(folder.parent, name=folder.name, version="")
    if is_first_process() and rows:
        csv_logger.experiment.metrics.extend(rows)
        csv_logger.save()
    return [csv_logger, TensorBoardLogger(folder.parent, name=folder.name, version="", sub_dir="tensorboard")]


def _rows_before(metrics: Path, steps: int) -> list[dict[str, str]]:
    """The rows of the first ``steps`` optimizer steps; later ones will be logged again.

    Raises:
        UserError: if the file is damaged.
    """
    if not steps or not metrics.is_file():
        return []
    try:
        with metrics.open(newline="", encoding="utf-8") as file:
            rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
        return [row for row in rows if int(row["step"]) < steps]
    except (ValueError, KeyError, csv.Error) as error:  # a text that is not UTF-8 among the first
        raise UserError(
            f"{metrics}: is not the log of a run ({error!r}). Remove it to go on without the curves so far."
        ) from error


def _thread_failed(arguments: threading.ExceptHookArgs) -> None:
    """TensorBoard's thread raises what it met again in the thread of the run, which says that the disk is full."""
    if not (isinstance(arguments.exc_value, OSError) and arguments.exc_value.errno in NO_ROOM):
        threading.__excepthook__(arguments)


def _quiet() -> None:
    """Lightning's notices on hardware and advice on workers say nothing that a user of this tool can act on."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*smaller than the logging interval.*",
        ".*treespec.*is deprecated.*",
        ".*lr_scheduler.step.* before .*optimizer.step.*",  # float16's scaler leaves out the first steps, as it should
        ".*AccumulateGrad node's stream does not match.*",  # recorded steps have a stream of their own
        ".*when logging on epoch level in distributed setting.*",  # the scores are those of all processes already
        ".*add the following callbacks: .*ModelCheckpoint.*",  # of an earlier version, which are found
        ".*ended before the epoch ended and your dataloader is not resumable.*",  # it is told where to begin
        ".*could not find the monitored key.*",  # a run that ends before its first evaluation, which is its last, too
    ):
        warnings.filterwarnings("ignore", message)
