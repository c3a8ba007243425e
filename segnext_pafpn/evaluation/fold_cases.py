"""The medical cases of a cross-validation's folds, from the files that ``val --metrics medical`` wrote of each."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.cases import SCORE_NAMES, CaseTable
from segnext_pafpn.evaluation.fields.base import FieldReport
from segnext_pafpn.evaluation.fields.medical import medical_report
from segnext_pafpn.evaluation.medical import CaseScores


def cases_of_folds(folders: Sequence[Path], stem: str) -> FieldReport:
    """The cases of all folds, as ``val --metrics medical`` reports those of one.

    Args:
        folders: of the runs.
        stem: of their files of scores, such as ``metrics_val``.

    Raises:
        UserError: if a run has not scored its cases, or for a file that cannot be read.
    """
    paths = [folder / f"{stem}_medical.csv" for folder in folders]
    there = [path.is_file() for path in paths]
    if not all(there):
        raise UserError(
            f"{paths[there.index(False)]}: no such file, and {paths[there.index(True)]} is there; expected the cases "
            f"of all folds, or of none. Write it with segnext-pafpn val --metrics medical."
        )
    rows = [row for path in paths for row in _read_cases(path)]
    table = CaseTable(dict(enumerate(dict.fromkeys(structure for _, structure, _ in rows))))
    table.rows = rows
    summaries = [_read_summary(path.with_suffix(".json")) for path in paths]
    units = {str(summary["distance_unit"]) for summary in summaries}
    incomplete = sorted(case for summary in summaries for case in summary["incomplete_cases"])
    return medical_report(table, units.pop() if len(units) == 1 else "mixed", incomplete)


def _read_cases(path: Path) -> list[tuple[str, str, CaseScores]]:
    """What :meth:`CaseTable.write` wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                (
                    row["case"],
                    row["structure"],
                    CaseScores(**{name: float(row[name] or "nan") for name in SCORE_NAMES}),
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _read_summary(path: Path) -> Mapping[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: content[key] for key in ("distance_unit", "incomplete_cases")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: not a readable file of the scores of cases ({' '.join(str(error).split())[:120]}). Write it with "
        f"segnext-pafpn val --metrics medical."
    )
