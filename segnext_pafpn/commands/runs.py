"""train, pretrain and val: what fills the folder of a run.

What needs torch is imported behind the parsing, so that a mistyped option is told at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import (
    build_parser,
    console,
    few_of_each_kind,
    refuse_several,
    say,
    say_cause,
    track,
    value_of,
)
from segnext_pafpn.commands.run_options import config_of_kind, parse_run, said_how_to_go_on
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.errors import UserError
from segnext_pafpn.track import untracked
from segnext_pafpn.training.config import TrainConfig, TrainerConfig, check_trainer

if TYPE_CHECKING:
    from segnext_pafpn.data.check import SplitReport
    from segnext_pafpn.training.evaluate import Result

_MAX_WARNINGS = 5  # that train prints
_MAX_ALIKE = 3  # of a kind


def train(argv: list[str]) -> int:
    """train a network and fill runs/NAME"""
    text = "Train a network, evaluate it, and fill runs/NAME with all there is to know about it."
    config, resume = parse_run("train", text, TrainConfig, argv)

    from segnext_pafpn.data.check import check_split
    from segnext_pafpn.data.source import DataSource
    from segnext_pafpn.models.factory import check_model
    from segnext_pafpn.training.engine import is_first_process
    from segnext_pafpn.training.folder import refuse_taken
    from segnext_pafpn.training.optim import refuse_unfit
    from segnext_pafpn.training.resume import find_resume_point
    from segnext_pafpn.training.run import fit

    start = find_resume_point(config) if resume else None  # refuses what cannot go on, before the data are read
    if is_first_process():
        refuse_taken(config, resume)
    check_model(config.model)
    refuse_unfit(config.optim)
    data = config.data
    train_report = None
    if data.check and is_first_process():
        source = DataSource(data)
        splits = dict.fromkeys([data.train_split, data.val_split])
        reports = [check_split(source.card, source.reader, split, track) for split in splits]
        _refuse_problems(reports)
        _say_warnings(reports)
        train_report = reports[0]
    with said_how_to_go_on("train", config.run_dir):
        shown = track if is_first_process() else untracked
        result = fit(config, start, train_report=train_report, track=shown)
    if is_first_process():
        _show(result)
        say(
            f"Weights, logs and pictures are in {config.run_dir}: see metrics_{result.split}.html, "
            f"predictions.png, curves.png and metrics_{result.split}.json.\n"
            f"Predict with: segnext-pafpn predict --checkpoint {config.run_dir} -i IMAGES -o MASKS"
        )
    return 0


def pretrain(argv: list[str]) -> int:
    """train an encoder to classify pictures, for train --weights to start from"""
    from segnext_pafpn.models.classifier import encoder_name
    from segnext_pafpn.training.engine import is_first_process
    from segnext_pafpn.training.pretrain.config import PretrainConfig
    from segnext_pafpn.training.pretrain.run import pretrain as pretrain_encoder
    from segnext_pafpn.training.resume import find_resume_point

    text = "Train an encoder on a folder of pictures by class, such as ImageNet's."
    config, resume = parse_run("pretrain", text, PretrainConfig, argv)
    with said_how_to_go_on("pretrain", config.run_dir):
        result = pretrain_encoder(config, find_resume_point(config) if resume else None)
    if is_first_process():
        say(
            f"split '{result.split}': top-1 {result.top1:.2f} %  top-5 {result.top5:.2f} %  ({result.images} pictures "
            f"of {result.num_classes} classes)\n"
            f"The encoder is {config.run_dir}/encoder.safetensors.\n"
            f"Train a segmentor from it with: segnext-pafpn train --weights {config.run_dir} "
            f"--model.encoder_name {encoder_name(config.model.name)}"
        )
    return 0


def val(argv: list[str]) -> int:
    """score a trained network on a split"""
    parser = build_parser("val", "Score a trained network on a split of the data it was trained on, or of other data.")
    parser.add_argument("--checkpoint", type=str, required=True, help="folder of a run, or its model/ folder.")
    parser.add_argument("--split", type=str | None, help="split to score; default: the run's val_split.")
    parser.add_argument("--data", type=DataConfig, default=DataConfig())
    parser.add_argument("--trainer", type=TrainerConfig, default=TrainerConfig())
    parser.add_argument("--report", action="store_true", help="also write a page with the best and worst pictures.")
    parser.add_argument(
        "--metrics", type=str, nargs="+", default=[], help="of a field: street, medical, segments; see docs/metrics.md."
    )
    parser.add_argument(
        "--tune-threshold",
        action="store_true",
        help="first find the best thresholds of two classes or of several labels per pixel, on the val split.",
    )
    parser.add_argument(
        "--tta", type=str, default="none", help="test-time augmentation: none, flip, flips or multi-scale; see predict."
    )
    folder = value_of("--checkpoint", argv)
    if folder is not None:
        refuse_several(folder)
        parser.set_defaults({"data": config_of_kind(Path(folder), "train", "val")["data"]})
    arguments = parse(parser, argv)
    check_trainer(arguments.trainer)
    if arguments.tune_threshold and arguments.tta != "none":
        raise UserError(
            "--tta: thresholds are tuned for the network as it is. Leave --tune-threshold or --tta out; --tta keeps to "
            "thresholds that are there already."
        )

    from segnext_pafpn.data.datamodule import SegmentationDataModule
    from segnext_pafpn.training.engine import is_first_process
    from segnext_pafpn.training.evaluate import evaluate
    from segnext_pafpn.training.fields import build_metrics
    from segnext_pafpn.training.tune import tune_thresholds

    split = arguments.split or arguments.data.val_split
    if arguments.tune_threshold:
        build_metrics(arguments.metrics, SegmentationDataModule(arguments.data), split)  # refuses first
        tuned = tune_thresholds(arguments.checkpoint, arguments.data, split, arguments.trainer)
        if is_first_process():
            console.print(tuned.table().for_terminal())
    result = evaluate(
        arguments.checkpoint,
        arguments.data,
        split,
        arguments.trainer,
        report=arguments.report,
        metrics=arguments.metrics,
        tta=arguments.tta,
    )
    if is_first_process():
        _show(result)
        say(f"The scores are in {result.json}.")
        if result.page is not None:
            say(f"The report is {result.page}.")
    return 0


def _refuse_problems(reports: Sequence[SplitReport]) -> None:
    problems = [line for report in reports for line in report.problems]
    for line in few_of_each_kind(problems, _MAX_ALIKE)[1:20]:
        print(f"error: {line}", file=sys.stderr)
    for cause in [cause for report in reports for cause in report.causes][:1]:
        say_cause(cause)
    if problems:
        more = f" ({len(problems)} in all; segnext-pafpn check --json PATH lists them)" if len(problems) > 1 else ""
        raise UserError(problems[0] + more)


def _say_warnings(reports: Sequence[SplitReport]) -> None:
    every = [line for report in reports for line in report.warnings]
    lines = few_of_each_kind(every, _MAX_ALIKE)[:_MAX_WARNINGS]
    for line in lines:
        say(f"warning: {line}")
    if len(lines) < len(every):
        say(f"warning: {len(every)} in all; segnext-pafpn check --json PATH lists them")


def _show(result: Result) -> None:
    from segnext_pafpn.evaluation.one_answer import one_answer_line
    from segnext_pafpn.evaluation.report import scores_table

    console.print(scores_table(result.scores, result.class_names, title=result.title))
    for table in result.tables:
        if not table.is_long:
            console.print(table.for_terminal())
    if (line := one_answer_line(result.scores, result.class_names, result.split)) is not None:
        say(f"warning: {line}")
