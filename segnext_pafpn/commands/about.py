"""models and doctor: what tells about the networks and the machine."""

import json
import sys

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, console


def models(argv: list[str]) -> int:
    """print parameters and FLOPs of networks"""
    parser = build_parser(
        "models", "Print parameters, FLOPs, strides and channels of our networks, or of the one named."
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=[480, 360], metavar=("WIDTH", "HEIGHT"), help="of an image."
    )
    parser.add_argument("--classes", type=int, default=11, help="logits per pixel.")
    parser.add_argument("--arch", type=str | None, help="a decoder (unet, ...); without it, the encoder alone.")
    parser.add_argument("--encoder_name", type=str | None, help="an encoder of ours, of smp, or of timm as tu-NAME.")
    parser.add_argument("--json", action="store_true", help="print JSON.")
    arguments = parse(parser, argv)

    from segnext_pafpn.models.summary import summarize_all, summary_table, summary_values  # imports torch and timm

    size = (arguments.size[1], arguments.size[0])
    rows = summarize_all(size, arguments.classes, arguments.arch, arguments.encoder_name)
    if arguments.json:
        print(json.dumps(summary_values(rows, size, arguments.classes), indent=2))
    else:
        console.print(summary_table(rows, size, arguments.classes))
    return 0


def doctor(argv: list[str]) -> int:
    """print versions and devices, and what is missing"""
    parse(build_parser("doctor", "Print versions and devices, and what is missing."), argv)

    from segnext_pafpn.doctor import doctor_table  # imports torch, and no more

    table, problems = doctor_table()
    console.print(table)
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return 2 if problems else 0
