"""The runs of a cross-validation, each scored on its own fold, as one result.

K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import ImageMatrices, scores_title
from segnext_pafpn.evaluation.score_table import ScoreTable, percent, percent_text
from segnext_pafpn.evaluation.scores import Scores, mean_of_measured, scores_from_matrix

_MEANS = ("mIoU", "mDice", "aAcc")


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The scores of each fold, and those of the images of all folds together.

    Args:
        class_names: K.
        split: that was scored.
        runs: one for each fold.
        folds: its scores.
        num_images: how many images these are of.
        together: scores of the pixels of all folds.
        tta: test-time augmentation they were scored with.
    """

    class_names: tuple[str, ...]
    split: str
    runs: tuple[str, ...]
    folds: tuple[Scores, ...]
    num_images: tuple[int, ...]
    together: Scores
    tta: str = "none"

    def spread(self, score: str, k: int | None = None) -> "Spread":
        """Of a mean of :class:`~segnext_pafpn.evaluation.scores.Scores`, or of a score of class ``k``."""
        every = [getattr(scores, score) for scores in (*self.folds, self.together)]
        *values, together = every if k is None else [values[k] for values in every]
        measured = [value for value in values if not math.isnan(value)]
        return Spread(
            mean=mean_of_measured(values),
            sd=float(np.std(measured, ddof=1)) if len(measured) > 1 else math.nan,
            count=len(measured),
            is_of_all=len(measured) in (0, len(values)),
            together=float(together),
        )


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A score over the folds that could measure it, as fractions.

    Args:
        mean: NaN without a fold.
        sd: standard deviation (divided by n - 1); NaN with fewer than two folds.
        count: of these folds.
        is_of_all: whether they are all, or none.
        together: the score of the pixels of all folds as one.
    """

    mean: float
    sd: float
    count: int
    is_of_all: bool
    together: float

    def text(self) -> str:
        """Mean, deviation, and the number of folds where it is not that of all, in percent."""
        text = percent_text(self.mean) + ("" if math.isnan(self.sd) else f" ± {percent_text(self.sd)}")
        return text if self.is_of_all else f"{text} ({self.count})"

    def values(self) -> dict[str, float | int | None]:
        """What JSON can hold of it, in percent."""
        rounded = {"mean": percent(self.mean), "sd": percent(self.sd)}
        return {**rounded, "folds": self.count, "together": percent(self.together)}


def cross_validate(folds: Sequence[ImageMatrices], runs: Sequence[str], tta: str = "none") -> CrossValidation:
    """Sum up what ``val`` has counted in the images of each fold, given the names of the runs.

    Raises:
        UserError: as :func:`pool_folds`.
    """
    pooled = pool_folds(folds, runs)
    return CrossValidation(
        class_names=pooled.class_names,
        split=pooled.split,
        runs=tuple(runs),
        folds=tuple(_scores(fold) for fold in folds),
        num_images=tuple(len(fold.names) for fold in folds),
        together=_scores(pooled),
        tta=tta,
    )


def pool_folds(folds: Sequence[ImageMatrices], runs: Sequence[str]) -> ImageMatrices:
    """The images of all folds as one evaluation.

    Raises:
        UserError: if the runs are of other classes, or two were scored on one image.
    """
    first = folds[0]
    owner: dict[str, str] = {}
    for fold, run in zip(folds, runs, strict=True):
        if fold.class_names != first.class_names:
            raise UserError(
                f"{run}: has the classes {', '.join(fold.class_names)}; {runs[0]} {', '.join(first.class_names)}, "
                f"expected the same. Give the runs of one card."
            )
        if fold.matrices.ndim != first.matrices.ndim:
            raise UserError(
                f"{run}: of it and {runs[0]} one has several labels per pixel (multi_label: true), the other one; "
                f"expected runs of a kind. Give the runs of one card."
            )
        for name in fold.names:
            if name in owner:
                raise UserError(
                    f"{run}: was scored on {name}, as {owner[name]} was; expected a fold of its own for each run. "
                    f'Train each with --data.layout "{{fold: K}}", K from 0, and give each once.'
                )
            owner[name] = run
    has_cases = any(fold.cases for fold in folds)
    return replace(
        first,
        names=tuple(owner),
        matrices=np.concatenate([fold.matrices for fold in folds]),
        cases=tuple(case for fold in folds for case in fold.cases or fold.names) if has_cases else (),
    )


def fold_tables(result: CrossValidation) -> list[ScoreTable]:
    """A row for each run, and one for each class; means over the folds with their standard deviation, in percent."""
    means = [result.spread(name) for name in _MEANS]
    of_runs = [
        [run, str(count), *(percent_text(getattr(scores, name)) for name in _MEANS)]
        for run, scores, count in zip(result.runs, result.folds, result.num_images, strict=True)
    ]
    of_runs += [
        ["mean ± sd", "", *(spread.text() for spread in means)],
        ["all together", str(sum(result.num_images)), *(percent_text(spread.together) for spread in means)],
    ]
    of_classes = []
    for k, name in enumerate(result.class_names):
        iou, dice = result.spread("iou", k), result.spread("dice", k)
        of_classes.append([name, iou.text(), percent_text(iou.together), dice.text(), percent_text(dice.together)])
    title = f"{len(result.runs)} folds, {scores_title(result.split, result.tta)}"
    return [
        ScoreTable(title=title, head=["run", "images", *(f"{name}, %" for name in _MEANS)], rows=of_runs),
        ScoreTable(
            title="Classes",
            head=["class", "IoU, %", "IoU together, %", "Dice, %", "Dice together, %"],
            rows=of_classes,
            note="mean ± standard deviation over the folds in whose truth or prediction the class is (their number, "
            "where not all); together: the pixels of all folds as one.",
        ),
    ]


def fold_values(result: CrossValidation) -> dict[str, object]:
    """What JSON can hold of it, in percent."""
    return {
        "split": result.split,
        "tta": result.tta,
        "folds": [
            {"run": run, "images": count, **{name: percent(getattr(scores, name)) for name in _MEANS}}
            for run, scores, count in zip(result.runs, result.folds, result.num_images, strict=True)
        ],
        "images": sum(result.num_images),
        **{name: result.spread(name).values() for name in _MEANS},
        "per_class": [
            {"name": name, "IoU": result.spread("iou", k).values(), "Dice": result.spread("dice", k).values()}
            for k, name in enumerate(result.class_names)
        ],
    }


def cases_file(folder: Path, stem: str) -> Path:
    """Where ``val --metrics medical`` leaves the scores of a run's cases, beside its ``<stem>.json``."""
    return folder / f"{stem}_medical.csv"


def _scores(images: ImageMatrices) -> Scores:
    return scores_from_matrix(images.matrices.sum(axis=0, dtype=np.int64))
