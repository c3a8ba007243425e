"""How fast: training steps and inference, ours beside smp's, interleaved in one process.

    python benchmarks/speed.py                                   # what this machine has: CPU, or GPU
    python benchmarks/speed.py --size 1024 512 --batch 1 --only "PAFPNeXt elanext_tiny" "FPN resnet18"

Every case is timed once per round and the rounds follow each other, so that a slow minute of the machine hits all
alike; a call before it, which is not timed, gets the memory that a loop of the same calls has at hand. A row is the
median over the rounds with its quartiles. Sizes are width and height. On a GPU
a row also has the floor (see floor.py), in bfloat16 for every path.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from environment import describe_environment
from networks import named
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from rich.table import Table
from roofline import H100_GBPS, H100_TFLOPS, Floor, measure_floor
from sides import wait
from speed_paths import CLASSES, INFERENCE, TRAINING, Unavailable

from segnext_pafpn.models.factory import build_model

NETWORKS = named(
    "PAFPNeXt elanext_nano",
    "PAFPNeXt elanext_tiny",
    "DeepLabV3Plus resnet18",
    "DeepLabV3Plus resnet50",
    "FPN resnet18",
    "Unet resnet18",
    "UPerNet convnext_atto",
    "SegFormer mit_b0",
)


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", nargs=2, type=int, default=[480, 352], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=[torch.get_num_threads()], help="of the CPU")
    parser.add_argument("--only", nargs="*", metavar="NETWORK", choices=list(NETWORKS), help="the named ones")
    parser.add_argument("--paths", nargs="*", metavar="PATH", choices=[*INFERENCE, *TRAINING], help="the named ones")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tflops", type=float, default=H100_TFLOPS, help="of the GPU in bfloat16, for the floor")
    parser.add_argument("--gbps", type=float, default=H100_GBPS, help="of the GPU's memory, for the floor")
    parser.add_argument("--out", type=Path, help="result file; default results/speed-DEVICE.json")
    arguments = parser.parse_args()
    out = arguments.out or RESULTS / f"speed-{torch.device(arguments.device).type}.json"
    rows: list[dict] = []
    content = {
        "benchmark": "speed",
        "command": given_command(),
        "size": arguments.size,
        "rounds": arguments.rounds,
        "environment": describe_environment(arguments.device),
        "rows": rows,
    }
    for threads, batch in itertools.product(arguments.threads, arguments.batch):
        torch.set_num_threads(threads)
        rows += _measure(arguments, batch, threads)
        write_result(content, out)
    _show(rows)


def _measure(arguments: argparse.Namespace, batch: int, threads: int) -> list[dict]:
    width, height = arguments.size
    device = torch.device(arguments.device)
    cases: list[tuple[dict, Callable[[], object] | None]] = []
    floors: dict[tuple[str, str], Floor] = {}
    for name, job, path, prepare in _cases(arguments):
        row = {"network": name, "job": job, "path": path, "batch": batch, "threads": threads, "size": arguments.size}
        torch.manual_seed(0)
        network = build_model(NETWORKS[name], CLASSES).to(device)
        image = torch.randn(batch, 3, height, width, device=device)
        row["million_parameters"] = round(sum(p.numel() for p in network.parameters()) / 1e6, 2)
        try:
            if (name, job) not in floors:
                floors[name, job] = measure_floor(network, image, job == "train", arguments.tflops, arguments.gbps)
            floor = floors[name, job]
            row["gflop"] = round(floor.gflop, 2)
            run = prepare(network, image)
            run()  # compiles, chooses algorithms
        except Unavailable as reason:
            row["not_measured"] = str(reason)
            run = None
        if run is not None:
            row["peak_mib"] = _peak_memory(run, device)
            if device.type == "cuda":
                row["floor_ms"] = round(floor.milliseconds, 4)
        cases.append((row, run))
    seconds: list[list[float]] = [[] for _ in cases]
    for _ in range(arguments.rounds):
        for (_, run), times in zip(cases, seconds, strict=True):
            if run is not None:
                run()
                times.append(_time(run, device))
    return [_finish(row, times) for (row, _), times in zip(cases, seconds, strict=True)]


def _cases(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str, Callable]]:
    for name in arguments.only or NETWORKS:
        for job, paths in (("train", TRAINING), ("predict", INFERENCE)):
            for path, prepare in paths.items():
                if arguments.paths is None or path in arguments.paths:
                    yield name, job, path, prepare


def _time(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call; on a GPU, of as many calls as take 50 ms, so that the clock's grain does not show."""
    calls = 1
    while True:
        wait(device)
        start = time.perf_counter()
        for _ in range(calls):
            run()
        wait(device)
        seconds = time.perf_counter() - start
        if device.type == "cpu" or seconds > 0.05:
            return seconds / calls
        calls *= 4


def _peak_memory(run: Callable[[], object], device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return torch.cuda.max_memory_allocated(device) // 2**20


def _finish(row: dict, times: list[float]) -> dict:
    if not times:
        return row
    low, median, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    row["ms"] = round(1000 * median, 3)
    row["ms_quartiles"] = [round(1000 * low, 3), round(1000 * high, 3)]
    row["images_per_second"] = round(row["batch"] / median, 2)
    row["gflop_per_second"] = round(row["gflop"] / median, 1)
    if "floor_ms" in row:
        row["share_of_floor"] = round(row["floor_ms"] / row["ms"], 3)
    return row


def _show(rows: list[dict]) -> None:
    table = Table(title="median over the rounds")
    for column in ("job", "path", "network", "M", "batch", "threads", "ms", "quartiles", "images/s", "GFLOP/s"):
        table.add_column(column, justify="left" if column in ("job", "path", "network") else "right")
    for row in sorted(rows, key=lambda r: (r["job"], r["path"], r["batch"], r["threads"], r.get("ms", 0))):
        quartiles = "-".join(f"{q:.1f}" for q in row["ms_quartiles"]) if "ms" in row else row["not_measured"]
        values = ("million_parameters", "batch", "threads", "ms")
        figures = [str(row.get(v, "")) for v in values]
        rest = [str(row.get(v, "")) for v in ("images_per_second", "gflop_per_second")]
        table.add_row(row["job"], row["path"], row["network"], *figures, quartiles, *rest)
    Console(width=180).print(table)


if __name__ == "__main__":
    run_main(main)
