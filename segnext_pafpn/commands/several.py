"""compare and folds: what is to be said of several runs."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from jsonargparse import Namespace

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, console, say
from segnext_pafpn.commands.run_options import config_of_kind
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import ImageMatrices, load_images_of_run, scores_stem
from segnext_pafpn.files import refuse_no_file, write_json
from segnext_pafpn.training.config import check_seed


def compare(argv: list[str]) -> int:
    """say how far apart two runs are, and whether by chance"""
    parser = build_parser(
        "compare", "Compare two runs on one split, class by class, with an interval of the difference."
    )
    parser.add_argument(
        "runs",
        type=str,
        nargs="+",
        help='folders of two runs that val has scored on the split, or of two cross-validations: "[RUN, RUN, ...]".',
    )
    parser.add_argument("--split", type=str, default="val", help="split to compare on.")
    parser.add_argument("--tta", type=str, default="none", help="compare what val --tta has scored.")
    parser.add_argument("--resamples", type=int, default=2000, help="of the cases, for the interval.")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling.")
    parser.add_argument("--json", type=str | None, help="also write the comparison to this file.")
    arguments = parse(parser, argv)
    if len(arguments.runs) != 2:
        raise UserError(
            f"compare: expected the folders of two runs, found {len(arguments.runs)}: {' '.join(arguments.runs)}. "
            f"Write segnext-pafpn compare runs/FIRST runs/SECOND."
        )
    if arguments.resamples < 100:
        raise UserError(f"--resamples: must be at least 100, found {arguments.resamples}.")
    check_seed(arguments.seed)
    if arguments.json:
        refuse_no_file(Path(arguments.json))

    from segnext_pafpn.evaluation.compare import compare_images, comparison_table, comparison_values, verdict
    from segnext_pafpn.evaluation.folds import pool_folds

    sides = [_runs_of(text) for text in arguments.runs]
    first, second = (pool_folds(_load("compare", runs, arguments.split, arguments.tta), runs) for runs in sides)
    if sides[0] == sides[1]:
        raise UserError(f"compare: {arguments.runs[0]} is given twice, expected two runs.")
    comparison = compare_images(first, second, arguments.resamples, arguments.seed)
    console.print(comparison_table(comparison, (_title(sides[0]), _title(sides[1]))))
    say(verdict(comparison))
    values = comparison_values(comparison) | _compared_cases(sides, arguments)
    if arguments.json:
        runs = [side if len(side) > 1 else side[0] for side in sides]
        write_json({"runs": runs, **values}, Path(arguments.json))
    return 0


def _compared_cases(sides: Sequence[list[str]], arguments: Namespace) -> dict[str, object]:
    """Print how far apart the medical cases are, where all runs have scored them; what JSON has of it."""
    from segnext_pafpn.evaluation.folds import cases_file

    stem = scores_stem(arguments.split, arguments.tta)
    folders = [[Path(run) for run in runs] for runs in sides]
    if not all(cases_file(folder, stem).is_file() for runs in folders for folder in runs):
        return {}

    from segnext_pafpn.evaluation.compare_cases import cases_table, cases_values, compare_cases
    from segnext_pafpn.evaluation.fold_cases import read_cases  # takes torch

    try:
        (first, unit, _), (second, other, _) = (read_cases(runs, stem) for runs in folders)
    except UserError as error:
        say(f"warning: the medical cases are not compared. {error}")
        return {}
    if unit != other:
        say(f"warning: the medical cases are not compared: distances are in {unit} here, in {other} there.")
        return {}
    differences = compare_cases(first, second, arguments.resamples, arguments.seed)
    console.print(cases_table(differences, (_title(sides[0]), _title(sides[1])), unit).for_terminal())
    return {"medical": cases_values(differences)}


def folds(argv: list[str]) -> int:
    """sum up the runs of a cross-validation"""
    parser = build_parser(
        "folds", "Sum up the runs of a cross-validation: mean and deviation over the folds, and all images together."
    )
    parser.add_argument("runs", type=str, nargs="+", help="folders of the runs, each scored on its own fold.")
    parser.add_argument("--split", type=str, default="val", help="split that was scored.")
    parser.add_argument("--tta", type=str, default="none", help="sum up what val --tta has scored.")
    parser.add_argument("--json", type=str | None, help="also write the scores to this file.")
    arguments = parse(parser, argv)
    runs = [run for text in arguments.runs for run in _runs_of(text)]
    if len(runs) < 2:
        raise UserError(f"folds: expected the folders of two runs or more, found {' '.join(runs)}.")
    if arguments.json:
        refuse_no_file(Path(arguments.json))

    from segnext_pafpn.evaluation.folds import cases_file, cross_validate, fold_tables, fold_values

    result = cross_validate(_load("folds", runs, arguments.split, arguments.tta), runs, arguments.tta)
    tables, values = fold_tables(result), fold_values(result)
    stem = scores_stem(arguments.split, arguments.tta)
    folders = [Path(run) for run in runs]
    if any(cases_file(folder, stem).is_file() for folder in folders):
        from segnext_pafpn.evaluation.fold_cases import cases_of_folds  # takes torch

        cases = cases_of_folds(folders, stem)
        tables, values = [*tables, *cases.tables], {**values, "medical": cases.values}
    for table in tables:
        if not table.is_long:
            console.print(table.for_terminal())
    if arguments.json:
        write_json(values, Path(arguments.json))
    return 0


def _runs_of(text: str) -> list[str]:
    """One folder, or those of ``[RUN, RUN]``."""
    if not text.startswith("["):
        return [text]
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(run, str) for run in found):
        raise UserError(f"{text}: expected folders of runs in brackets, such as [runs/a-0, runs/a-1].")
    return found


def _title(runs: Sequence[str]) -> str:
    return runs[0] if len(runs) == 1 else f"{runs[0]} and {len(runs) - 1} more"


def _load(command: str, runs: Sequence[str], split: str, tta: str) -> list[ImageMatrices]:
    for run in runs:
        if (Path(run) / "config.yaml").is_file():
            config_of_kind(Path(run), "train", command)
    return [load_images_of_run(Path(run), split, tta) for run in runs]
