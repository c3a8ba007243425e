"""The report of a run: its scores image by image, and a page with everything that one wants to see of it."""

import glob
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch.utils.data import Dataset

from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.transforms import eval_transform
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.fold_cases import is_same_evaluation, read_scores
from segnext_pafpn.evaluation.per_image import ImageMatrices, write_images
from segnext_pafpn.evaluation.pictures import SheetRow
from segnext_pafpn.evaluation.regions import region_report
from segnext_pafpn.evaluation.report import write_confusion, write_scores
from segnext_pafpn.evaluation.run_page import RunReport, write_run_page
from segnext_pafpn.evaluation.score_table import ScoreTable
from segnext_pafpn.intensity import viewable
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.training.commands_again import commands_again, tta_option
from segnext_pafpn.training.environment import describe_environment
from segnext_pafpn.training.fields import METRICS, single_metrics
from segnext_pafpn.training.folder import absolute_card, count_trained, is_runs_own, root_of
from segnext_pafpn.training.module import SegmentationModule

log = logging.getLogger(__name__)

_CASES = 4  # pictures from each end


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A split that was scored, and the files that tell of it: ``<folder>/<stem>...``.

    Args:
        module: the network that was scored, with what its last evaluation has counted.
        data: what it was scored on.
        preprocessing: of the run's ``model/``, whose thresholds are named.
        images: what was counted in each image of the split.
        folder: of the run.
        stem: what the files' names begin with.
        limit_val_batches: the trainer's.
        metrics: names of the metrics of a field that were asked for.
    """

    module: SegmentationModule
    data: SegmentationDataModule
    preprocessing: Preprocessing
    images: ImageMatrices
    folder: Path
    stem: str
    limit_val_batches: int | None = None
    metrics: Sequence[str] = ()

    @property
    def split(self) -> str:
        return self.images.split

    @cached_property
    def num_in_split(self) -> int:
        """How many images there are."""
        return len(self.data.samples(self.split))

    @property
    def is_partial(self) -> bool:
        """Whether images of the split were left out."""
        return len(self.images.names) < self.num_in_split

    @cached_property
    def num_trained(self) -> int:
        """How many images of the split the run was trained on."""
        return count_trained(self.folder, self.data, self.split)

    @property
    def page(self) -> Path:
        return self.folder / f"{self.stem}.html"

    @property
    def json(self) -> Path:
        return self.folder / f"{self.stem}.json"

    def notes(self) -> list[str]:
        """What a reader must know of the scores, a sentence each."""
        notes = []
        if self.is_partial:
            notes.append(
                f"Only {len(self.images.names)} of the {self.num_in_split} images of split '{self.split}' were scored."
            )
        if self.num_trained:
            notes.append(
                f"The run was trained on {self.num_trained} of the {self.num_in_split} images of split "
                f"'{self.split}': no score of unseen images."
            )
        return notes

    def facts(self) -> dict[str, object]:
        """For every JSON: which pictures the scores are of, whether they are all of the split, how they were seen."""
        config, thresholds = self.data.config, self.module.decision.thresholds
        return {
            "split": self.split,
            "card": absolute_card(config.card),
            "root": root_of(config.card, config.root),
            "layout": config.layout,
            "images": len(self.images.names),
            "images_in_split": self.num_in_split,
            "limit_val_batches": self.limit_val_batches,
            "tta": self.module.tta,
            **({"images_trained_on": self.num_trained} if self.num_trained else {}),
            **({} if thresholds is None else {"thresholds": list(thresholds)}),
        }

    def write(self, **facts: object) -> list[ScoreTable]:
        """Write scores, confusions and images; tables of regions, where there are.

        Args:
            facts: what the JSON has besides.
        """
        own = is_runs_own(self.folder, self.data.config)
        if not own and self.json.is_file() and not _is_of(self.json, self.facts()):
            log.info(f"{self.json}: takes the place of scores of other data. Copy what is to stay before the next val.")
        names = self.data.card.class_names
        regions = region_report(self.module.matrix.cpu().numpy(), self.data.card.region_ids, names)
        write_scores(self.module.scores(), names, self.folder, self.stem, {**facts, **self.facts(), **regions.values})
        write_confusion(self.module.matrix, names, self.folder, self.stem)
        write_images(self.images, self.folder, self.stem)
        self._remove_fields_of_others()
        return list(regions.tables)

    def _remove_fields_of_others(self) -> None:
        """Remove the scores of a field that an earlier evaluation, of other data, has left under the same name.

        The names of the run's own data are of these alone; what is stale there is said on the page.
        """
        if is_runs_own(self.folder, self.data.config):
            return
        facts = json.loads(json.dumps(self.facts()))
        for name in METRICS:
            path = self.folder / f"{self.stem}_{name}.json"
            if path.is_file() and not _is_of(path, facts):
                for stale in self.folder.glob(f"{glob.escape(path.stem)}*"):
                    stale.unlink()
                log.info(f"{path}: removed, as it was of an evaluation of other data.")

    def write_page(self, tables: Sequence[ScoreTable], device: torch.device) -> None:
        """``<stem>.html``, with ``tables`` after the classes.

        Costs up to eight more predictions, by the network that was scored and at the same size.
        """
        self.module.eval().to(device)  # Lightning has left it in the state it was in before, on the CPU
        worst, best = self._predicted_cases()
        curves, config = self.folder / "curves.png", self.folder / "config.yaml"
        card = self.data.card
        write_run_page(
            RunReport(
                title=f"{self.folder.name} on {card.title or card.name}",
                images=self.images,
                class_colors=card.class_colors,
                worst=worst,
                best=best,
                curves=curves if curves.is_file() else None,
                config=config.read_text(encoding="utf-8") if config.is_file() else "not in the folder\n",
                environment=describe_environment(self.module.device),
                commands=commands_again(
                    self.folder,
                    self.data.config,
                    self.split,
                    tta=self.module.tta,
                    metrics=self.metrics,
                    is_tuned=self.preprocessing.thresholds is not None,
                ),
                csv=f"{self.stem}_images.csv",
                sections=[table.for_page() for table in tables],
                notes=[*self.notes(), *self._notes_of_page()],
            ),
            self.page,
        )

    def _predicted_cases(self) -> tuple[list[SheetRow], list[SheetRow]]:
        """The worst and the best cases."""
        cases = self.images.by_case()
        order = cases.worst_first().tolist()
        worst = order[:_CASES]
        best = [i for i in order[::-1][:_CASES] if i not in worst]
        samples = {sample.name: sample for sample in self.data.samples(self.split)}
        names = [self.images.names[self.images.shown_of(cases.names[i])] for i in (*worst, *best)]
        dataset = self.data.dataset([samples[name] for name in names], eval_transform(self.data.config.image_size))
        rows = [self._predicted(dataset, index, name) for index, name in enumerate(names)]
        return rows[: len(worst)], rows[len(worst) :]

    @torch.inference_mode()
    def _predicted(self, dataset: Dataset, index: int, name: str) -> SheetRow:
        item = dataset[0, index]
        prediction = self.module.decision.classes(self.module(item["image"][None].to(self.module.device)))[0]
        image = viewable(item["image"].permute(1, 2, 0).numpy(), neighbours=self.data.card.image.neighbours)
        return SheetRow(name, image, item["mask"].numpy(), prediction.to(torch.uint8).cpu().numpy())

    def _notes_of_page(self) -> list[str]:
        """How the scores came about, and which others lie beside the page."""
        tta, found = self.module.tta, self.preprocessing
        notes = [] if tta == "none" else [f"With test-time augmentation: {tta}."]
        if found.thresholds is not None:
            names = found.class_names if found.multi_label else found.class_names[1:]
            values = ", ".join(f"{n} {t:g}" for n, t in zip(names, found.thresholds, strict=True))
            notes.append(f"Threshold of the probability: {values}; tuned on {found.thresholds_from}.")
        shown = single_metrics(self.metrics)
        others = [m for m in METRICS if m not in shown and (self.folder / f"{self.stem}_{m}.json").is_file()]
        if others:
            files = ", ".join(f"{self.stem}_{name}.json" for name in others)
            again = f"val --metrics {' '.join(others)}{tta_option(tta)}"
            notes.append(f"Of an earlier val, not on this page: {files}. {again} scores anew.")
        return notes


def image_scores(module: SegmentationModule, data: SegmentationDataModule, split: str) -> ImageMatrices:
    """What the last evaluation counted in each image, over all processes, in the split's order.

    The images go by their names in the data set, which do not depend on the folder it lies in.
    """
    assert module.images is not None, "no evaluation has run with keep_images"
    labels, matrices = module.images
    place = {label: i for i, label in enumerate(labels)}
    scored = [sample for sample in data.samples(split) if sample.label in place]
    order = [place[sample.label] for sample in scored]
    names = tuple(sample.name for sample in scored)
    cases = tuple(sample.case or sample.name for sample in scored)
    return ImageMatrices(names, matrices[order].numpy(), data.card.class_names, split, cases)


def _is_of(path: Path, facts: Mapping[str, object]) -> bool:
    """Whether a file of scores can be read and is of the evaluation with these facts."""
    try:
        return is_same_evaluation(read_scores(path), facts)
    except UserError:
        return False
