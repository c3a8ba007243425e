"""What the scores of many medical cases come to, with how certain that is; and their file, a row for each."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
from scipy import stats

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.medical import CaseScores
from segnext_pafpn.files import write_csv

SCORE_NAMES = tuple(score.name for score in fields(CaseScores))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A score over the cases in which it could be measured.

    A missed structure, and one found where there is none, has infinite distances. They are not left out: the mean is
    then infinite too, the median stays of use, and ``num_infinite`` says how many there are.

    Attributes:
        mean: NaN without a measured case.
        sd: standard deviation between cases (divided by n - 1); NaN with fewer than two cases or infinite ones.
        median: of the cases.
        low, high: 95 % bootstrap interval of the mean (percentiles); NaN where ``sd`` is.
        num_cases: cases that were measured (not NaN).
        num_infinite: of these, how many are infinite.
    """

    mean: float
    sd: float
    median: float
    low: float
    high: float
    num_cases: int
    num_infinite: int


@dataclass(frozen=True, kw_only=True)
class EmptyCounts:
    """Cases without a structure, which Dice counts as 0 or 1 and whose distances are infinite or not measured.

    Attributes:
        missed: it is there, and not predicted: Dice 0.
        found_in_none: it is predicted, and not there: Dice 0.
        absent: neither: Dice 1.
        unlabelled: no pixel counts: nothing is measured.
    """

    missed: int
    found_in_none: int
    absent: int
    unlabelled: int

    def text(self) -> str:
        """In words; empty where there is none."""
        words = [
            f"missed in {self.missed}" if self.missed else "",
            f"found in {self.found_in_none} without it" if self.found_in_none else "",
            f"rightly absent in {self.absent} (Dice 100)" if self.absent else "",
            f"not labelled in {self.unlabelled} (left out)" if self.unlabelled else "",
        ]
        return ", ".join(filter(None, words))


def summarize(values: Sequence[float], resamples: int = 9999, seed: int = 0) -> Summary:
    """Mean, spread and bootstrap interval of a score's values, one per case; NaN values are left out.

    Args:
        values: any order; the interval depends on it only through the seed.
        resamples: how many data sets to draw from the cases.
        seed: of the drawing.
    """
    measured = np.asarray([value for value in values if not math.isnan(value)], dtype=np.float64)
    infinite = int(np.isinf(measured).sum())
    sd = low = high = math.nan
    if len(measured) >= 2 and not infinite:
        sd = float(measured.std(ddof=1))
        # percentiles, not BCa: defined also where all cases are alike
        interval = stats.bootstrap(
            (measured,),
            np.mean,
            n_resamples=resamples,
            method="percentile",
            batch=max(1, 1_000_000 // len(measured)),
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Summary(
        mean=float(measured.mean()) if len(measured) else math.nan,
        sd=sd,
        median=float(np.median(measured)) if len(measured) else math.nan,
        low=low,
        high=high,
        num_cases=len(measured),
        num_infinite=infinite,
    )


@dataclass(frozen=True, eq=False)
class CaseRows:
    """Scores of cases, structure by structure.

    Args:
        structures: names of what was scored, in the order in which to report it.
        rows: a case, a structure of it, and its scores; in the order of scoring.
    """

    structures: tuple[str, ...]
    rows: list[tuple[str, str, CaseScores]] = field(default_factory=list)

    def summary(self, structure: str) -> dict[str, Summary]:
        """Of each score of one structure, by the score's name."""
        rows = [asdict(scores) for _, name, scores in self.rows if name == structure]
        return {score: summarize([row[score] for row in rows]) for score in SCORE_NAMES}

    def empty_counts(self, structure: str) -> EmptyCounts:
        """In how many cases the structure is not predicted, or not there."""
        rows = [scores for _, name, scores in self.rows if name == structure]
        labelled = [row for row in rows if not math.isnan(row.dice)]
        kinds = Counter((math.isnan(row.sensitivity), math.isnan(row.precision)) for row in labelled)
        return EmptyCounts(
            missed=kinds[False, True],
            found_in_none=kinds[True, False],
            absent=kinds[True, True],
            unlabelled=len(rows) - len(labelled),
        )

    def write(self, directory: Path, stem: str) -> None:
        """Write ``<stem>.csv``: a row per case and structure; fractions, distances, and nothing for NaN."""
        rows = [
            (case, structure, *("" if math.isnan(value) else f"{value:.6g}" for value in asdict(scores).values()))
            for case, structure, scores in self.rows
        ]
        write_csv(Path(directory) / f"{stem}.csv", ("case", "structure", *SCORE_NAMES), rows)

    @classmethod
    def joined(cls, parts: Sequence["CaseRows"]) -> "CaseRows":
        """The cases of several, one after the other; usually of the same structures."""
        structures = dict.fromkeys(name for part in parts for name in part.structures)
        return cls(tuple(structures), [row for part in parts for row in part.rows])

    @classmethod
    def read(cls, path: Path) -> "CaseRows":
        """What :meth:`write` wrote; the structures are those that have a row.

        Raises:
            UserError: naming a file that is no such file.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, strict=True)
                lines = list(reader)
            if missing := {"case", "structure", *SCORE_NAMES} - set(reader.fieldnames or ()):
                raise ValueError(f"no column {min(missing)}")
            if any(None in line or None in line.values() for line in lines):
                raise ValueError("a row has not as many cells as the head")
            rows = [
                (line["case"], line["structure"], CaseScores(**{n: float(line[n] or "nan") for n in SCORE_NAMES}))
                for line in lines
            ]
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(
                f"{path}: not a readable file of the scores of cases ({' '.join(str(error).split())[:120]}). Delete it "
                f"and run segnext-pafpn val --metrics medical again."
            ) from error
        return cls(tuple(dict.fromkeys(structure for _, structure, _ in rows)), rows)
