"""The metrics of a field beside an evaluation: whether the data can give them, and each picture on its way there."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.dataset import Batch
from segnext_pafpn.data.readers import Sample
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.evaluation.fields import (
    Boundaries,
    Categories,
    CellSegments,
    FieldMetric,
    FieldReport,
    Instances,
    MedicalCases,
    Picture,
)
from segnext_pafpn.evaluation.score_table import ScoreTable
from segnext_pafpn.evaluation.streets import CITYSCAPES_INSTANCE_SIZES
from segnext_pafpn.files import write_json
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.training.callbacks import BatchGatherer

log = logging.getLogger(__name__)

GROUPS = {"street": ("categories", "instances", "boundaries")}


def build_metrics(names: Sequence[str], data: SegmentationDataModule, split: str) -> list[FieldMetric]:
    """The metrics of these names, ``street`` being three; nothing is read but names of files.

    Of a group, what the card has nothing for is left out with a line in the log; asked for by its own name it is
    refused.

    Raises:
        UserError: naming a metric that is not known, or what the data lack for one.
    """
    known = (*_BUILDERS, *GROUPS)
    for name in names:
        if name not in known:
            raise UserError(f"--metrics: '{name}' is not known.{nearest(name, known)} Known: {', '.join(known)}.")
    wanted = single_metrics(names)
    for name in [name for name in wanted if name not in names and name in _NEEDS]:
        has, lacking = _NEEDS[name]
        if not has(data, split):
            log.info(f"--metrics {'/'.join(GROUPS)}: {name} left out: card '{data.card.name}' has no {lacking}.")
            del wanted[name]
    return [_BUILDERS[name](data, split) for name in wanted]


def single_metrics(names: Sequence[str]) -> dict[str, None]:
    """The names, each once, with a group's in place of its own."""
    return dict.fromkeys(single for name in names for single in GROUPS.get(name, (name,)))


def _has_instances(data: SegmentationDataModule, split: str) -> bool:
    known = any(name in CITYSCAPES_INSTANCE_SIZES for name in data.card.class_names)
    return known and data.reader.instance_file(data.samples(split)[0]) is not None


def _has_categories(data: SegmentationDataModule, split: str) -> bool:
    return any(row.category for row in data.card.classes)


_NEEDS: Mapping[str, tuple[Callable[[SegmentationDataModule, str], bool], str]] = {
    "instances": (_has_instances, "files of instances"),
    "categories": (_has_categories, "category in any row of its classes"),
}


def _categories(data: SegmentationDataModule, split: str) -> FieldMetric:
    return Categories(_categories_of(_one_class("categories", data.card)))


def _boundaries(data: SegmentationDataModule, split: str) -> FieldMetric:
    return Boundaries(_one_class("boundaries", data.card).class_names)


def _instances(data: SegmentationDataModule, split: str) -> FieldMetric:
    card = _one_class("instances", data.card)
    sizes = [CITYSCAPES_INSTANCE_SIZES.get(name) for name in card.class_names]
    samples = data.samples(split)
    if not _has_instances(data, split):
        raise UserError(
            f"--metrics instances: card '{card.name}' has no files of instances. They come with Cityscapes "
            f"(*_instanceIds.png) and its classes; leave this metric out for other data."
        )
    missing = [path for sample in samples if not (path := data.reader.instance_file(sample)).is_file()]
    if missing:
        raise UserError(
            f"--metrics instances: {missing[0]}: no such file ({len(missing)} of {len(samples)} are missing). Unpack "
            f"gtFine as its owners give it out, or leave this metric out."
        )
    categories = _categories_of(card) if any(row.category for row in card.classes) else ()
    return Instances(card.class_names, sizes, categories)


def _medical(data: SegmentationDataModule, split: str) -> FieldMetric:
    card = data.card
    first = 0 if card.multi_label else 1  # elsewhere the first class is the background
    structures = dict(list(enumerate(card.class_names))[first:])
    samples = data.samples(split)
    sizes = Counter(sample.case for sample in samples if sample.case is not None)
    for sample in {sample.case: sample for sample in samples if sample.case is not None}.values():
        if sizes[sample.case] < data.reader.depth(sample):
            raise UserError(
                f"--metrics medical: split '{split}' leaves out slices of {sample.case}, and a case is scored whole. "
                f"Set layout.min_foreground to 0, and layout.divide to volumes."
            )
    return MedicalCases(structures, sizes, card.multi_label, regions=card.region_ids)


def _segments(data: SegmentationDataModule, split: str) -> FieldMetric:
    card = _one_class("segments", data.card)
    if not card.boundary:
        raise UserError(
            f"--metrics segments: card '{card.name}' does not say which class divides cells. Add a line such as "
            f"'boundary: [{card.class_names[0]}]' to {card.path}."
        )
    return CellSegments([card.class_names.index(name) for name in card.boundary])


_BUILDERS: Mapping[str, Callable[[SegmentationDataModule, str], FieldMetric]] = {
    "categories": _categories,
    "instances": _instances,
    "boundaries": _boundaries,
    "medical": _medical,
    "segments": _segments,
}
METRICS = tuple(_BUILDERS)


def _one_class(metric: str, card: Card) -> Card:
    if card.multi_label:
        raise UserError(
            f"--metrics {metric}: is for one class per pixel, and card '{card.name}' has multi_label: true. "
            f"Take medical, or leave it out."
        )
    return card


def _categories_of(card: Card) -> list[str]:
    without = [row.name for row in card.classes if not row.category]
    if without:
        raise UserError(
            f"--metrics categories: card '{card.name}' has no category for {len(without)} of {len(card.classes)} "
            f"classes ('{without[0]}' first). Write category: NAME into each row of a copy of {card.path}, or leave "
            f"this metric out."
        )
    return [row.category for row in card.classes]


class FieldScores(BatchGatherer):
    """Hands each picture of an evaluation to the metrics, in the picture's own size.

    Where ``data.image_size`` resizes pictures, logits are brought back to their size and compared with the mask as it
    was made, which is what ``predict`` writes and what a challenge would score.
    """

    def __init__(self, metrics: Sequence[FieldMetric], data: SegmentationDataModule, split: str, decision: Decision):
        self.metrics = metrics
        self.data = data
        self.decision = decision
        self.samples = {sample.label: sample for sample in data.samples(split)}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            raise UserError(
                f"--metrics: a case must not be divided between devices, found {trainer.world_size}. "
                f"Set --trainer.devices 1."
            )

    def gather(self, logits: torch.Tensor, batch: Batch) -> None:
        for label, each, mask in zip(batch["name"], logits, batch["mask"], strict=True):
            picture = self._picture(self.samples[label], each, mask)
            for metric in self.metrics:
                metric.add(picture)

    def _picture(self, sample: Sample, logits: torch.Tensor, mask: torch.Tensor) -> Picture:
        reader = self.data.reader
        if self.data.config.image_size is None:
            truth = mask.cpu().numpy()
        else:
            truth = self.data.read_truth(sample)
            size = truth.shape[-2:]
            logits = F.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]
        probabilities = instances = None
        if any(metric.wants_probabilities for metric in self.metrics):
            probabilities = self.decision.probabilities(logits).cpu().numpy()
        if any(metric.wants_instances for metric in self.metrics):
            instances = reader.read_instances(sample)
            if instances.shape != truth.shape:
                raise UserError(f"{reader.instance_file(sample)}: is of another size than its mask. Unpack it again.")
        return Picture(
            name=sample.name,
            prediction=self.decision.classes(logits).to(torch.uint8).cpu().numpy(),
            truth=truth.astype(np.uint8, copy=False),
            probabilities=probabilities,
            instances=instances,
            case=sample.case,
            slice=sample.slice,
            spacing=sample.spacing,
        )


def write_fields(
    metrics: Sequence[FieldMetric], folder: Path, stem: str, extra: Mapping[str, object]
) -> list[ScoreTable]:
    """``<stem>_<metric>.json`` of each, and its further files; the tables to show."""
    tables = []
    for metric in metrics:
        report: FieldReport = metric.report()
        write_json({**extra, "metric": metric.name, **report.values}, folder / f"{stem}_{metric.name}.json")
        metric.write_files(folder, f"{stem}_{metric.name}")
        tables += report.tables
    return tables
