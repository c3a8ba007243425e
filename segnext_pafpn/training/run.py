"""A run from its configuration to its folder."""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch import nn

from segnext_pafpn.data.check import SplitReport
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.errors import UserError, counted
from segnext_pafpn.evaluation.per_image import scores_stem
from segnext_pafpn.models.bundle import load_bundle, load_preprocessing, save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import PREPROCESSING_FILE, Preprocessing
from segnext_pafpn.models.pretrained import find_encoder, load_encoder
from segnext_pafpn.track import Track, untracked
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.engine import build_callbacks, build_trainer, is_first_process, planned_steps
from segnext_pafpn.training.evaluate import Result, build_module, score
from segnext_pafpn.training.folder import fit_to_best, found_from_anywhere, prepare_folder, remove_stale_scores
from segnext_pafpn.training.graphs import refuse_unrecordable
from segnext_pafpn.training.measure import balance_classes, settle_intensity, train_split
from segnext_pafpn.training.misfit import refuse_misfit, refuse_other_mode
from segnext_pafpn.training.module import SegmentationModule
from segnext_pafpn.training.optim import warmup_line, warmup_of
from segnext_pafpn.training.pictures import draw_curves, draw_sheet
from segnext_pafpn.training.resume import NoteOfData, ResumePoint, refuse_changes, refuse_other_network
from segnext_pafpn.training.sampling import settle_sampling

log = logging.getLogger(__name__)


def fit(
    config: TrainConfig,
    start: ResumePoint | None = None,
    train_report: SplitReport | None = None,
    track: Track = untracked,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> Result:
    """Train, evaluate the best weights, and fill the run's folder.

    What it says goes to Python's ``logging``, at the level INFO.

    Args:
        start: what :func:`.find_resume_point` has found for this configuration, to go on as if it had never
            stopped.
        train_report: what a check of the training split has found, so that class weights need not read it again.
        track: shows the filling of a cache in memory; see :meth:`.RamCache.fill`.
        callbacks: of Lightning, besides the run's own.
        loggers: of Lightning, besides the run's own.

    Raises:
        UserError: for what a user can mend; nothing of an earlier run is touched before the settings are checked.
    """
    config, data = _settle(config, start, train_report)
    data.track = track
    L.seed_everything(config.seed, workers=True, verbose=False)
    preprocessing = Preprocessing.of_images(
        config.data.intensity,
        class_names=data.card.class_names,
        class_colors=data.card.class_colors,
        image_size=config.data.image_size,
        slicing=data.reader.slicing,
        multi_label=data.card.multi_label,
        class_ids=data.card.class_ids,
    )
    model = _build(config, start, len(data.card.classes), preprocessing.channels)
    copied = copy.deepcopy(model)
    module = build_module(model, preprocessing, config.loss, config.optim, config.trainer)
    if start is not None:
        refuse_other_network(start, module)
    pictures = {split: len(data.samples(split)) for split in (config.data.train_split, config.data.val_split)}
    own = [*build_callbacks(config, network=copied, preprocessing=preprocessing), NoteOfData(preprocessing, pictures)]
    trainer = build_trainer(config.trainer, [*own, *callbacks], root=config.run_dir)
    refuse_unrecordable(config.trainer, trainer, model)
    data.trainer = trainer
    per_epoch, steps = planned_steps(config.trainer, batches=len(data.train_dataloader()))
    warmup = warmup_of(config.optim, steps)  # refuses, too
    refuse_misfit(copied, config.model, config.data, preprocessing.channels)
    if start is not None:
        data.first_epoch, data.first_batch = start.epochs, start.batches
    prepare_folder(config, resume=start is not None)
    if is_first_process():
        _say_what_may_surprise(config, start, warmup, steps, per_epoch)
        _say_other_pictures(start, pictures)
    fit_to_best(trainer, module, data, config.run_dir, start, loggers)
    if start is not None and trainer.global_step > start.steps:
        if trainer.is_global_zero:
            remove_stale_scores(config.run_dir, scores_stem(config.data.val_split))
    elif start is not None and (config.run_dir / "model" / PREPROCESSING_FILE).is_file():
        preprocessing = load_preprocessing(config.run_dir)  # thresholds that were tuned since are of these weights
        module.decision = preprocessing.decision
    return _score(trainer, module, data, config, preprocessing)


def _settle(
    config: TrainConfig, start: ResumePoint | None, train_report: SplitReport | None
) -> tuple[TrainConfig, SegmentationDataModule]:
    """The configuration with numbers in place of what the training data decide, and the data."""
    config = replace(config, data=found_from_anywhere(config.data))
    data = SegmentationDataModule(config.data, seed=config.seed)
    refuse_other_mode(config.loss, data.card)
    split = train_split(data, train_report)
    for settle in (balance_classes, settle_intensity, settle_sampling):
        config = settle(config, data, split)
    if start is not None:
        refuse_changes(config)  # again: the numbers are there now
    data.config = config.data
    return config, data


def _build(config: TrainConfig, start: ResumePoint | None, classes: int, channels: int) -> nn.Module:
    """The network with the weights to start from, but for a resumed run, which has all from its checkpoint."""
    if start is not None:
        return build_model(replace(config.model, init_from=None), classes, channels)
    model = build_model(config.model, classes, channels)
    if config.weights is not None:
        _load_weights(model, config.weights)
    return model


def _score(
    trainer: L.Trainer,
    module: SegmentationModule,
    data: SegmentationDataModule,
    config: TrainConfig,
    preprocessing: Preprocessing,
) -> Result:
    """Score the best weights, and fill the run's folder with them and all there is to see of them."""
    split, folder = config.data.val_split, config.run_dir
    stem = scores_stem(split)
    evaluation = score(trainer, module, data, preprocessing, folder, split, stem)
    scores, tables = module.scores(), []
    if trainer.is_global_zero:
        if evaluation.is_partial:
            log.warning(f"warning: {evaluation.notes()[0]}")
        device = trainer.strategy.root_device
        network = module.model.cpu().eval()
        tables = evaluation.write()
        part = "a part of " if evaluation.is_partial else ""
        scored = {f"{part}split '{split}' of card '{data.card.name}'": f"mIoU {100 * scores.mIoU:.2f} %"}
        save_bundle(network, preprocessing, folder / "model", scored)
        draw_curves(folder)
        draw_sheet(folder, data, split, device=str(device))
        evaluation.write_page(tables, device)
    return Result(scores, data.card.class_names, split, evaluation.page, evaluation.json, tables)


def _say_other_pictures(start: ResumePoint | None, pictures: Mapping[str, int]) -> None:
    """Say that a resumed run has other pictures than it had, by their number."""
    for split, count in pictures.items():
        before = count if start is None else start.pictures.get(split, count)
        if before != count:
            log.warning(
                f"warning: split '{split}' has {counted(count, 'picture')} and had {before} when the run began, so "
                f"that it does not go on as it would have. Other data want a run of their own, with --weights."
            )


def _say_what_may_surprise(
    config: TrainConfig, start: ResumePoint | None, warmup: int, steps: int, per_epoch: int
) -> None:
    """A warmup shorter than it was asked for, epochs or steps that no evaluation follows, or a run that has none left.

    Args:
        steps, per_epoch: optimizer steps of the run, and of an epoch.
    """
    unscored = steps % (per_epoch * config.trainer.check_val_every_n_epoch)
    epochs, interval = config.trainer.max_epochs, config.trainer.check_val_every_n_epoch
    if warmup != config.optim.warmup_steps:
        log.info(warmup_line(f"optim.warmup_steps: {config.optim.warmup_steps}", warmup, steps))
    if start is not None and (start.epochs == epochs or start.steps == config.trainer.max_steps):
        limit = "max_epochs" if start.epochs == epochs else "max_steps"
        log.info(f"Nothing is left to train: {start.epochs} epochs are done. Raise trainer.{limit} to go on.")
    elif steps == config.trainer.max_steps and 0 < unscored < steps:
        log.warning(
            f"warning: trainer.max_steps: {steps} is no multiple of the {per_epoch * interval} steps from one "
            f"evaluation to the next: the last {unscored} are not scored and cannot be the best."
        )
    elif steps != config.trainer.max_steps and 0 < interval < epochs and epochs % interval:
        log.info(
            f"trainer.check_val_every_n_epoch: {interval} does not divide the {epochs} epochs: the last "
            f"{epochs % interval} are not scored and cannot be the best."
        )


def _load_weights(model: nn.Module, checkpoint: str) -> None:
    if (encoder := find_encoder(checkpoint)) is not None:
        count = load_encoder(model.encoder, encoder)
        log.info(f"weights: the encoder's {count} tensors taken from {encoder}")
        return
    folder = Path(checkpoint)
    if not (folder / "model").is_dir() and not (folder / "config.json").is_file():
        raise UserError(
            f"weights: {checkpoint}: holds neither a trained model nor a pretrained encoder. Give the folder of a "
            f"finished run of train or pretrain, or the path of an encoder.safetensors."
        )
    state = load_bundle(checkpoint)[0].state_dict()
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise UserError(f"weights: {checkpoint}: no weight fits this network. Was it trained with another model.arch?")
    model.load_state_dict(fitting, strict=False)
    log.info(f"weights: {len(fitting)} of {len(own)} tensors taken from {checkpoint}")
