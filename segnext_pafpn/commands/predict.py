"""predict: masks for images."""

import re
import sys
from collections import defaultdict
from collections.abc import Sequence

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, say, track
from segnext_pafpn.errors import counted
from segnext_pafpn.inference.config import PredictConfig

_SHOWN = 3  # images that fail for one reason


def predict(argv: list[str]) -> int:
    """write class-id masks for images"""
    parser = build_parser("predict", "Write a class-id PNG, with the stem and size of its image, for every image.")
    parser.add_class_arguments(PredictConfig)
    arguments = parse(parser, argv)
    config = PredictConfig(**{key: arguments[key] for key in PredictConfig.__dataclass_fields__})

    from segnext_pafpn.inference.run import predict_files  # imports torch, which takes seconds

    report = predict_files(config, track=track)
    for line in _few_of_each_kind(report.failed):
        print(f"error: {line}", file=sys.stderr)
    if not report.written:
        say("Nothing was written.")
        return 2
    masks, images = counted(len(report.written), "mask"), counted(report.images, "image")
    rate = report.images / report.seconds
    if len(report.written) != report.images:
        masks += f" of {images}, one for each class,"
    verb = "is" if len(report.written) == 1 else "are"
    say(f"{masks} {verb} in {config.output} ({report.seconds:.1f} s, {rate:.1f} images a second).")
    return 2 if report.failed else 0


def _few_of_each_kind(failed: Sequence[str]) -> list[str]:
    """The lines, but only the first few of those that differ in file and numbers alone, and how many these are."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for line in failed:
        kinds[re.sub(r"\d+", "0", line.partition(": ")[2])].append(line)
    lines = []
    for alike in kinds.values():
        lines += alike[:_SHOWN]
        if len(alike) > _SHOWN:
            lines.append(f"{len(alike) - _SHOWN} more like the last one")
    return lines
