"""predict: masks for images."""

import sys

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, say, track
from segnext_pafpn.inference.config import PredictConfig


def predict(argv: list[str]) -> int:
    """write class-id masks for images"""
    parser = build_parser("predict", "Write a class-id PNG, with the stem and size of its image, for every image.")
    parser.add_class_arguments(PredictConfig)
    arguments = parse(parser, argv)
    config = PredictConfig(**{key: arguments[key] for key in PredictConfig.__dataclass_fields__})

    from segnext_pafpn.inference.run import predict_files  # imports torch, which takes seconds

    report = predict_files(config, track=track)
    for line in report.failed:
        print(f"error: {line}", file=sys.stderr)
    if not report.written:
        say("Nothing was written.")
        return 2
    masks = "1 mask is" if len(report.written) == 1 else f"{len(report.written)} masks are"
    rate = report.images / report.seconds
    say(f"{masks} in {config.output} ({report.seconds:.1f} s, {rate:.1f} a second).")
    return 2 if report.failed else 0
