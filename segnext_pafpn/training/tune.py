"""The thresholds of a finished run's probabilities, found on its validation split and kept in its ``model/``."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
import torch

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.dataset import Batch
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import scores_stem
from segnext_pafpn.evaluation.score_table import ScoreTable, percent, percent_text
from segnext_pafpn.evaluation.thresholds import DEFAULT, ThresholdSearch, best_thresholds
from segnext_pafpn.files import write_json
from segnext_pafpn.ids import IGNORE_INDEX
from segnext_pafpn.models.bundle import bundle_folder, save_preprocessing
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.training.callbacks import BatchGatherer
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.config_file import run_folder
from segnext_pafpn.training.engine import build_trainer
from segnext_pafpn.training.evaluate import EvalLoader, open_run
from segnext_pafpn.training.folder import remove_stale_scores

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What was found, a number each for the classes that have a threshold; Dice as fractions."""

    class_names: Sequence[str]
    thresholds: Sequence[float]
    dice: Sequence[float]
    dice_at_default: Sequence[float]
    split: str

    def table(self) -> ScoreTable:
        """To show."""
        rows = [
            [name, percent_text(before), f"{threshold:g}", percent_text(after)]
            for name, before, threshold, after in zip(
                self.class_names, self.dice_at_default, self.thresholds, self.dice, strict=True
            )
        ]
        head = ["class", f"Dice at {DEFAULT:g}, %", "threshold", "Dice there, %"]
        note = f"Of the pixels of split '{self.split}' together, on which the thresholds were found."
        return ScoreTable(title="Thresholds", head=head, rows=rows, note=note)


def tune_thresholds(checkpoint: str, data_config: DataConfig, split: str, trainer_config: TrainerConfig) -> Tuned:
    """Find the thresholds with the best Dice over ``split`` in one pass, and write them into the run's ``model/``.

    For two classes it is one of the second class's probability; with ``multi_label`` one for each class. A class that
    the split does not hold keeps 0.5. Also writes ``thresholds.json`` into the run's folder.

    Raises:
        UserError: for another split than ``data.val_split``, for a part of it, or for more than two classes of which a
            pixel is one.
    """
    if split != data_config.val_split or split == "test":
        raise UserError(
            f"--tune-threshold: found split '{split}', expected data.val_split and never test: what thresholds were "
            f"chosen on can no longer be scored honestly. Tune on the validation split, then score '{split}' without."
        )
    if trainer_config.limit_val_batches is not None:
        raise UserError(
            f"--tune-threshold: is for the whole split, found trainer.limit_val_batches: "
            f"{trainer_config.limit_val_batches}. Leave one of them out."
        )
    module, data, preprocessing = open_run(checkpoint, data_config, trainer_config)
    names = data.card.class_names
    if not data.card.multi_label and len(names) != 2:
        raise UserError(
            f"--tune-threshold: is for two classes, or for multi_label: true, found the {len(names)} classes of card "
            f"'{data.card.name}'. Leave it out: of more classes the most probable one is taken."
        )
    tuned_names = names if data.card.multi_label else names[1:]
    watcher = _Watcher(ThresholdSearch(len(tuned_names)), module.decision)
    trainer = build_trainer(trainer_config, callbacks=[watcher], root=Path(checkpoint))
    trainer.validate(module, dataloaders=EvalLoader(data, split), verbose=False)
    dice, grid = watcher.dice, watcher.search.thresholds
    thresholds = best_thresholds(dice, grid)
    absent = [name for name, row in zip(tuned_names, dice, strict=True) if row.isnan().all()]
    if absent:
        log.warning(f"split '{split}' holds no pixel of {', '.join(absent)}: the threshold stays {DEFAULT:g}.")
    tuned = Tuned(
        class_names=tuned_names,
        thresholds=thresholds,
        dice=[float(row[grid.index(t)]) for row, t in zip(dice, thresholds, strict=True)],
        dice_at_default=dice[:, grid.index(DEFAULT)].tolist(),
        split=split,
    )
    if trainer.is_global_zero:
        folder = run_folder(checkpoint)
        if thresholds != preprocessing.thresholds:
            remove_stale_scores(folder, scores_stem(split), "thresholds")
        where = f"split '{split}' of card '{data.card.name}'"
        tuned_preprocessing = replace(preprocessing, thresholds=thresholds, thresholds_from=where)
        save_preprocessing(tuned_preprocessing, bundle_folder(checkpoint), before=preprocessing)
        write_json(_values(tuned, data_config.card), folder / "thresholds.json")
    trainer.strategy.barrier("thresholds are written")  # other processes read them next
    return tuned


def _values(tuned: Tuned, card: str) -> dict[str, object]:
    rows = zip(tuned.class_names, tuned.thresholds, tuned.dice_at_default, tuned.dice, strict=True)
    return {
        "split": tuned.split,
        "card": card,
        "per_class": [
            {"name": name, "threshold": threshold, "Dice_at_0.5": percent(before), "Dice": percent(after)}
            for name, threshold, before, after in rows
        ],
    }


class _Watcher(BatchGatherer):
    """Counts the probabilities of each batch of an evaluation."""

    def __init__(self, search: ThresholdSearch, decision: Decision):
        self.search = search
        self.decision = decision
        self.dice = torch.zeros(0)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.search.to(pl_module.device)

    def gather(self, logits: torch.Tensor, batch: Batch) -> None:
        target = batch["mask"]
        if not self.decision.multi_label:  # the second class against the first
            target = torch.where(target == IGNORE_INDEX, target, (target == 1).to(target.dtype))[:, None]
        self.search.update(self.decision.foreground(logits), target)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.dice = self.search.compute().cpu()
