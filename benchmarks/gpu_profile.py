"""Where a step's time goes: seconds of each kind of operation, and how long the device had nothing to do.

    python benchmarks/gpu_profile.py                                        # a GPU where there is one
    python benchmarks/gpu_profile.py --only "PAFPNeXt elanext_tiny" --paths "train channels_last bfloat16"

A row is the mean of some steps under PyTorch's profiler. ``ms`` is the time of a step without the profiler, ``busy_ms``
the sum of what ran on the device; on a GPU what is missing is the time in which kernels were not launched fast enough.
"""

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from sides import wait
from speed import NETWORKS
from speed_paths import CLASSES, INFERENCE, TRAINING, Unavailable
from table_rates import profile_table
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from segnext_pafpn.models.factory import build_model

KINDS = {  # by the name of the operation; the first that is found in it
    "optimizer": r"_fused_adam|_foreach|optimizer",
    "norms": r"batch_norm|group_norm|layer_norm",
    "matrix products": r"::(add)?mm|bmm|matmul|::linear|attention",
    "activations": r"gelu|relu|silu|sigmoid|softmax",
    "resizing": r"upsample|interpolate|avg_pool|max_pool",
    "loss": r"nll_loss|cross_entropy",
    "biases and sums": r"::add|::sum",
    "copies and casts": r"copy_|::cat|::to|clone|contiguous",
    "compiled": r"triton",
}


def main() -> None:
    """Profile, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cuda", "cpu"])
    parser.add_argument("--size", nargs=2, type=int, default=[480, 352], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", nargs="+", metavar="NETWORK", choices=list(NETWORKS), help="the named ones")
    parser.add_argument("--paths", nargs="+", metavar="PATH", choices=[*TRAINING, *INFERENCE])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=Path, help="result file; default results/profile-DEVICE.json")
    arguments = parser.parse_args()
    width, height = arguments.size
    rows = []
    for path in arguments.paths or ["train channels_last bfloat16", "fused channels_last bfloat16"]:
        for name in arguments.only or list(NETWORKS):
            torch.manual_seed(0)
            network = build_model(NETWORKS[name], CLASSES).to(arguments.device)
            image = torch.randn(arguments.batch, 3, height, width, device=arguments.device)
            try:
                run = {**TRAINING, **INFERENCE}[path](network, image)
            except Unavailable as reason:
                rows.append({"network": name, "path": path, "not_measured": str(reason)})
                continue
            rows.append({"network": name, "path": path, **measure(run, arguments.device, arguments.steps)})
    content = {
        "benchmark": "profile",
        "command": given_command(),
        "size": arguments.size,
        "batch": arguments.batch,
        "steps": arguments.steps,
        "environment": describe_environment(arguments.device),
        "rows": rows,
    }
    write_result(content, arguments.out or RESULTS / f"profile-{arguments.device}.json")
    Console(width=200).print(profile_table(content), highlight=False)


def measure(run: Callable[[], object], device: str, steps: int) -> dict:
    """Milliseconds of a step, and of each kind of operation in it, and the ten operations that take longest."""
    for _ in range(3):
        run()
    seconds = _seconds(run, device, steps)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities, record_shapes=True) as profiler:
        _seconds(run, device, steps)
    kinds: dict[str, float] = defaultdict(float)
    operations = []
    launches = 0
    for event in profiler.key_averages(group_by_input_shape=True):
        if event.device_type != DeviceType.CPU:  # a kernel, which its operation has counted
            launches += event.count
            continue
        spent = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        if spent > 0 and not event.key.startswith("ProfilerStep"):
            kind = kind_of(event.key, event.input_shapes)
            kinds[kind] += spent / steps / 1000
            operations.append((spent / steps / 1000, event.key, str(event.input_shapes), event.count / steps))
    operations.sort(reverse=True)
    return {
        "ms": round(1000 * seconds, 3),
        "busy_ms": round(sum(kinds.values()), 3),
        "kernels": round(launches / steps),
        "kinds_ms": {kind: round(kinds[kind], 3) for kind in sorted(kinds, key=lambda k: -kinds[k])},
        "longest": [
            {"ms": round(spent, 4), "operation": key, "shapes": shapes[:160], "calls": calls}
            for spent, key, shapes, calls in operations[:10]
        ],
    }


def _seconds(run: Callable[[], object], device: str, steps: int) -> float:
    """Of one call, on average."""
    start = time.perf_counter()
    for _ in range(steps):
        run()
    wait(torch.device(device))
    return (time.perf_counter() - start) / steps


def kind_of(name: str, shapes: list) -> str:
    """What an operation is counted as; convolutions are told apart by the shape of their weight."""
    if "conv" in name.lower():
        backward = "backward" in name.lower()
        weight = next((s for s in (shapes[2:0:-1] if backward else shapes[1:]) if len(s) == 4), [0, 0, 0, 0])
        if weight[1] == 1 and weight[0] > 1:
            form = "depthwise"
        else:
            form = "1x1" if weight[2:] == [1, 1] else "dense"
        return f"{form} convolutions, {'backward' if backward else 'forward'}"
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name.lower())), "others")


if __name__ == "__main__":
    run_main(main)
