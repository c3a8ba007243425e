"""predict: masks for images."""

import sys

from segnext_pafpn.arguments import as_config, parse
from segnext_pafpn.commands.common import build_parser, few_of_each_kind, say, track
from segnext_pafpn.errors import UserError, counted
from segnext_pafpn.inference.config import PredictConfig

_SHOWN = 3  # images that fail for one reason


def predict(argv: list[str]) -> int:
    """write class-id masks for images"""
    parser = build_parser("predict", "Write a mask of class ids for every image, or labels for every volume.")
    parser.add_class_arguments(PredictConfig)
    for forms in (("--checkpoint",), ("--input", "-i")):
        if sum(argument.split("=")[0] in forms for argument in argv) > 1:
            raise UserError(f'{forms[0]}: is given more than once. Give a list: {forms[0]} "[FIRST, SECOND]".')
    arguments = parse(parser, argv)
    config = as_config(arguments, PredictConfig)

    from segnext_pafpn.inference.run import predict_files  # imports torch, which takes seconds

    report = predict_files(config, track=track)
    for line in few_of_each_kind(report.failed, _SHOWN):
        print(f"error: {line}", file=sys.stderr)
    if report.left_out:
        inner = counted(len(report.left_out), "folder")
        say(f"Left out: {inner} with images, {report.left_out[0]} first. Theirs, too: -i '{config.input}/**/*'")
    if report.shallow:
        say(
            f"warning: {counted(len(report.shallow), 'image')} of 8 bits, {report.shallow[0]} first; the model was "
            f"trained on larger values, as of 16 bits."
        )
    if report.turned:
        say(
            f"{counted(len(report.turned), 'volume')}, {report.turned[0]} first, turned to {report.orientation} for "
            f"the network, as in training; the labels lie as the volumes do."
        )
    if report.silent:
        say(
            f"warning: {counted(len(report.silent), 'volume')}, {report.silent[0]} first, without a word on how the "
            f"axes run, expected {report.orientation} as in training. Taken as stored, which may be mirrored: save "
            f"NIfTI with an affine."
        )
    if not report.written:
        say("Nothing was written.")
        return 2
    masks, images = counted(len(report.written), "mask"), counted(report.images, "image")
    rate = report.images / report.seconds
    if len(report.written) != report.images:
        masks += f" of {images}, one for each class,"
    missing = f"; {counted(len(report.failed), 'image')} could not be predicted" if report.failed else ""
    verb = "is" if len(report.written) == 1 else "are"
    speed = f"{report.seconds:.1f} s, {rate:.1f} images a second"
    say(f"{masks} {verb} in {config.output}{_how(config)} ({speed}){missing}.")
    return 2 if report.failed else 0


def _how(config: PredictConfig) -> str:
    """What is not as it is without options: several runs, augmentation, and what was written besides."""
    words = [] if isinstance(config.checkpoint, str) else [f"by {counted(len(config.checkpoint), 'run')}"]
    words += [] if config.tta == "none" else [f"with tta {config.tta}"]
    folders = {"color": config.color, "overlay": config.overlay, "probabilities": config.save_probabilities}
    besides = [name for name, wanted in folders.items() if wanted]
    words += [f"besides {' and '.join(f'{name}/' for name in besides)}"] if besides else []
    return "".join(f", {word}" for word in words)
