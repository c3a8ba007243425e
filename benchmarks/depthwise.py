"""The weight gradient of depthwise convolutions on a CPU, PyTorch's own beside ours, alone and in a training step.

    python benchmarks/depthwise.py
    python benchmarks/depthwise.py --threads 1 --rounds 20

A layer's row is the backward pass of its weight alone. A network's row is a whole step without the optimizer; the
same network with the same weights, whose layers take one gradient or the other. Sides take turns, rows are medians.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from environment import describe_environment
from networks import named
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from speed_paths import CLASSES
from table_rates import depthwise_table
from torch import nn

from segnext_pafpn.layers.depthwise import DepthwiseConv2d
from segnext_pafpn.models.factory import build_model

LAYERS = [  # channels, height, width, kernel size; of elanext_nano and mscan_tiny, the first at 480x352
    (64, 88, 120, (7, 7)),
    (64, 40, 56, (7, 7)),
    (40, 40, 56, (7, 7)),
    (64, 20, 28, (7, 7)),
    (160, 10, 14, (7, 7)),
    (32, 40, 56, (5, 5)),
    (32, 40, 56, (1, 21)),
]
NETWORKS = named("PAFPNeXt elanext_nano", "PAFPNeXt elanext_tiny", "SegNeXt mscan_tiny")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", nargs=2, type=int, default=[224, 160], metavar=("WIDTH", "HEIGHT"), help="of a step")
    parser.add_argument("--only", nargs="*", metavar="NETWORK", choices=list(NETWORKS), help="the named ones")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="result file; default results/depthwise-cpu.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [
        row
        for (layout, memory_format), (precision, dtype) in itertools.product(LAYOUTS.items(), PRECISIONS.items())
        for row in _measure(arguments, {"layout": layout, "precision": precision}, memory_format, dtype)
    ]
    content = {
        "benchmark": "depthwise",
        "command": given_command(),
        "batch": arguments.batch,
        "size": arguments.size,
        "rounds": arguments.rounds,
        "environment": describe_environment("cpu"),
        "rows": rows,
    }
    write_result(content, arguments.out or RESULTS / "depthwise-cpu.json")
    Console(width=140).print(depthwise_table(content), highlight=False)


def _measure(
    arguments: argparse.Namespace, key: dict, memory_format: torch.memory_format, dtype: torch.dtype
) -> Iterator[dict]:
    for channels, height, width, kernel_size in LAYERS:
        x = torch.randn(arguments.batch, channels, height, width).to(dtype).contiguous(memory_format=memory_format)
        name = f"{channels} x {height} x {width}, {kernel_size[0]}x{kernel_size[1]}"
        yield {"what": name, **key, **_time(_layer(x, kernel_size), arguments.rounds)}
    width, height = arguments.size
    for name in NETWORKS if arguments.only is None else arguments.only:
        torch.manual_seed(0)
        network = build_model(NETWORKS[name], CLASSES).train().to(memory_format=memory_format)
        image = torch.randn(arguments.batch, 3, height, width).contiguous(memory_format=memory_format)
        yield {"what": name, **key, **_time(_network(network, image, dtype), arguments.rounds)}


def _pytorchs_own() -> patch:
    """Within it, no layer takes its own gradient."""
    return patch.object(DepthwiseConv2d, "_is_slow", lambda layer, x: False)


def _layer(x: torch.Tensor, kernel_size: tuple[int, int]) -> dict[str, Callable[[], object]]:
    """The gradient of the weight alone, the forward pass done before."""
    conv = DepthwiseConv2d(x.shape[1], kernel_size, bias=False).to(x.dtype)
    upstream = torch.randn_like(x)
    ours = conv(x)
    with _pytorchs_own():
        theirs = conv(x)

    def gradient(output: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(output, conv.weight, upstream, retain_graph=True)[0]

    return {"ours": lambda: gradient(ours), "pytorch": lambda: gradient(theirs)}


def _network(network: nn.Module, image: torch.Tensor, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    target = torch.randint(0, CLASSES, (image.shape[0], *image.shape[-2:]))

    def step() -> None:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            logits = network(image)
        F.cross_entropy(logits.float(), target).backward()
        network.zero_grad()

    def theirs() -> None:
        with _pytorchs_own():
            step()

    return {"ours": step, "pytorch": theirs}


def _time(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each side."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if turn:  # the first chooses algorithms
                seconds[name].append(time.perf_counter() - start)
    return {f"{name}_ms": round(1000 * statistics.median(times), 3) for name, times in seconds.items()}


if __name__ == "__main__":
    run_main(main)
