"""The medical cases of a cross-validation's folds, from the files that ``val --metrics medical`` wrote of each."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.case_rows import CaseRows
from segnext_pafpn.evaluation.fields.base import FieldReport
from segnext_pafpn.evaluation.fields.medical import medical_report
from segnext_pafpn.evaluation.folds import cases_file

_SAME = ("card", "root", "layout", "images", "thresholds")  # of an evaluation, by which it is told from another


def cases_of_folds(folders: Sequence[Path], stem: str) -> FieldReport:
    """The cases of all folds, as ``val --metrics medical`` reports those of one; see :func:`read_cases`."""
    return medical_report(*read_cases(folders, stem))


def read_cases(folders: Sequence[Path], stem: str) -> tuple[CaseRows, str, list[str]]:
    """The cases of one run, or of all folds as one, the unit of their distances, and cases that lack slices.

    Args:
        folders: of the runs.
        stem: of their files of scores, such as ``metrics_val``.

    Raises:
        UserError: if a run has not scored its cases, or before its last evaluation, or other structures or again a
            case of another run; or for a file that cannot be read.
    """
    found: dict[Path, CaseRows] = {}  # of the runs that have whole cases
    units, incomplete, owner = set(), [], {}
    for folder in folders:
        path = cases_file(folder, stem)
        again = f"Write it with: segnext-pafpn val --checkpoint {folder} --metrics medical, and the options of before."
        if not path.is_file():
            raise UserError(f"{path}: no such file, expected the cases of all folds, or of none. {again}")
        summary, scores = read_scores(path.with_suffix(".json")), read_scores(folder / f"{stem}.json")
        if not is_same_evaluation(summary, scores):
            raise UserError(f"{path}: is of another evaluation than {stem}.json beside it. {again}")
        incomplete += summary.get("incomplete_cases") or []
        scored = CaseRows.read(path)
        if not scored.rows:
            continue
        first = next(iter(found), folder)
        structures = found.get(first, scored).structures
        if scored.structures != structures:
            raise UserError(
                f"{path}: has the structures {', '.join(scored.structures)}; {first} {', '.join(structures)}, expected "
                f"the same. Score both by one card."
            )
        cases = {case for case, _, _ in scored.rows}
        if twice := sorted(cases & owner.keys()):
            raise UserError(f"{folder}: was scored on case {twice[0]}, as {owner[twice[0]]} was. Give each fold once.")
        owner |= dict.fromkeys(cases, folder)
        units.add(str(summary.get("distance_unit")))
        found[folder] = scored
    together = CaseRows.joined(list(found.values()))
    return together, units.pop() if len(units) == 1 else "mixed", sorted(incomplete)


def is_same_evaluation(first: Mapping[str, object], second: Mapping[str, object]) -> bool:
    """Whether two files of scores are of the same data, seen in the same way."""
    return all(first.get(key) == second.get(key) for key in _SAME)


def read_scores(path: Path) -> Mapping[str, object]:
    """A file of scores.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}). Run segnext-pafpn val again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping of scores. Delete it and run segnext-pafpn val again.")
    return content
