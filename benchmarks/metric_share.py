"""What the confusion matrix adds to an evaluation: a forward pass and the most probable class, without it and with it.

    python benchmarks/metric_share.py
    python benchmarks/metric_share.py --device cuda --precision bf16 --batch 16

The network is a cheap one, folded and channels_last, so that the share is more than that of a dearer one. It is the
time of the update alone, by that of the forward pass in the same round: the difference of the two longer times says
the same with the noise of both. On a GPU the script also stops if an update makes the host wait for the device.
"""

import argparse
from pathlib import Path

import torch
from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from sides import ratios, spread, take_turns
from table_sides import metric_share_table

from segnext_pafpn.evaluation.metrics import ConfusionMatrix
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.models.factory import build_model

PRECISIONS = {"float32": None, "bf16": torch.bfloat16}


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--encoder", default="elanext_nano", help="of PAFPNeXt")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", nargs=2, type=int, default=[480, 360], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--classes", nargs="+", type=int, default=[11, 19])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, help="result file; default results/metric-share-DEVICE.json")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    content = {
        "benchmark": "metric-share",
        "command": given_command(),
        "network": f"PAFPNeXt {arguments.encoder}",
        "device": device.type,
        **{key: getattr(arguments, key) for key in ("precision", "batch", "size", "rounds")},
        "environment": describe_environment(arguments.device),
        "rows": [_measure(classes, device, arguments) for classes in arguments.classes],
    }
    write_result(content, arguments.out or RESULTS / f"metric-share-{device.type}.json")
    Console(width=140).print(metric_share_table(content), highlight=False)


def _measure(classes: int, device: torch.device, arguments: argparse.Namespace) -> dict:
    torch.manual_seed(0)
    width, height = arguments.size
    network = build_model(ModelConfig(encoder_name=arguments.encoder), classes).eval().fuse()
    network.to(device, memory_format=torch.channels_last)
    image = torch.randn(arguments.batch, 3, height, width).to(device, memory_format=torch.channels_last)
    target = torch.randint(0, classes, (arguments.batch, height, width)).to(torch.uint8).to(device)
    prediction = torch.randint(0, classes, (arguments.batch, height, width)).to(device)
    matrix, decision = ConfusionMatrix(classes).to(device), Decision()
    precision = PRECISIONS[arguments.precision]

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        with torch.autocast(device.type, dtype=precision, enabled=precision is not None):
            return decision.classes(network(image))

    def update() -> None:
        matrix.update(prediction, target)

    def both() -> None:
        matrix.update(forward(), target)

    update()
    _refuse_waiting(update, device)
    seconds = take_turns({"forward": forward, "both": both, "update": update}, arguments.rounds, device)
    return {
        "classes": classes,
        **{k: v for name, s in seconds.items() for k, v in spread([1000 * x for x in s], f"{name}_ms", 3).items()},
        **spread(ratios(seconds["update"], seconds["forward"]), "share", 5),
    }


def _refuse_waiting(update, device: torch.device) -> None:
    """Raise a RuntimeError where the update would wait for the device."""
    if device.type != "cuda":
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        update()
    finally:
        torch.cuda.set_sync_debug_mode("default")


if __name__ == "__main__":
    run_main(main)
