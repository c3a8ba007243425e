"""The command line: arguments in, one line of error out. What the commands do lives below."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import track

from segnext_pafpn import __version__
from segnext_pafpn.arguments import parse, rewrite
from segnext_pafpn.data.check import Cause, SplitReport, check_data, check_split, check_table, check_values
from segnext_pafpn.data.check.duplicates import find_twins
from segnext_pafpn.data.check.page import write_check_page
from segnext_pafpn.data.datamodule import DataConfig, SegmentationDataModule
from segnext_pafpn.doctor import doctor_table
from segnext_pafpn.errors import UserError, nearest, one_line
from segnext_pafpn.evaluation.compare import compare_images, comparison_table, comparison_values, verdict
from segnext_pafpn.evaluation.per_image import load_images
from segnext_pafpn.evaluation.report import scores_table
from segnext_pafpn.files import write_json
from segnext_pafpn.inference.run import PredictConfig, predict_files
from segnext_pafpn.inference.writer import save_mask, save_rgb
from segnext_pafpn.models.classifier import encoder_name
from segnext_pafpn.models.summary import summarise_all, summary_table, summary_values
from segnext_pafpn.training.config import TrainConfig, TrainerConfig
from segnext_pafpn.training.engine import is_first_process
from segnext_pafpn.training.pretrain.config import PretrainConfig
from segnext_pafpn.training.pretrain.run import pretrain as pretrain_encoder
from segnext_pafpn.training.run import Result, evaluate, fit

console = Console()

_MAX_WARNINGS = 40


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 2 and one line on standard error for what a user can mend."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    if argv[:1] == ["--version"]:
        console.print(__version__)
        return 0
    if not argv or argv[0] in ("-h", "--help"):
        console.print(_usage(), highlight=False)
        return 0 if argv else 2
    try:
        if argv[0] not in COMMANDS:
            raise UserError(f"'{argv[0]}' is not a command.{nearest(argv[0], COMMANDS)} Known: {', '.join(COMMANDS)}.")
        return COMMANDS[argv[0]](rewrite(argv[1:]))
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def train(argv: list[str]) -> int:
    """train a network and fill runs/NAME"""
    parser = _parser("train", "Train a network, evaluate it, and fill runs/NAME with all there is to know about it.")
    parser.add_argument("--config", action="config", help="a shipped configuration's name, or the path of a YAML file.")
    parser.add_argument("--resume", type=str | None, help="folder of a run to go on with, as if it had never stopped.")
    parser.add_class_arguments(TrainConfig)
    resume, argv = _resume(argv)
    arguments = parse(parser, argv)
    config = TrainConfig(**{key: arguments[key] for key in TrainConfig.__dataclass_fields__})
    data = config.data
    if data.check and is_first_process():
        module = SegmentationDataModule(data)
        splits = dict.fromkeys([data.train_split, data.val_split])
        reports = [check_split(module.card, module.reader, split, _track) for split in splits]
        _refuse_problems(reports)
    try:
        result = fit(config, resume=resume)
    except KeyboardInterrupt:
        _say_how_to_go_on("train", config.run_dir)
        raise
    if is_first_process():
        _show(result)
        console.print(
            f"Weights, logs and pictures are in {config.run_dir}: see metrics_{result.split}.html, "
            f"predictions.png, curves.png and metrics_{result.split}.json.\n"
            f"Predict with: segnext-pafpn predict --checkpoint {config.run_dir} -i IMAGES -o MASKS",
            highlight=False,
            soft_wrap=True,
        )
    return 0


def pretrain(argv: list[str]) -> int:
    """train an encoder to classify pictures, for train --weights to start from"""
    parser = _parser("pretrain", "Train an encoder on a folder of pictures by class, such as ImageNet's.")
    parser.add_argument("--config", action="config", help="a shipped configuration's name, or the path of a YAML file.")
    parser.add_argument("--resume", type=str | None, help="folder of a run to go on with, as if it had never stopped.")
    parser.add_class_arguments(PretrainConfig)
    resume, argv = _resume(argv)
    arguments = parse(parser, argv)
    config = PretrainConfig(**{key: arguments[key] for key in PretrainConfig.__dataclass_fields__})
    try:
        result = pretrain_encoder(config, resume=resume)
    except KeyboardInterrupt:
        _say_how_to_go_on("pretrain", config.run_dir)
        raise
    if is_first_process():
        console.print(
            f"split '{result.split}': top-1 {result.top1:.2f} %  top-5 {result.top5:.2f} %  ({result.images} pictures "
            f"of {result.num_classes} classes)\n"
            f"The encoder is {config.run_dir}/encoder.safetensors.\n"
            f"Train a segmentor from it with: segnext-pafpn train --weights {config.run_dir} "
            f"--model.encoder_name {encoder_name(config.model.name)}",
            highlight=False,
            soft_wrap=True,
        )
    return 0


def val(argv: list[str]) -> int:
    """score a trained network on a split"""
    parser = _parser("val", "Score a trained network on a split of the data it was trained on, or of other data.")
    parser.add_argument("--checkpoint", type=str, required=True, help="folder of a run, or its model/ folder.")
    parser.add_argument("--split", type=str | None, help="split to score; default: the run's val_split.")
    parser.add_argument("--data", type=DataConfig, default=DataConfig())
    parser.add_argument("--trainer", type=TrainerConfig, default=TrainerConfig())
    parser.add_argument("--report", action="store_true", help="also write a page with the best and worst pictures.")
    folder = _value_of("--checkpoint", argv)
    if folder is not None:
        config = yaml.safe_load(Path(_config_of(Path(folder))).read_text(encoding="utf-8"))
        parser.set_defaults({"data": config["data"]})
    arguments = parse(parser, argv)
    split = arguments.split or arguments.data.val_split
    result = evaluate(arguments.checkpoint, arguments.data, split, arguments.trainer, arguments.report)
    if is_first_process():
        _show(result)
        if result.page is not None:
            console.print(f"The report is {result.page}.", highlight=False, soft_wrap=True)
    return 0


def compare(argv: list[str]) -> int:
    """say how far apart two runs are, and whether by chance"""
    parser = _parser("compare", "Compare two runs on one split, class by class, with an interval of the difference.")
    parser.add_argument("runs", type=str, nargs=2, help="folders of two runs that val has scored on the split.")
    parser.add_argument("--split", type=str, default="val", help="split to compare on.")
    parser.add_argument("--resamples", type=int, default=2000, help="of the images, for the interval.")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling.")
    parser.add_argument("--json", type=str | None, help="also write the comparison to this file.")
    arguments = parse(parser, argv)
    if arguments.resamples < 100:
        raise UserError(f"--resamples: must be at least 100, found {arguments.resamples}.")
    first, second = (load_images(Path(run) / f"metrics_{arguments.split}_images.npz") for run in arguments.runs)
    comparison = compare_images(first, second, arguments.resamples, arguments.seed)
    names = (arguments.runs[0], arguments.runs[1])
    console.print(comparison_table(comparison, names))
    console.print(verdict(comparison), highlight=False, soft_wrap=True)
    if arguments.json:
        write_json(comparison_values(comparison, names), Path(arguments.json))
    return 0


def predict(argv: list[str]) -> int:
    """write class-id masks for images"""
    parser = _parser("predict", "Write a class-id PNG, with the stem and size of its image, for every image.")
    parser.add_class_arguments(PredictConfig)
    arguments = parse(parser, argv)
    config = PredictConfig(**{key: arguments[key] for key in PredictConfig.__dataclass_fields__})
    report = predict_files(config, track=_track)
    for line in report.failed:
        print(f"error: {line}", file=sys.stderr)
    rate = len(report.written) / report.seconds
    console.print(
        f"{len(report.written)} masks are in {config.output} ({report.seconds:.1f} s, {rate:.1f} images/s).",
        highlight=False,
        soft_wrap=True,
    )
    return 2 if report.failed else 0


def check(argv: list[str]) -> int:
    """read a data set once and say what is wrong with it"""
    parser = _parser("check", "Read a data set once and say what is wrong with which file. Exit code 2: do not train.")
    parser.add_argument("--config", action="config", help="a shipped configuration's name, or the path of a YAML file.")
    parser.add_class_arguments(TrainConfig)
    parser.add_argument("--json", type=str | None, help="also write everything that was found to this file.")
    parser.add_argument("--html", type=str | None, help="also write a page with charts and thumbnails to this file.")
    arguments = parse(parser, argv)
    data = SegmentationDataModule(arguments.data)
    config = arguments.data
    splits = list(dict.fromkeys([*data.reader.splits(), config.train_split, config.val_split]))
    reports = [check_split(data.card, data.reader, split, _track, details=True) for split in splits]
    found = check_data(data.card, reports, find_twins(reports))
    console.print(check_table(data.card, reports))
    if arguments.json:
        write_json(check_values(found), Path(arguments.json))
    if arguments.html:
        write_check_page(found, data.reader, Path(arguments.html))
        console.print(f"The page is {arguments.html}.", highlight=False, soft_wrap=True)
    for line in found.warnings[:_MAX_WARNINGS]:
        console.print(f"warning: {line}", highlight=False, soft_wrap=True, markup=False)
    if (more := len(found.warnings) - _MAX_WARNINGS) > 0:
        console.print(f"warning: {more} more; --json PATH lists all", highlight=False)
    for line in found.problems:
        print(f"error: {line}", file=sys.stderr)
    for cause in found.causes:
        _say_cause(cause)
    if found.problems:
        return 2
    console.print("Nothing is wrong: training may start.")
    return 0


def samples(argv: list[str]) -> int:
    """write pictures and masks of a data set as files"""
    parser = _parser("samples", "Write pictures and their class-id masks as PNG files, the built-in data sets' too.")
    parser.add_argument("--data", type=DataConfig, default=DataConfig())
    parser.add_argument("--split", type=str, default="test", help="split to write.")
    parser.add_argument("--count", type=int, default=8, help="how many, from the split's beginning.")
    parser.add_argument("--output", type=str, required=True, help="folder for images/ and masks/ (-o).")
    arguments = parse(parser, argv)
    data = SegmentationDataModule(arguments.data)
    folder = Path(arguments.output)
    chosen = data.samples(arguments.split)[: arguments.count]
    for sample in _track(chosen, len(chosen), "write"):
        save_rgb(data.reader.read_image(sample), folder / "images" / f"{sample.name}.png")
        save_mask(data.labels(data.reader.read_mask(sample)), folder / "masks" / f"{sample.name}.png")
    console.print(f"{len(chosen)} pictures and masks are in {folder}.", highlight=False, soft_wrap=True)
    return 0


def models(argv: list[str]) -> int:
    """print parameters and FLOPs of networks"""
    parser = _parser("models", "Print parameters, FLOPs, strides and channels of our networks, or of the one named.")
    parser.add_argument(
        "--size", type=int, nargs=2, default=[480, 360], metavar=("WIDTH", "HEIGHT"), help="of an image."
    )
    parser.add_argument("--classes", type=int, default=11, help="logits per pixel.")
    parser.add_argument("--arch", type=str | None, help="a decoder (unet, ...); without it, the encoder alone.")
    parser.add_argument("--encoder_name", type=str | None, help="an encoder of ours, of smp, or of timm as tu-NAME.")
    parser.add_argument("--json", action="store_true", help="print JSON.")
    arguments = parse(parser, argv)
    size = (arguments.size[1], arguments.size[0])
    rows = summarise_all(size, arguments.classes, arguments.arch, arguments.encoder_name)
    if arguments.json:
        print(json.dumps(summary_values(rows, size, arguments.classes), indent=2))
    else:
        console.print(summary_table(rows, size, arguments.classes))
    return 0


def doctor(argv: list[str]) -> int:
    """print versions and devices, and what is missing"""
    parse(_parser("doctor", "Print versions and devices, and what is missing."), argv)
    table, problems = doctor_table()
    console.print(table)
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return 2 if problems else 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    command.__name__: command for command in (train, pretrain, val, compare, predict, check, samples, models, doctor)
}


def _usage() -> str:
    lines = [f"segnext-pafpn {__version__}: semantic segmentation with ELANeXt and PAFPN", ""]
    lines += ["usage: segnext-pafpn COMMAND [options]", ""]
    lines += [f"  {name:<10}{command.__doc__}" for name, command in COMMANDS.items()]
    lines += ["", "segnext-pafpn COMMAND --help lists the options of a command."]
    return "\n".join(lines)


def _parser(command: str, description: str) -> ArgumentParser:
    prog = f"segnext-pafpn {command}"
    return ArgumentParser(
        prog=prog, usage=f"{prog} [--KEY VALUE ...]", description=description, exit_on_error=False, allow_abbrev=False
    )


def _value_of(option: str, argv: list[str]) -> str | None:
    for i, argument in enumerate(argv):
        if argument == option and i + 1 < len(argv):
            return argv[i + 1]
        if argument.startswith(f"{option}="):
            return argument.split("=", 1)[1]
    return None


def _resume(argv: list[str]) -> tuple[bool, list[str]]:
    """Whether a run is to go on, and the arguments with that run's configuration and folder filled in."""
    folder = _value_of("--resume", argv)
    if folder is None:
        return False, argv
    place = ["--output_dir", str(Path(folder).parent), "--name", Path(folder).name]
    return True, ["--config", _config_of(Path(folder)), *argv, *place]


def _say_how_to_go_on(command: str, run_dir: Path) -> None:
    if (run_dir / "checkpoints" / "last.ckpt").is_file():
        console.print(f"The run goes on with: segnext-pafpn {command} --resume {run_dir}", soft_wrap=True)


def _config_of(folder: Path) -> str:
    """The resolved configuration of a run, given its folder or the ``model/`` in it."""
    for candidate in (folder / "config.yaml", folder.parent / "config.yaml"):
        if candidate.is_file():
            return str(candidate)
    raise UserError(f"{folder / 'config.yaml'}: no such file. Give the folder of a run, such as runs/NAME.")


def _track(items: Iterable, total: int, title: str) -> Iterable:
    return track(
        items, description=title, total=total, console=console, transient=True, disable=not console.is_terminal
    )


def _say_cause(cause: Cause) -> None:
    console.print(f"likely cause: {cause.text}\n{cause.yaml}", highlight=False, soft_wrap=True, markup=False)


def _refuse_problems(reports: Sequence[SplitReport]) -> None:
    problems = [line for report in reports for line in report.problems]
    for line in problems[1:20]:
        print(f"error: {line}", file=sys.stderr)
    for cause in [cause for report in reports for cause in report.causes][:1]:
        _say_cause(cause)
    if problems:
        more = f" ({len(problems) - 1} more; segnext-pafpn check lists all)" if len(problems) > 1 else ""
        raise UserError(problems[0] + more)


def _show(result: Result) -> None:
    console.print(scores_table(result.scores, result.class_names, title=f"split '{result.split}'"))


if __name__ == "__main__":
    sys.exit(main())
