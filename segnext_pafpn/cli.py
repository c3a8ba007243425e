"""The command line: which command, and one line of error out. The commands are in ``commands/``."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper

from segnext_pafpn import __version__
from segnext_pafpn.arguments import rewrite
from segnext_pafpn.commands.common import console, say
from segnext_pafpn.errors import UserError, nearest, one_line
from segnext_pafpn.files import NO_ROOM, cannot_write

# The command's module in commands/, which is imported when it is asked for, and its line in the help.
COMMANDS = {
    "train": ("runs", "train a network and fill runs/NAME"),
    "pretrain": ("runs", "train an encoder to classify pictures, for train --weights to start from"),
    "val": ("runs", "score a trained network on a split"),
    "compare": ("several", "say how far apart two runs are, and whether by chance"),
    "folds": ("several", "sum up the runs of a cross-validation"),
    "predict": ("predict", "write class-id masks for images"),
    "export": ("export", "write a trained network as ONNX, torch.export or TorchScript"),
    "check": ("check", "read a data set once and say what is wrong with it"),
    "samples": ("samples", "write pictures and masks of a data set as files"),
    "models": ("about", "print parameters and FLOPs of networks"),
    "doctor": ("about", "print versions and devices, and what is missing"),
}


def load_command(name: str) -> Callable[[list[str]], int]:
    """The function of a command: takes its arguments, returns its exit code."""
    return getattr(import_module(f"segnext_pafpn.commands.{COMMANDS[name][0]}"), name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 2 and one line on standard error for what a user can mend."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be in another encoding
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    if argv[:1] == ["--version"]:
        console.print(__version__)
        return 0
    if not argv or argv[0] in ("-h", "--help"):
        say(_usage())
        return 0 if argv else 2
    try:
        if argv[0] not in COMMANDS:
            raise UserError(f"'{argv[0]}' is not a command.{nearest(argv[0], COMMANDS)} Known: {', '.join(COMMANDS)}.")
        return load_command(argv[0])(rewrite(argv[1:]))
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {one_line(_of_the_system(error))}", file=sys.stderr)
        return 2


def _of_the_system(error: OSError) -> UserError:
    """The line for what the system refused; an error that is none of the system's goes on as it is."""
    if error.errno in NO_ROOM:
        return cannot_write(error.filename or "output", error)
    if error.filename is None or error.errno is None:
        raise error
    return UserError(
        f"{error.filename}: cannot be read or written ({error.strerror}). Look at the path and its permissions, or "
        f"name another."
    )


def _usage() -> str:
    lines = [f"segnext-pafpn {__version__}: semantic segmentation with ELANeXt and PAFPN", ""]
    lines += ["usage: segnext-pafpn COMMAND [options]", ""]
    lines += [f"  {name:<10}{line}" for name, (_, line) in COMMANDS.items()]
    lines += ["", "segnext-pafpn COMMAND --help lists the options of a command."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
