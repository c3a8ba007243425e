"""A run from its configuration to its folder; the evaluation of a finished one."""

import csv
import logging
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from segnext_pafpn.data.datamodule import DataConfig, SegmentationDataModule
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.evaluation.metrics import Scores
from segnext_pafpn.evaluation.report import write_confusion, write_scores
from segnext_pafpn.models.bundle import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, load_bundle, save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.training.callbacks import DataWait, EpochSeed, EvaluationLine, NonFiniteLossGuard
from segnext_pafpn.training.config import TrainConfig, TrainerConfig, save_config
from segnext_pafpn.training.losses import LossConfig
from segnext_pafpn.training.module import SegmentationModule
from segnext_pafpn.training.optim import EMAWeights, OptimConfig
from segnext_pafpn.training.pictures import draw_curves, draw_sheet

log = logging.getLogger(__name__)

_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true")


@dataclass(frozen=True)
class Result:
    """What an evaluation found, and the names its rows go by."""

    scores: Scores
    class_names: tuple[str, ...]
    split: str


def fit(config: TrainConfig, resume: bool = False) -> Result:
    """Train, evaluate the best weights, and fill the run's folder.

    Args:
        resume: go on from the folder's last checkpoint, as if the run had never stopped.

    Raises:
        UserError: for what a user can mend; nothing of an earlier run is touched before all is checked.
    """
    _quiet()
    trainer_config = config.trainer
    data = SegmentationDataModule(config.data, seed=config.seed)
    L.seed_everything(config.seed, workers=True, verbose=False)
    model = build_model(config.model, classes=len(data.card.classes))
    if config.weights is not None:
        _load_weights(model, config.weights)
    module = SegmentationModule(
        model,
        num_classes=len(data.card.classes),
        loss=config.loss,
        optim=config.optim,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        channels_last=trainer_config.channels_last,
    )
    if trainer_config.compile:
        module.model.compile()
    preprocessing = Preprocessing(
        class_names=data.card.class_names,
        class_colors=data.card.class_colors,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        image_size=config.data.image_size,
    )
    last = config.run_dir / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise UserError(f"{last}: no such checkpoint, so there is nothing to resume. Start the run without --resume.")
    _prepare_folder(config, resume)
    trainer = _build_trainer(
        trainer_config,
        logger=_build_loggers(config.run_dir, last if resume else None),
        callbacks=_build_callbacks(config),
        root=config.run_dir,
    )
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last if resume else None, weights_only=True)
    except SystemExit as error:  # how Lightning ends at Ctrl-C
        raise KeyboardInterrupt from error
    trainer.loggers = []  # the final evaluation is no row of the curves,
    trainer.callbacks = []  # and the averaged weights of the last epoch must not take the best ones' place
    _load_best(module, config.run_dir)
    trainer.validate(module, dataloaders=data.val_dataloader(), verbose=False)
    result = Result(module.scores(), data.card.class_names, config.data.val_split)
    if trainer.is_global_zero:
        network = module.model.cpu().eval()
        write_scores(result.scores, result.class_names, config.run_dir, "metrics_val", {"split": result.split})
        write_confusion(module.matrix, result.class_names, config.run_dir, "metrics_val")
        save_bundle(network, preprocessing, config.run_dir / "model", {"val_mIoU": round(100 * result.scores.mIoU, 2)})
        draw_curves(config.run_dir)
        draw_sheet(config.run_dir, data, config.data.val_split, device=str(trainer.strategy.root_device))
    return result


def evaluate(checkpoint: str, data_config: DataConfig, split: str, trainer_config: TrainerConfig) -> Result:
    """Score a finished run's ``model/`` on a split; writes ``metrics_<split>.json`` and ``.csv`` into its folder.

    Raises:
        UserError: if the model has not as many classes as the card.
    """
    _quiet()
    model, preprocessing = load_bundle(checkpoint)
    data = SegmentationDataModule(data_config)
    names = data.card.class_names
    if len(names) != len(preprocessing.class_names):
        raise UserError(
            f"{checkpoint}: the model knows {len(preprocessing.class_names)} classes, the card '{data.card.name}' "
            f"has {len(names)}. Give the card that it was trained on with --data.card."
        )
    module = SegmentationModule(
        model,
        num_classes=len(names),
        loss=LossConfig(),
        optim=OptimConfig(),
        mean=preprocessing.mean,
        std=preprocessing.std,
        channels_last=trainer_config.channels_last,
    )
    trainer = _build_trainer(trainer_config, logger=False, callbacks=[], root=Path(checkpoint))
    trainer.validate(module, dataloaders=_EvalLoader(data, split), verbose=False)
    result = Result(module.scores(), names, split)
    if trainer.is_global_zero:
        folder = Path(checkpoint).parent if Path(checkpoint).name == "model" else Path(checkpoint)
        write_scores(result.scores, names, folder, f"metrics_{split}", {"split": split, "checkpoint": str(checkpoint)})
        write_confusion(module.matrix, names, folder, f"metrics_{split}")
    return result


class _EvalLoader(L.LightningDataModule):
    """The one split that ``evaluate`` was asked for, as the trainer's validation data."""

    def __init__(self, data: SegmentationDataModule, split: str):
        super().__init__()
        self.data = data
        self.split = split

    def val_dataloader(self) -> torch.utils.data.DataLoader:
        self.data.trainer = self.trainer
        return self.data.eval_dataloader(self.split)


def _prepare_folder(config: TrainConfig, resume: bool) -> None:
    if rank_zero_only.rank != 0:
        return
    folder = config.run_dir
    if not resume and folder.exists() and any(folder.iterdir()):
        if not config.overwrite:
            raise UserError(
                f"{folder}: holds a run already. Choose another --name, go on with --resume {folder}, "
                f"or start anew with --overwrite true."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / "config.yaml")


def _build_trainer(
    config: TrainerConfig, logger: list[Logger] | bool, callbacks: list[Callback], root: Path
) -> L.Trainer:
    if config.precision not in _PRECISIONS:
        hint = nearest(config.precision, _PRECISIONS)
        raise UserError(f"trainer.precision: '{config.precision}' is not known.{hint} Known: {', '.join(_PRECISIONS)}.")
    if config.max_epochs < 0 and config.max_steps < 0:
        raise UserError("trainer: max_epochs and max_steps are both -1, so the run would never end. Set one of them.")
    on_gpu = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    try:
        return L.Trainer(
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
            sync_batchnorm=config.sync_batchnorm and on_gpu and config.devices * config.num_nodes > 1,
            deterministic=config.deterministic,
            benchmark=not config.deterministic,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(c, RichProgressBar) for c in callbacks),
            logger=logger,
            callbacks=callbacks,
            default_root_dir=root,
        )
    except (ValueError, RuntimeError) as error:  # Lightning's own checks of devices, strategy and accelerator
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


def _build_callbacks(config: TrainConfig) -> list[Callback]:
    folder = config.run_dir / "checkpoints"
    callbacks: list[Callback] = [
        NonFiniteLossGuard(),
        EpochSeed(config.seed),
        DataWait(),
    ]
    if sys.stdout.isatty():
        callbacks.append(RichProgressBar(refresh_rate=5, leave=False))
    if config.optim.ema_decay is not None:
        callbacks.append(EMAWeights(config.optim.ema_decay))
    callbacks += [
        EvaluationLine(),
        ModelCheckpoint(
            folder,
            "best",
            monitor="val/mIoU",
            mode="max",
            every_n_epochs=config.trainer.check_val_every_n_epoch,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]
    return callbacks


def _build_loggers(folder: Path, resume_from: Path | None) -> list[Logger]:
    rows = [] if resume_from is None else _rows_before(folder / "metrics.csv", resume_from)
    csv_logger = CSVLogger(folder.parent, name=folder.name, version="")
    if rank_zero_only.rank == 0 and rows:
        csv_logger.experiment.metrics.extend(rows)
        csv_logger.save()
    return [csv_logger, TensorBoardLogger(folder.parent, name=folder.name, version="", sub_dir="tensorboard")]


def _rows_before(metrics: Path, checkpoint: Path) -> list[dict[str, str]]:
    """The rows that were logged up to the checkpoint's step; later ones will be logged again."""
    if not metrics.is_file():
        return []
    steps = torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"]
    with metrics.open(newline="") as file:
        rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
    return [row for row in rows if int(row["step"]) < steps]


def _load_best(module: SegmentationModule, folder: Path) -> None:
    best = folder / "checkpoints" / "best.ckpt"
    module.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])


def _load_weights(model: torch.nn.Module, checkpoint: str) -> None:
    state = load_bundle(checkpoint)[0].state_dict()
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise UserError(f"weights: {checkpoint}: no weight fits this network. Was it trained with another model.arch?")
    model.load_state_dict(fitting, strict=False)
    log.info(f"weights: {len(fitting)} of {len(own)} tensors taken from {checkpoint}")


def _quiet() -> None:
    """Lightning's notices on hardware and advice on workers say nothing that a user of this tool can act on."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*smaller than the logging interval.*",
        ".*treespec.*is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message)
