"""The runs of a cross-validation, each scored on its own fold, as one result.

K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import ImageMatrices
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
    of_runs = [
        [run, str(count), *(percent_text(getattr(scores, name)) for name in _MEANS)]
        for run, scores, count in zip(result.runs, result.folds, result.num_images, strict=True)
    ]
    of_runs += [
        ["mean ± sd", "", *(_spread_text([getattr(fold, name) for fold in result.folds]) for name in _MEANS)],
        ["all together", str(sum(result.num_images)), *(percent_text(getattr(result.together, n)) for n in _MEANS)],
    ]
    of_classes = [
        [
            name,
            _spread_text([fold.iou[k] for fold in result.folds]),
            percent_text(result.together.iou[k]),
            _spread_text([fold.dice[k] for fold in result.folds]),
            percent_text(result.together.dice[k]),
        ]
        for k, name in enumerate(result.class_names)
    ]
    title = f"{len(result.runs)} folds, split '{result.split}'"
    title += "" if result.tta == "none" else f", test-time augmentation {result.tta}"
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
        **{
            name: _values([getattr(fold, name) for fold in result.folds], getattr(result.together, name))
            for name in _MEANS
        },
        "per_class": [
            {
                "name": name,
                "IoU": _values([fold.iou[k] for fold in result.folds], result.together.iou[k]),
                "Dice": _values([fold.dice[k] for fold in result.folds], result.together.dice[k]),
            }
            for k, name in enumerate(result.class_names)
        ],
    }


def _scores(images: ImageMatrices) -> Scores:
    return scores_from_matrix(images.matrices.sum(axis=0, dtype=np.int64))


def _spread(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean, standard deviation (divided by n - 1) and number of those that could be measured; NaN for too few."""
    measured = [value for value in values if not math.isnan(value)]
    return mean_of_measured(values), float(np.std(measured, ddof=1)) if len(measured) > 1 else math.nan, len(measured)


def _spread_text(values: Sequence[float]) -> str:
    mean, sd, count = _spread(values)
    text = percent_text(mean) if math.isnan(sd) else f"{percent_text(mean)} ± {percent_text(sd)}"
    return text if count in (0, len(values)) else f"{text} ({count})"


def _values(values: Sequence[float], together: float) -> dict[str, float | int | None]:
    mean, sd, count = _spread(values)
    return {"mean": percent(mean), "sd": percent(sd), "folds": count, "together": percent(together)}
