"""A pretraining run from its configuration to its folder."""

import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning as L
import torch

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import write_json
from segnext_pafpn.models.bundle import CLASSES_FILE
from segnext_pafpn.models.classifier import build_classifier
from segnext_pafpn.models.pretrained import ENCODER_FILE, find_encoder, load_encoder, save_encoder
from segnext_pafpn.training.engine import build_callbacks, build_trainer, is_first_process, planned_steps
from segnext_pafpn.training.folder import fit_to_best, prepare_folder
from segnext_pafpn.training.graphs import refuse_unrecordable
from segnext_pafpn.training.optim import warmup_line
from segnext_pafpn.training.pretrain.config import PretrainConfig
from segnext_pafpn.training.pretrain.images import ImageFolderDataModule
from segnext_pafpn.training.pretrain.module import ClassificationModule
from segnext_pafpn.training.pretrain.optim import scaled_lr, warmup_of
from segnext_pafpn.training.resume import ResumePoint, refuse_other_network

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PretrainResult:
    """What the evaluation of the best weights found; shares in percent, ``images`` how many were looked at."""

    split: str
    top1: float
    top5: float
    loss: float
    images: int
    num_classes: int


def pretrain(config: PretrainConfig, start: ResumePoint | None = None) -> PretrainResult:
    """Train a classifier, evaluate the best weights, and fill the run's folder.

    Args:
        start: what :func:`.find_resume_point` has found for this configuration, to go on as if it had never
            stopped.

    Raises:
        UserError: for what a user can mend; nothing of an earlier run is touched before the settings are checked.
    """
    data = ImageFolderDataModule(config.data, seed=config.seed)
    if start is not None:
        _refuse_other_classes(config.run_dir, data.class_names)
        data.first_epoch, data.first_batch = start.epochs, start.batches
    trainer = build_trainer(config.trainer, build_callbacks(config, score="val/top1"), root=config.run_dir)
    data.trainer = trainer
    per_epoch, total = planned_steps(config.trainer, batches=len(data.train_dataloader()))
    warmup, asked = warmup_of(config.optim, per_epoch, total), config.optim.warmup_epochs * per_epoch
    module = _build_module(config, data, trainer, per_epoch, warmup, from_weights=start is None)
    refuse_unrecordable(config.trainer, trainer, module.model)
    if start is not None:
        refuse_other_network(start, module)
    prepare_folder(config, resume=start is not None)
    if is_first_process():
        write_json(data.class_names, config.run_dir / CLASSES_FILE)
        if warmup != asked:
            setting = f"optim.warmup_epochs: {config.optim.warmup_epochs} ({asked} steps)"
            log.info(warmup_line(setting, warmup, total))
    fit_to_best(trainer, module, data, config.run_dir, start)
    trainer.validate(module, dataloaders=data.val_dataloader(), verbose=False)
    metrics = {name: float(trainer.callback_metrics[f"val/{name}"]) for name in ("top1", "top5", "loss")}
    result = PretrainResult(
        split=config.data.val_split,
        top1=100 * metrics["top1"],
        top5=100 * metrics["top5"],
        loss=metrics["loss"],
        images=int(trainer.callback_metrics["images"]),
        num_classes=len(data.class_names),
    )
    if trainer.is_global_zero:
        loss = result.loss if math.isfinite(result.loss) else None  # JSON has neither NaN nor infinity
        write_json({**asdict(result), "loss": loss}, config.run_dir / f"metrics_{result.split}.json")
        save_encoder(module.model, config.model.name, config.run_dir / ENCODER_FILE)
    return result


def _build_module(
    config: PretrainConfig,
    data: ImageFolderDataModule,
    trainer: L.Trainer,
    per_epoch: int,
    warmup: int,
    from_weights: bool,
) -> ClassificationModule:
    """The classifier with its schedule.

    Args:
        per_epoch: optimizer steps of an epoch.
        warmup: optimizer steps over which the learning rate rises.
        from_weights: start from the configuration's weights, if it has any.
    """
    pictures = config.data.batch_size * trainer.world_size * config.trainer.accumulate_grad_batches
    lr = scaled_lr(config.optim, pictures)
    if is_first_process():
        log.info(
            f"{len(data.train_samples)} pictures of {len(data.class_names)} classes; {pictures} pictures a step, "
            f"{per_epoch} steps an epoch, learning rate {lr:.2e}"
        )
    L.seed_everything(config.seed, workers=True, verbose=False)
    model = build_classifier(config.model, num_classes=len(data.class_names))
    if config.weights is not None and from_weights:
        _load_weights(model, config.weights)
    module = ClassificationModule(
        model,
        num_classes=len(data.class_names),
        augment=config.data.augment,
        optim=config.optim,
        lr=lr,
        warmup_steps=warmup,
        channels_last=config.trainer.channels_last,
    )
    if config.trainer.compile:
        module.model.compile()
    return module


def _load_weights(model: torch.nn.Module, weights: str) -> None:
    path = find_encoder(weights)
    if path is None:
        raise UserError(
            f"weights: {weights}: holds no {ENCODER_FILE}. Give the folder of a finished run of pretrain, or the file."
        )
    head = model.default_cfg["classifier"]
    count = load_encoder(model, path, may_differ=head if isinstance(head, str) else tuple(head))
    log.info(f"weights: {count} of {len(model.state_dict())} tensors taken from {path}")


def _refuse_other_classes(folder: Path, class_names: list[str]) -> None:
    path = folder / CLASSES_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: is not a readable list of the run's classes ({error}). Restore it: the names of the class "
            f"folders, in order."
        ) from error
    if known != class_names:
        raise UserError(
            f"{path}: the run was started on {len(known)} classes, data.root now holds "
            f"{len(class_names)} or others. Give the data set it was started on."
        )
