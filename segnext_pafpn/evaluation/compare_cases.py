"""Two evaluations of the same medical cases: how far apart, structure by structure, and whether by chance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.case_rows import CaseRows, Summary, summarize
from segnext_pafpn.evaluation.score_table import ABSENT, ScoreTable, rounded
from segnext_pafpn.evaluation.scores import mean_of_measured

SCORES = {"dice": ("Dice, %", 100), "hd95": ("hd95", 1)}  # how it is called, and its scale


@dataclass(frozen=True, kw_only=True)
class CaseDifference:
    """A score of a structure in the cases where both evaluations could measure it, and it is finite.

    Args:
        structure: its name.
        score: of :data:`SCORES`.
        first, second: means over these cases.
        difference: of the second less the first, case by case; NaN without such a case.
    """

    structure: str
    score: str
    first: float
    second: float
    difference: Summary


def compare_cases(first: CaseRows, second: CaseRows, num_resamples: int = 2000, seed: int = 0) -> list[CaseDifference]:
    """Means of both, and those of the paired differences with a bootstrap interval over the cases.

    Raises:
        UserError: if the two are of other cases or structures.
    """
    ours, theirs = ({(case, name): scores for case, name, scores in side.rows} for side in (first, second))
    if other := sorted(ours.keys() ^ theirs.keys()):
        case, name = other[0]
        raise UserError(
            f"case {case}, {name}: was scored in one of the runs alone, expected the same cases and structures. Score "
            f"both with segnext-pafpn val --metrics medical on one split."
        )
    found = []
    for structure in first.structures:
        keys = [key for key in ours if key[1] == structure]
        for score in SCORES:
            pairs = [(getattr(ours[key], score), getattr(theirs[key], score)) for key in keys]
            finite = [pair for pair in pairs if all(map(math.isfinite, pair))]
            found.append(
                CaseDifference(
                    structure=structure,
                    score=score,
                    first=mean_of_measured([a for a, _ in finite]),
                    second=mean_of_measured([b for _, b in finite]),
                    difference=summarize([b - a for a, b in finite], num_resamples, seed),
                )
            )
    return found


def cases_table(differences: list[CaseDifference], names: tuple[str, str], unit: str) -> ScoreTable:
    """A row for each structure and score.

    Args:
        names: of the two sides.
        unit: of distances.
    """
    rows = []
    for d in differences:
        heading, scale = SCORES[d.score]
        heading = heading if scale == 100 else f"{heading}, {unit}"
        cells = [ABSENT] * 3
        if d.difference.num_cases:
            cells = [f"{scale * d.first:.2f}", f"{scale * d.second:.2f}", _with_interval(d.difference, scale)]
        rows.append([d.structure, heading, *cells, str(d.difference.num_cases)])
    return ScoreTable(
        title="Cases",
        head=["structure", "score", *names, "difference", "cases"],
        rows=rows,
        note="Means over the cases in which both have a finite score; the difference with its 95 % bootstrap interval.",
    )


def cases_values(differences: list[CaseDifference]) -> list[Mapping[str, object]]:
    """What JSON can hold of it: Dice in percent, distances in their unit."""
    return [
        {
            "structure": d.structure,
            "score": d.score,
            "means": [rounded(SCORES[d.score][1] * mean) for mean in (d.first, d.second)],
            "difference": rounded(SCORES[d.score][1] * d.difference.mean),
            "interval_95": [rounded(SCORES[d.score][1] * end) for end in (d.difference.low, d.difference.high)],
            "cases": d.difference.num_cases,
        }
        for d in differences
    ]


def _with_interval(difference: Summary, scale: float) -> str:
    text = f"{scale * difference.mean:+.2f}"
    if math.isnan(difference.low):
        return text
    return f"{text} [{scale * difference.low:+.2f}, {scale * difference.high:+.2f}]"
