"""Layers that are not PyTorch's own on a CPU, beside PyTorch's: alone, in a training step and in inference.

    python benchmarks/layers.py
    python benchmarks/layers.py --threads 1 --rounds 20

The gradient of a depthwise kernel is timed alone, a 1x1 convolution with both of its passes, a training step without
the optimizer. Both sides are the same modules with the same weights, in one of which PyTorch computes everything.
Sides take turns, rows are medians.
"""

import argparse
import contextlib
import itertools
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from environment import describe_environment
from networks import named
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from sides import take_turns
from speed_paths import CLASSES
from table_rates import layers_table
from torch import nn

from segnext_pafpn.layers import DepthwiseConv2d, PointwiseConv2d
from segnext_pafpn.models.factory import build_model

DEPTHWISE = [  # channels, height, width, kernel size; of elanext_nano and mscan_tiny, the first at 480x352
    (64, 88, 120, (7, 7)),
    (64, 40, 56, (7, 7)),
    (32, 40, 56, (7, 7)),
    (64, 20, 28, (7, 7)),
    (128, 10, 14, (7, 7)),
    (32, 40, 56, (5, 5)),
    (32, 40, 56, (1, 21)),
]
POINTWISE = [  # channels in and out, height, width; of elanext_nano, the first at 480x352
    (256, 64, 88, 120),
    (64, 256, 40, 56),
    (256, 64, 40, 56),
    (128, 11, 40, 56),
    (256, 64, 20, 28),
    (512, 128, 10, 14),
    (256, 1024, 11, 15),  # too small a map, so PyTorch's own
]
NETWORKS = named("PAFPNeXt elanext_nano", "PAFPNeXt elanext_tiny", "SegNeXt mscan_tiny")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}

Side = Callable[[], object]


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", nargs=2, type=int, default=[224, 160], metavar=("WIDTH", "HEIGHT"), help="of a step")
    parser.add_argument("--only", nargs="*", metavar="NETWORK", choices=list(NETWORKS), help="the named ones")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="result file; default results/layers-cpu.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [
        {"what": what, "layout": layout, "precision": precision, **_time(step, arguments.rounds)}
        for layout, precision in itertools.product(LAYOUTS, PRECISIONS)
        for what, step in _steps(arguments, LAYOUTS[layout], PRECISIONS[precision])
    ]
    content = {
        "benchmark": "layers",
        "command": given_command(),
        "batch": arguments.batch,
        "size": arguments.size,
        "rounds": arguments.rounds,
        "environment": describe_environment("cpu"),
        "rows": rows,
    }
    write_result(content, arguments.out or RESULTS / "layers-cpu.json")
    Console(width=140).print(layers_table(content), highlight=False)


def _steps(
    arguments: argparse.Namespace, layout: torch.memory_format, dtype: torch.dtype
) -> Iterator[tuple[str, dict[str, Side]]]:
    """What is timed, by its name: ours, and PyTorch's."""

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(arguments.batch, *shape).contiguous(memory_format=layout)

    for channels, height, width, kernel_size in DEPTHWISE:
        name = f"gradient of a depthwise {kernel_size[0]}x{kernel_size[1]} kernel, {channels} x {height} x {width}"
        yield name, _depthwise(random(channels, height, width).to(dtype), kernel_size)
    for inputs, outputs, height, width in POINTWISE:
        x, upstream = random(inputs, height, width).to(dtype), random(outputs, height, width).to(dtype)
        yield f"1x1, {inputs} to {outputs} channels, {height} x {width}", _pointwise(x, upstream)
    width, height = arguments.size
    for name in NETWORKS if arguments.only is None else arguments.only:
        torch.manual_seed(0)
        network = build_model(NETWORKS[name], CLASSES).to(memory_format=layout)
        yield f"training step, {name}", _training(network, random(3, height, width), dtype)
        yield f"inference, {name}", _inference(network, random(3, height, width), dtype)


@contextlib.contextmanager
def _pytorchs_own() -> Iterator[None]:
    """Within it, no layer computes anything by itself."""
    with contextlib.ExitStack() as stack:
        for kind in (DepthwiseConv2d, PointwiseConv2d):
            stack.enter_context(patch.object(kind, "_is_slow", lambda layer, x: False))
        yield


def _both(step: Side) -> dict[str, Side]:
    def theirs() -> None:
        with _pytorchs_own():
            step()

    return {"ours": step, "pytorch": theirs}


def _depthwise(x: torch.Tensor, kernel_size: tuple[int, int]) -> dict[str, Side]:
    """The gradient of the weight alone, the forward pass done before."""
    conv = DepthwiseConv2d(x.shape[1], kernel_size, bias=False).to(x.dtype)
    upstream = torch.randn_like(x)
    ours = conv(x)
    with _pytorchs_own():
        theirs = conv(x)

    def gradient(output: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(output, conv.weight, upstream, retain_graph=True)[0]

    return {"ours": lambda: gradient(ours), "pytorch": lambda: gradient(theirs)}


def _pointwise(x: torch.Tensor, upstream: torch.Tensor) -> dict[str, Side]:
    conv = PointwiseConv2d(x.shape[1], upstream.shape[1]).to(x.dtype)
    x.requires_grad_()
    return _both(lambda: torch.autograd.grad(conv(x), [x, *conv.parameters()], upstream))


def _training(network: nn.Module, image: torch.Tensor, dtype: torch.dtype) -> dict[str, Side]:
    target = torch.randint(0, CLASSES, (image.shape[0], *image.shape[-2:]))

    def step() -> None:
        network.train()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            logits = network(image)
        F.cross_entropy(logits.float(), target).backward()
        network.zero_grad()

    return _both(step)


def _inference(network: nn.Module, image: torch.Tensor, dtype: torch.dtype) -> dict[str, Side]:
    @torch.inference_mode()
    def step() -> None:
        network.eval()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            network(image)

    return _both(step)


def _time(sides: dict[str, Side], rounds: int) -> dict[str, float]:
    """Median milliseconds of each side."""
    seconds = take_turns(sides, rounds, torch.device("cpu"))
    return {f"{name}_ms": round(1000 * statistics.median(times), 3) for name, times in seconds.items()}


if __name__ == "__main__":
    run_main(main)
