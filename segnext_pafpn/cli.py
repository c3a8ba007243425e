"""The command line: which command, and one line of error out. The commands are in ``commands/``."""

import logging
import os
import sys
from collections.abc import Callable, Sequence

from segnext_pafpn import __version__
from segnext_pafpn.arguments import rewrite
from segnext_pafpn.commands.about import doctor, models
from segnext_pafpn.commands.common import console
from segnext_pafpn.commands.data import check, samples
from segnext_pafpn.commands.predict import predict
from segnext_pafpn.commands.runs import compare, pretrain, train, val
from segnext_pafpn.errors import UserError, nearest, one_line

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    command.__name__: command for command in (train, pretrain, val, compare, predict, check, samples, models, doctor)
}


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
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _usage() -> str:
    lines = [f"segnext-pafpn {__version__}: semantic segmentation with ELANeXt and PAFPN", ""]
    lines += ["usage: segnext-pafpn COMMAND [options]", ""]
    lines += [f"  {name:<10}{command.__doc__}" for name, command in COMMANDS.items()]
    lines += ["", "segnext-pafpn COMMAND --help lists the options of a command."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
