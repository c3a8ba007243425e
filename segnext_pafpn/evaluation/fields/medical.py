"""Medical cases: slices are put together into volumes and scored, and the cases summed up."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.case_rows import CaseRows, Summary
from segnext_pafpn.evaluation.cases import CaseTable, stack_slices
from segnext_pafpn.evaluation.fields.base import FieldMetric, FieldReport, Picture
from segnext_pafpn.evaluation.score_table import ABSENT, ScoreTable, rounded

DISTANCES = ("hd", "hd95", "asd")
_SHOWN = {  # so many scores stand beside each other in 80 columns
    "Cases": ("dice", "iou", "hd95", "asd"),
    "Cases, errors of each kind": ("sensitivity", "specificity", "precision"),
    "Cases, volumes and probabilities": ("volume_similarity", "auc"),
}


class MedicalCases(FieldMetric):
    """Scores of each structure in each case, and mean, spread and bootstrap interval over the cases.

    A case's slices may come in any order and between those of others; it is scored, and its pixels let go, with its
    last one. A case of one slice is scored as a picture.

    Args:
        structures: class id and name of what to score.
        sizes: number of slices of each case that has any.
        multi_label: predictions and truths are (K, H, W).
        regions: class ids of each region by its name; see :class:`~segnext_pafpn.evaluation.cases.CaseTable`.
    """

    name = "medical"
    wants_probabilities = True

    def __init__(
        self,
        structures: Mapping[int, str],
        sizes: Mapping[str, int] | None = None,
        multi_label: bool = False,
        ignore_index: int = 255,
        regions: Mapping[str, Sequence[int]] | None = None,
    ):
        self.sizes = dict(sizes or {})
        self.multi_label = multi_label
        self.table = CaseTable(structures, ignore_index, regions)
        self._classes = sorted({label for labels in self.table.members.values() for label in labels})
        self.incomplete: dict[str, list[Picture]] = {}
        self._spacings: set[bool] = set()

    def add(self, picture: Picture) -> None:
        if picture.probabilities is not None:  # the background's would wait with the others, and are not asked for
            picture = replace(picture, probabilities=picture.probabilities[self._classes])
        if picture.case is None:
            self._score(picture.name, [picture])
            return
        slices = self.incomplete.setdefault(picture.case, [])
        slices.append(picture)
        if len(slices) == self.sizes[picture.case]:
            self._score(picture.case, self.incomplete.pop(picture.case))

    def _score(self, case: str, pictures: list[Picture]) -> None:
        spacing = _one_spacing(case, pictures)
        self._spacings.add(spacing is not None)
        pictures.sort(key=lambda picture: picture.slice or 0)
        prediction = _volume(case, pictures, "prediction")
        truth = _volume(case, pictures, "truth")
        probabilities = self._probabilities(pictures)
        pictures.clear()  # so that each slice is held once
        axes = truth.ndim - self.multi_label
        spacing = _fitting(case, spacing, axes)
        score = self.table.add_layers if self.multi_label else self.table.add
        score(case, prediction, truth, spacing, probabilities)

    def _probabilities(self, pictures: list[Picture]) -> dict[int, np.ndarray] | None:
        """By class, (D, H, W) or (H, W)."""
        maps = [picture.probabilities for picture in pictures]
        if maps[0] is None:
            return None
        stacked = maps[0] if len(maps) == 1 else np.stack(maps, axis=1)
        return dict(zip(self._classes, stacked, strict=True))

    def report(self) -> FieldReport:
        unit = {frozenset({True}): "mm", frozenset({False}): "pixels"}.get(frozenset(self._spacings), "mixed")
        return medical_report(self.table.scored, unit, sorted(self.incomplete))

    def write_files(self, directory: Path, stem: str) -> list[Path]:
        """``<stem>.csv``: a row for each case and structure."""
        self.table.scored.write(directory, stem)
        return [directory / f"{stem}.csv"]


def medical_report(scored: CaseRows, unit: str, incomplete: Sequence[str]) -> FieldReport:
    """What scored cases come to.

    Args:
        unit: of distances: mm, pixels or mixed.
        incomplete: cases that lack slices, and are not scored.
    """
    summaries = {name: scored.summary(name) for name in scored.structures}
    empty = {name: scored.empty_counts(name) for name in scored.structures}
    cases = len({case for case, _, _ in scored.rows})
    values = {
        "cases": cases,
        "incomplete_cases": list(incomplete),
        "distance_unit": unit,
        "structures": {
            name: {score: _values(score, summary) for score, summary in by_score.items()}
            for name, by_score in summaries.items()
        },
        "empty": {name: asdict(counts) for name, counts in empty.items()},
    }
    note = f"{cases} cases: mean ± standard deviation, [95 % bootstrap interval of the mean]; distances in {unit}."
    shown = [by_score[score] for by_score in summaries.values() for scores in _SHOWN.values() for score in scores]
    if any(0 < summary.num_cases < cases for summary in shown):
        note += " A number in brackets: of so many cases alone."
    note += "".join(f" {name}: {counts.text()}." for name, counts in empty.items() if counts.text())
    if incomplete:
        note += f" {len(incomplete)} cases lack slices and are not scored."
    tables = [
        ScoreTable(
            title=title,
            head=["structure", *(_heading(score, unit) for score in scores)],
            rows=[
                [name, *(_cell(score, by_score[score], cases) for score in scores)]
                for name, by_score in summaries.items()
            ],
            note=note if title == "Cases" else "",
        )
        for title, scores in _SHOWN.items()
    ]
    return FieldReport(values=values, tables=[*tables, _case_by_case(scored, unit)])


def _case_by_case(scored: CaseRows, unit: str) -> ScoreTable:
    """The lowest Dice first."""
    shown = _SHOWN["Cases"]
    rows = sorted(scored.rows, key=lambda row: row[2].dice)
    return ScoreTable(
        title="Case by case",
        head=["case", "structure", *(_heading(score, unit) for score in shown)],
        rows=[
            [case, name, *(_number(score, getattr(scores, score)) for score in shown)] for case, name, scores in rows
        ],
        is_long=True,
    )


def _number(score: str, value: float) -> str:
    return ABSENT if math.isnan(value) else f"{value if score in DISTANCES else 100 * value:.2f}"


def _volume(case: str, pictures: list[Picture], what: str) -> np.ndarray:
    """(D, H, W), or (K, D, H, W) from layers; the picture itself where there is one alone."""
    maps = [getattr(picture, what) for picture in pictures]
    if len(maps) == 1:
        return maps[0]
    numbers = [i if picture.slice is None else picture.slice for i, picture in enumerate(pictures)]
    try:
        volume = stack_slices(case, zip(numbers, maps, strict=True))
    except ValueError as error:
        raise UserError(f"case {error} Correct the names or the files of its slices.") from error
    return np.moveaxis(volume, 0, -3)


def _one_spacing(case: str, pictures: list[Picture]) -> tuple[float, ...] | None:
    spacings = {picture.spacing for picture in pictures}
    if len(spacings) > 1:
        found = " and ".join(map(str, sorted(spacings, key=str)[:2]))
        raise UserError(f"case {case}: its slices have the spacings {found}, expected one. Correct the data.")
    return spacings.pop()


def _fitting(case: str, spacing: tuple[float, ...] | None, axes: int) -> tuple[float, ...] | None:
    if spacing is None or len(spacing) == axes:
        return spacing
    if len(spacing) > axes:
        return spacing[-axes:]
    raise UserError(
        f"case {case}: the spacing {spacing} has {len(spacing)} numbers, expected {axes}: between slices, rows and "
        f"columns. Give the distance between slices too."
    )


def _heading(score: str, unit: str) -> str:
    return f"{score.replace('_', ' ')}, {unit if score in DISTANCES else '%'}"


def _values(score: str, summary: Summary) -> dict[str, float | int | None]:
    scale = 1 if score in DISTANCES else 100
    values = {key: rounded(scale * value) for key, value in asdict(summary).items() if not key.startswith("num_")}
    return {**values, "num_cases": summary.num_cases, "num_infinite": summary.num_infinite}


def _cell(score: str, summary: Summary, cases: int) -> str:
    if not summary.num_cases:
        return ABSENT
    scale = 1 if score in DISTANCES else 100
    mean, sd, median, low, high = (
        scale * v for v in (summary.mean, summary.sd, summary.median, summary.low, summary.high)
    )
    number = f" ({summary.num_cases})" if summary.num_cases < cases else ""
    if summary.num_infinite:
        middle = "" if math.isinf(median) else f"median {median:.2f}, "
        return f"{middle}{summary.num_infinite} infinite{number}"
    if math.isnan(sd):
        return f"{mean:.2f}{number}"
    return f"{mean:.2f} ± {sd:.2f}{number}\n[{low:.2f}, {high:.2f}]"
