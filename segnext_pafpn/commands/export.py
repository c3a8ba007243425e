"""export: a trained network as one file for other programs."""

from pathlib import Path

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, refuse_several, say
from segnext_pafpn.inference.export_formats import SUFFIXES, format_of


def export(argv: list[str]) -> int:
    """write a trained network as ONNX, torch.export or TorchScript"""
    parser = build_parser(
        "export",
        "Write the network of a run, folded, as one file that runs without this package, and beside it as JSON what "
        "images go through first and what the classes are called.",
    )
    suffixes = ", ".join(SUFFIXES.values())
    parser.add_argument("--checkpoint", type=str, required=True, help="folder of a run, or its model/ folder.")
    parser.add_argument(
        "--output", type=str, required=True, help=f"file to write (-o); its suffix, {suffixes}, says how."
    )
    parser.add_argument("--format", type=str | None, help=f"{', '.join(SUFFIXES)}; default: what the suffix says.")
    parser.add_argument("--size", type=tuple[int, int] | None, help="height and width of all images; default: any.")
    parser.add_argument("--overwrite", type=bool, default=False, help="replace files that are there already.")
    arguments = parse(parser, argv)
    refuse_several(arguments.checkpoint)
    format_of(Path(arguments.output), arguments.format)

    from segnext_pafpn.inference.export import export_model  # imports torch, which takes seconds

    report = export_model(arguments.checkpoint, arguments.output, arguments.format, arguments.size, arguments.overwrite)
    if report.difference is None:
        checked = "Its logits were not compared: onnxruntime is not installed"
    else:
        checked = f"Its logits are the network's own (largest difference {report.difference:.1g})"
    say(f"The network is {report.path} ({report.format}), what it takes is in {report.json}. {checked}.")
    return 0
