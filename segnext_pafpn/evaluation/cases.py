"""Scores of many medical cases: one row per case and structure, and what they come to with how certain that is."""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from scipy import stats

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.medical import Array, CaseScores, case_scores
from segnext_pafpn.files import write_csv

SCORE_NAMES = tuple(field.name for field in fields(CaseScores))


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
    """

    missed: int
    found_in_none: int
    absent: int

    def text(self) -> str:
        """In words; empty where there is none."""
        words = [
            f"missed in {self.missed}" if self.missed else "",
            f"found in {self.found_in_none} without it" if self.found_in_none else "",
            f"rightly absent in {self.absent} (Dice 100)" if self.absent else "",
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


class CaseTable:
    """Collects the scores of cases, structure by structure.

    Args:
        structures: class id and name of what to score, in the order of the rows; usually without the background.
        ignore_index: label in the truth of pixels that are not counted.
        regions: class ids by the name of a region, which is scored as the union of these classes; rows before those
            of the structures.
    """

    def __init__(
        self,
        structures: Mapping[int, str],
        ignore_index: int = 255,
        regions: Mapping[str, Sequence[int]] | None = None,
    ):
        self.members: dict[str, tuple[int, ...]] = {name: tuple(labels) for name, labels in (regions or {}).items()}
        self.members |= {name: (label,) for label, name in structures.items()}
        self.ignore_index = ignore_index
        self.rows: list[tuple[str, str, CaseScores]] = []  # case, structure, scores

    def add(
        self,
        case: str,
        prediction: Array,
        truth: Array,
        spacing: Sequence[float] | None = None,
        probabilities: Array | Mapping[int, Array] | None = None,
    ) -> None:
        """Score one case.

        Args:
            case: its name.
            prediction: class of each pixel, (H, W) or (D, H, W), any integer type.
            truth: true class of each pixel or ``ignore_index``, of the same shape.
            spacing: of each axis, in the order of the axes; default 1.
            probabilities: of all classes, (K, H, W) or (K, D, H, W), for the area under the ROC curve; or those of
                the structures, and of the classes of regions, by class id. A region's is the sum of its classes'.
        """
        prediction, truth = np.asarray(prediction), np.asarray(truth)
        valid = truth != self.ignore_index
        for name, labels in self.members.items():
            predicted, true = _any_of(prediction, labels), _any_of(truth, labels)
            self._add_structure(case, name, predicted, true, valid, spacing, probabilities)

    def add_layers(
        self,
        case: str,
        prediction: Array,
        truth: Array,
        spacing: Sequence[float] | None = None,
        probabilities: Array | Mapping[int, Array] | None = None,
    ) -> None:
        """Score one case in which a pixel may be of several classes: as :meth:`add`, of 0 and 1 (K, ...) each."""
        for name, (label,) in self.members.items():
            true = np.asarray(truth[label])
            valid = true != self.ignore_index
            self._add_structure(case, name, prediction[label], true == 1, valid, spacing, probabilities)

    def _add_structure(
        self,
        case: str,
        name: str,
        prediction: Array,
        truth: Array,
        valid: Array,
        spacing: Sequence[float] | None,
        probabilities: Array | Mapping[int, Array] | None,
    ) -> None:
        """Score one structure, given where it is predicted, where it is in truth, and which pixels count."""
        probability = None if probabilities is None else sum(probabilities[label] for label in self.members[name])
        scores = case_scores(prediction, truth, spacing, probability, valid)
        self.rows.append((case, name, scores))

    def summary(self, structure: str) -> dict[str, Summary]:
        """Of each score of one structure, by the score's name."""
        rows = [asdict(scores) for _, name, scores in self.rows if name == structure]
        return {score: summarize([row[score] for row in rows]) for score in SCORE_NAMES}

    def empty_counts(self, structure: str) -> "EmptyCounts":
        """In how many cases the structure is not predicted, or not there."""
        rows = [scores for _, name, scores in self.rows if name == structure]
        kinds = Counter((math.isnan(row.sensitivity), math.isnan(row.precision)) for row in rows)
        return EmptyCounts(missed=kinds[False, True], found_in_none=kinds[True, False], absent=kinds[True, True])

    def write(self, directory: Path, stem: str) -> None:
        """Write ``<stem>.csv``: a row per case and structure; fractions, distances, and nothing for NaN."""
        rows = [
            (case, structure, *("" if math.isnan(value) else f"{value:.6g}" for value in asdict(scores).values()))
            for case, structure, scores in self.rows
        ]
        write_csv(Path(directory) / f"{stem}.csv", ("case", "structure", *SCORE_NAMES), rows)

    @classmethod
    def joined(cls, tables: Iterable["CaseTable"]) -> "CaseTable":
        """The cases of tables of the same structures, one after the other."""
        joined = cls({})
        for table in tables:
            joined.members |= table.members
            joined.rows += table.rows
        return joined

    @classmethod
    def read(cls, path: Path) -> "CaseTable":
        """What :meth:`write` wrote; class ids, which are not in the file, are counted from 0.

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
        table = cls(dict(enumerate(dict.fromkeys(structure for _, structure, _ in rows))))
        table.rows = rows
        return table


def stack_slices(slices: Iterable[tuple[str, int, Array]]) -> dict[str, np.ndarray]:
    """Put volumes (D, H, W) together from their slices (H, W), which may come in any order.

    Args:
        slices: name of the volume, number of the slice (from any number, without gaps), the slice.

    Raises:
        ValueError: naming the volume with a slice that is missing, twice there, or of another size.
    """
    by_case: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for case, number, picture in slices:
        if number in by_case[case]:
            raise ValueError(f"{case}: slice {number} is there twice.")
        by_case[case][number] = np.asarray(picture)
    volumes = {}
    for case, pictures in by_case.items():
        numbers = range(min(pictures), max(pictures) + 1)
        if missing := [number for number in numbers if number not in pictures]:
            raise ValueError(f"{case}: slices {missing} are missing between {numbers[0]} and {numbers[-1]}.")
        sizes = sorted({picture.shape for picture in pictures.values()})
        if len(sizes) > 1:
            raise ValueError(f"{case}: slices of the sizes {sizes}, expected one size.")
        volumes[case] = np.stack([pictures[number] for number in numbers])
    return volumes


def _any_of(classes: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Where a pixel is of one of these classes, bool."""
    return classes == labels[0] if len(labels) == 1 else np.isin(classes, labels)
