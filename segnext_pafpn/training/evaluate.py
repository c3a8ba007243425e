"""The evaluation of a finished run."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
from torch import nn
from torch.utils.data import DataLoader

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import scores_stem, scores_title
from segnext_pafpn.evaluation.score_table import ScoreTable
from segnext_pafpn.evaluation.scores import Scores
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.models.tta import find_views
from segnext_pafpn.training.config import OptimConfig, TrainerConfig
from segnext_pafpn.training.config_file import run_folder
from segnext_pafpn.training.engine import build_trainer
from segnext_pafpn.training.fields import FieldScores, build_metrics, write_fields
from segnext_pafpn.training.folder import is_runs_own
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.module import SegmentationModule
from segnext_pafpn.training.report import Evaluation, image_scores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What an evaluation found.

    Args:
        scores: of the classes.
        class_names: that its rows go by.
        split: that was scored.
        page: where one was written.
        json: the scores' file.
        tables: of regions and of the metrics of a field.
        tta: its test-time augmentation.
    """

    scores: Scores
    class_names: tuple[str, ...]
    split: str
    page: Path | None = None
    json: Path | None = None
    tables: Sequence[ScoreTable] = ()
    tta: str = "none"

    @property
    def title(self) -> str:
        """Of the table of scores."""
        return scores_title(self.split, self.tta)


def evaluate(
    checkpoint: str,
    data_config: DataConfig,
    split: str,
    trainer_config: TrainerConfig,
    report: bool = False,
    metrics: Sequence[str] = (),
    tta: str = "none",
) -> Result:
    """Score a finished run's ``model/`` on a split; writes ``metrics_<split>.json`` and ``.csv`` into its folder.

    Scores of other data than the run's, or of another layout, are called ``metrics_<card>_<split>``; those with
    test-time augmentation end in ``_<tta>``, those of a part of the split, as ``limit_val_batches`` gives, in
    ``_partial``, so that none takes the place of those of the whole as it is.

    Args:
        report: also write ``metrics_<split>.html``, a page of scores, confusions and the best and worst pictures; it
            is written anew where it is there already.
        metrics: names of metrics of a field, see :func:`~segnext_pafpn.training.fields.build_metrics`; each is written
            to ``metrics_<split>_<metric>.json``.
        tta: test-time augmentation, see :mod:`~segnext_pafpn.models.tta`.

    Raises:
        UserError: if the augmentation is not known, the model has not as many classes as the card, the data cannot
            give a metric, or no pixel of the split is labelled.
    """
    find_views(tta)  # refuses
    module, data, preprocessing = open_run(checkpoint, data_config, trainer_config)
    module.tta = tta
    fields = build_metrics(metrics, data, split)
    watchers = [FieldScores(fields, data, split, module.decision)] if fields else []
    trainer = build_trainer(trainer_config, callbacks=watchers, root=Path(checkpoint))
    folder = run_folder(checkpoint)
    card = re.sub(r"[^\w.-]+", "_", data.card.name)  # it becomes part of files' names
    stem = scores_stem(split if is_runs_own(folder, data_config) else f"{card}_{split}", tta)
    evaluation = replace(score(trainer, module, data, preprocessing, folder, split, stem), metrics=metrics)
    if not evaluation.images.matrices.any():
        raise UserError(
            f"split '{split}': no pixel of its {len(evaluation.images.names)} images is labelled, so there is nothing "
            f"to score (owners of benchmarks keep the labels of test). Score another split, or correct the masks."
        )
    if evaluation.is_partial:
        evaluation = replace(evaluation, stem=f"{stem}_partial")
        if trainer.is_global_zero:
            log.info(f"The scores are of a part of the split: {evaluation.json.name}. {stem}.json is left as it is.")
    report = report or evaluation.page.is_file()  # or it would be of another evaluation
    tables: list[ScoreTable] = []
    if trainer.is_global_zero:
        for note in evaluation.notes():
            log.warning(f"warning: {note}")
        extra = {"checkpoint": str(checkpoint)}
        tables = evaluation.write(**extra)
        tables += write_fields(fields, folder, evaluation.stem, {**extra, **evaluation.facts()})
        if report:
            evaluation.write_page(tables, trainer.strategy.root_device)
    page = evaluation.page if report else None
    return Result(module.scores(), data.card.class_names, split, page, evaluation.json, tables, tta)


def score(
    trainer: L.Trainer,
    module: SegmentationModule,
    data: SegmentationDataModule,
    preprocessing: Preprocessing,
    folder: Path,
    split: str,
    stem: str,
) -> Evaluation:
    """Score a network on a split, image by image; nothing is written.

    Args:
        preprocessing: of the network's bundle.
        folder, stem: of the files that shall tell of it.
    """
    module.keep_images = True
    trainer.validate(module, dataloaders=EvalLoader(data, split), verbose=False)
    limit = trainer.limit_val_batches
    return Evaluation(
        module=module,
        data=data,
        preprocessing=preprocessing,
        images=image_scores(module, data, split),
        folder=folder,
        stem=stem,
        limit_val_batches=limit if isinstance(limit, int) else None,  # Lightning's 1.0 is all of them
    )


def open_run(
    checkpoint: str, data_config: DataConfig, trainer_config: TrainerConfig
) -> tuple[SegmentationModule, SegmentationDataModule, Preprocessing]:
    """A finished run's ``model/`` and the data to score it on.

    Raises:
        UserError: if the model's classes, or the images it takes, are not the card's.
    """
    model, preprocessing = load_bundle(checkpoint)
    data = SegmentationDataModule(replace(data_config, intensity=preprocessing.intensity))
    data.reader.cut_as(preprocessing.slicing)
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
    return build_module(model, preprocessing, loss, OptimConfig(), trainer_config), data, preprocessing


def build_module(
    model: nn.Module, preprocessing: Preprocessing, loss: LossConfig, optim: OptimConfig, trainer: TrainerConfig
) -> SegmentationModule:
    """A network with its loss, optimizer and score, in the layout of the trainer, and compiled if it says so."""
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
