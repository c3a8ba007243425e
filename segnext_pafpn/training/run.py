"""A run from its configuration to its folder; the evaluation of a finished one."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
from torch import nn
from torch.utils.data import DataLoader

from segnext_pafpn.data.cache import Track
from segnext_pafpn.data.check import SplitReport
from segnext_pafpn.data.datamodule import DataConfig, SegmentationDataModule
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.fields import FieldTable
from segnext_pafpn.evaluation.scores import Scores
from segnext_pafpn.models.bundle import load_bundle, save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.models.pretrained import find_encoder, load_encoder
from segnext_pafpn.training.config import TrainConfig, TrainerConfig
from segnext_pafpn.training.engine import build_callbacks, build_trainer, is_first_process, planned_steps
from segnext_pafpn.training.fields import FieldScores, build_metrics, write_fields
from segnext_pafpn.training.folder import fit_to_best, found_from_anywhere, prepare_folder, trained_on
from segnext_pafpn.training.losses import LossConfig
from segnext_pafpn.training.measure import balance_classes, settle_intensity
from segnext_pafpn.training.misfit import refuse_misfit, refuse_other_mode
from segnext_pafpn.training.module import SegmentationModule
from segnext_pafpn.training.optim import OptimConfig, warmup_line, warmup_of
from segnext_pafpn.training.pictures import draw_curves, draw_sheet
from segnext_pafpn.training.report import image_scores, what_was_scored, write_evaluation, write_report
from segnext_pafpn.training.resume import NoteOfData, ResumePoint, refuse_changes, refuse_other_network
from segnext_pafpn.training.sampling import settle_sampling

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What an evaluation found, the names its rows go by, its page where one was written, its JSON, and the tables of
    regions and of its field.
    """

    scores: Scores
    class_names: tuple[str, ...]
    split: str
    page: Path | None = None
    json: Path | None = None
    tables: Sequence[FieldTable] = ()


def fit(
    config: TrainConfig,
    start: ResumePoint | None = None,
    train_report: SplitReport | None = None,
    track: Track | None = None,
) -> Result:
    """Train, evaluate the best weights, and fill the run's folder.

    Args:
        start: what :func:`.find_resume_point` has found for this configuration, to go on as if it had never
            stopped.
        train_report: what a check of the training split has found, so that class weights need not read it again.
        track: shows the filling of a cache in memory; see :meth:`.RamCache.fill`.

    Raises:
        UserError: for what a user can mend; nothing of an earlier run is touched before the settings are checked.
    """
    config = replace(config, data=found_from_anywhere(config.data))
    data = SegmentationDataModule(config.data, seed=config.seed)
    refuse_other_mode(config.loss, data.card)
    config = settle_intensity(balance_classes(config, data, train_report), data, train_report)
    config = settle_sampling(config, data, train_report)
    if start is not None:
        refuse_changes(config)  # again: the numbers are there now
    data.config = config.data
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
    # a resumed run takes all weights from its checkpoint
    model_config = config.model if start is None else replace(config.model, init_from=None)
    model = build_model(model_config, len(data.card.classes), preprocessing.channels)
    if config.weights is not None and start is None:
        _load_weights(model, config.weights)
    copied = copy.deepcopy(model)
    module = _build_module(model, preprocessing, config.loss, config.optim, config.trainer)
    if start is not None:
        refuse_other_network(start, module)
    callbacks = [*build_callbacks(config, network=copied, preprocessing=preprocessing), NoteOfData(preprocessing)]
    trainer = build_trainer(config.trainer, callbacks, root=config.run_dir)
    data.trainer = trainer
    steps = planned_steps(config.trainer, batches=len(data.train_dataloader()))[1]
    warmup = warmup_of(config.optim, steps)
    refuse_misfit(copied, config.model, config.data, preprocessing.channels)
    data.first_epoch = start.epochs if start else 0
    prepare_folder(config, resume=start is not None)
    if warmup != config.optim.warmup_steps and is_first_process():
        log.info(warmup_line(f"optim.warmup_steps: {config.optim.warmup_steps}", warmup, steps))
    fit_to_best(trainer, module, data, config.run_dir, start)
    module.keep_images = True
    trainer.validate(module, dataloaders=data.val_dataloader(), verbose=False)
    split = config.data.val_split
    images = image_scores(module, data, split)
    stem = f"metrics_{split}"
    result = Result(
        module.scores(), data.card.class_names, split, config.run_dir / f"{stem}.html", config.run_dir / f"{stem}.json"
    )
    if trainer.is_global_zero:
        network = module.model.cpu().eval()
        scored = what_was_scored(data, images, config.trainer)
        tables = write_evaluation(module, data, images, config.run_dir, stem, scored)
        result = replace(result, tables=tables)
        save_bundle(network, preprocessing, config.run_dir / "model", {stem: f"mIoU {100 * result.scores.mIoU:.2f} %"})
        draw_curves(config.run_dir)
        draw_sheet(config.run_dir, data, split, device=str(trainer.strategy.root_device))
        write_report(module, data, images, config.run_dir, stem, trainer.strategy.root_device, tables)
    return result


def evaluate(
    checkpoint: str,
    data_config: DataConfig,
    split: str,
    trainer_config: TrainerConfig,
    report: bool = False,
    metrics: Sequence[str] = (),
) -> Result:
    """Score a finished run's ``model/`` on a split; writes ``metrics_<split>.json`` and ``.csv`` into its folder.

    Scores of a part of the split, as ``limit_val_batches`` gives, are called ``metrics_<split>_partial``, so that they
    do not take the place of those of the whole.

    Args:
        report: also write ``metrics_<split>.html``, a page of scores, confusions and the best and worst pictures.
        metrics: names of metrics of a field, see :func:`~segnext_pafpn.training.fields.build_metrics`; each is written
            to ``metrics_<split>_<metric>.json``.

    Raises:
        UserError: if the model has not as many classes as the card, or the data cannot give a metric.
    """
    module, data, preprocessing = open_run(checkpoint, data_config, trainer_config)
    fields = build_metrics(metrics, data, split)
    watchers = [FieldScores(fields, data, split, module.decision)] if fields else []
    trainer = build_trainer(trainer_config, callbacks=watchers, root=Path(checkpoint))
    module.keep_images = True
    trainer.validate(module, dataloaders=EvalLoader(data, split), verbose=False)
    images = image_scores(module, data, split)
    folder = Path(checkpoint).parent if Path(checkpoint).name == "model" else Path(checkpoint)
    stem = f"metrics_{split}" if trained_on(folder, data_config.card) else f"metrics_{data.card.name}_{split}"
    extra = {"checkpoint": str(checkpoint), **what_was_scored(data, images, trainer_config)}
    scored, there = extra["images"], extra["images_in_split"]
    if scored < there:
        if trainer.is_global_zero:
            log.info(f"{scored} of {there} images of split '{split}' were scored, so {stem}.json is left as it is.")
        stem += "_partial"
    result = Result(
        module.scores(),
        data.card.class_names,
        split,
        folder / f"{stem}.html" if report else None,
        folder / f"{stem}.json",
    )
    if trainer.is_global_zero:
        if module.decision.thresholds is not None:
            extra["thresholds"] = list(module.decision.thresholds)
        tables = write_evaluation(module, data, images, folder, stem, extra)
        result = replace(result, tables=tables + write_fields(fields, folder, stem, extra))
        if report:
            device = trainer.strategy.root_device
            write_report(module, data, images, folder, stem, device, result.tables, metrics, preprocessing)
    return result


def open_run(
    checkpoint: str, data_config: DataConfig, trainer_config: TrainerConfig
) -> tuple[SegmentationModule, SegmentationDataModule, Preprocessing]:
    """A finished run's ``model/`` and the data to score it on.

    Raises:
        UserError: if the model's classes, or the images it takes, are not the card's.
    """
    model, preprocessing = load_bundle(checkpoint)
    data = SegmentationDataModule(replace(data_config, intensity=preprocessing.intensity))
    if preprocessing.intensity is None and not data.card.image.is_rgb8:
        raise UserError(
            f"{checkpoint}: the model was trained on 8-bit RGB; card '{data.card.name}' says image.normalize: "
            f"{data.card.image.normalize}. Give a card of images like those it was trained on."
        )
    names = data.card.class_names
    if names != preprocessing.class_names:
        raise UserError(
            f"{checkpoint}: the model knows the classes {', '.join(preprocessing.class_names)}; the card "
            f"'{data.card.name}' has {', '.join(names)}. Give a card with the same classes in the same order."
        )
    if data.card.multi_label != preprocessing.multi_label:
        raise UserError(
            f"{checkpoint}: the model was trained with multi_label: {str(preprocessing.multi_label).lower()}; the card "
            f"'{data.card.name}' has {str(data.card.multi_label).lower()}. Give a card like the one of its training."
        )
    loss = LossConfig(mode="sigmoid" if preprocessing.multi_label else "softmax")
    return _build_module(model, preprocessing, loss, OptimConfig(), trainer_config), data, preprocessing


def _build_module(
    model: nn.Module, preprocessing: Preprocessing, loss: LossConfig, optim: OptimConfig, trainer: TrainerConfig
) -> SegmentationModule:
    module = SegmentationModule(
        model,
        num_classes=len(preprocessing.class_names),
        loss=loss,
        optim=optim,
        mean=preprocessing.mean,
        std=preprocessing.std,
        channels_last=trainer.channels_last,
        decision=preprocessing.decision,
    )
    if trainer.compile:
        module.model.compile()
    return module


class EvalLoader(L.LightningDataModule):
    """The one split that is to be scored, as the trainer's validation data."""

    def __init__(self, data: SegmentationDataModule, split: str):
        super().__init__()
        self.data = data
        self.split = split

    def val_dataloader(self) -> DataLoader:
        self.data.trainer = self.trainer
        return self.data.eval_dataloader(self.split)


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
