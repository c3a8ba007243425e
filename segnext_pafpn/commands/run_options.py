"""The options of train and pretrain: a run's configuration, or an earlier run to go on with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from segnext_pafpn.arguments import as_config, parse
from segnext_pafpn.commands.common import build_parser, config_of, say, value_of
from segnext_pafpn.errors import UserError
from segnext_pafpn.training.config import RunConfig, check_trainer
from segnext_pafpn.training.config_file import read_config, run_folder, run_kind

_Config = TypeVar("_Config", bound=RunConfig)
_RESUME = (
    "folder of a run to go on with, as if it had never stopped: what it learns stays as it is; trainer.* (as a larger "
    "max_epochs) and where and how data are read may change."
)


def parse_run(command: str, description: str, config_class: type[_Config], argv: list[str]) -> tuple[_Config, bool]:
    """A run's configuration from the arguments, and whether it is to go on with an earlier run."""
    parser = build_parser(command, description)
    parser.add_argument("--config", action="config", help="a shipped configuration's name, or the path of a YAML file.")
    parser.add_argument("--resume", type=str | None, help=_RESUME)
    parser.add_class_arguments(config_class)
    resume, argv = _resume(command, argv)
    arguments = parse(parser, argv)
    check_trainer(arguments.trainer)
    return as_config(arguments, config_class), resume


def config_of_kind(path: Path, kind: str, command: str) -> dict:
    """What ``config.yaml`` says in the folder of a run of ``kind``, train or pretrain.

    Raises:
        UserError: if it is a run of the other kind, or a damaged one.
    """
    config = read_config(Path(config_of(path)))
    if (found := run_kind(config)) != kind:
        hint = " Its encoder is a start for train --weights." if found == "pretrain" else ""
        raise UserError(f"{path}: is a run of {found}, which {command} cannot take. Give a run of {kind}.{hint}")
    return config


def _resume(command: str, argv: list[str]) -> tuple[bool, list[str]]:
    """Whether a run is to go on, and the arguments with that run's configuration and folder filled in."""
    folder = value_of("--resume", argv)
    if folder is None:
        return False, argv
    path = Path(folder)
    if path.name in ("", ".."):  # such as the folder one stands in, whose name is not written
        path = path.resolve()
    config_of_kind(path, command, f"{command} --resume")
    path = run_folder(path)
    _refuse_contradictions(path, argv)
    return True, ["--config", config_of(path), *argv, "--output_dir", str(path.parent), "--name", path.name]


def _refuse_contradictions(path: Path, argv: list[str]) -> None:
    """What cannot be said of a run that goes on."""
    if (config := value_of("--config", argv)) is not None:
        raise UserError(
            f"--config: {config} cannot be taken with --resume, which goes on with the run's own configuration. Leave "
            f"one of them out."
        )
    if argv[-1:] == ["--overwrite"] or (value_of("--overwrite", argv) or "false").lower() != "false":
        raise UserError("--overwrite: starts a run anew, and --resume goes on with it. Leave one of them out.")
    name, folder = value_of("--name", argv), value_of("--output_dir", argv)
    if name not in (None, path.name) or (folder is not None and Path(folder).resolve() != path.parent.resolve()):
        other = f"--output_dir: {folder}" if name in (None, path.name) else f"--name: {name}"
        raise UserError(f"{other} is not that of {path}, which --resume goes on with. Leave it out.")


@contextmanager
def said_how_to_go_on(command: str, run_dir: Path) -> Iterator[None]:
    """Where the user, or a file that broke, stops a run that has a checkpoint, print what takes it up again."""
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    before = _changed_at(checkpoint)
    try:
        yield
    except (KeyboardInterrupt, UserError) as error:
        after = _changed_at(checkpoint)
        if after and (after != before or isinstance(error, KeyboardInterrupt)):
            say(f"The run goes on with: segnext-pafpn {command} --resume {run_dir}")
        raise


def _changed_at(path: Path) -> int:
    """When the file was written last, in nanoseconds; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.is_file() else 0
