"""One very large image: our windows beside MONAI's ``sliding_window_inference``, on the same network.

    python benchmarks/windows.py                                     # 10,000 x 10,000, on what this machine has
    python benchmarks/windows.py --side 3000 --rounds 3
    python benchmarks/windows.py --checkpoint runs/quickstart        # a trained network, whose labels are less close

All go from the same uint8 picture in memory to a label map in memory, one window at a time, with the same weights,
window, overlap and Gaussian. MONAI is given the picture normalised as a whole, in place, as its transforms would, and
its logits become the most likely class. It is measured twice: with the network that our side runs, folded and
channels_last, which the ratios refer to, and with the network as it comes from training. So are we: in float32, and
with ``--precision bf16-mixed`` of ``predict``.

Each run has a process of its own, and the sides take turns. Memory is what the process grows by from when it holds
modules, network and picture: on a CPU the most it ever held, on a GPU the most that torch had allocated.
"""

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from table_sides import windows_table
from windows_sides import WAYS, facts, measure

MONAI = "MONAI, the same network"  # what the others are compared with


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=10_000, help="pixels of the picture's height and width")
    parser.add_argument("--window", type=int, default=768, help="side of a window")
    parser.add_argument("--overlap", type=float, default=0.5, help="of neighbours, as a fraction of a window")
    parser.add_argument("--encoder", default="elanext_nano", help="of PAFPNeXt with random weights")
    parser.add_argument("--classes", type=int, default=11, help="of that network")
    parser.add_argument("--checkpoint", help="folder of a run, in place of random weights")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda if there is one")
    parser.add_argument("--only", nargs="*", metavar="WAY", choices=list(WAYS), help=f"the named ones, and '{MONAI}'")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="result file; default results/windows-DEVICE.json")
    arguments = parser.parse_args()
    found = _alone(facts, arguments.device)
    device = found["device"]
    options = {
        key: getattr(arguments, key) for key in ("side", "window", "overlap", "encoder", "classes", "checkpoint")
    }
    ways = [name for name in WAYS if arguments.only is None or name in (*arguments.only, MONAI)]
    runs: dict[str, list[dict]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        labels = {name: Path(folder) / f"{name}.npy" for name in ways}
        for _ in range(arguments.rounds):
            for name in ways:
                runs[name].append(_alone(measure, name, device, options, labels[name]))
        equal = {name: _share_of_equal_labels(labels[name], labels[MONAI]) for name in ways}
    content = {
        "benchmark": "windows",
        "command": given_command(),
        "network": f"PAFPNeXt {arguments.encoder}, random weights" if arguments.checkpoint is None else "a trained one",
        "device": device,
        "rounds": arguments.rounds,
        **options,
        "windows": runs[MONAI][0]["windows"],
        "reference": MONAI,
        "environment": found["environment"],
        "rows": [{**_row(name, results), "equal_labels_percent": equal[name]} for name, results in runs.items()],
    }
    write_result(content, arguments.out or RESULTS / f"windows-{device}.json")
    Console(width=140).print(windows_table(content), highlight=False)


def _alone(function: Callable[..., dict], *arguments: object) -> dict:
    """The function's result, from a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _share_of_equal_labels(first: Path, second: Path) -> float:
    """Percent of the pixels, cut off, not rounded up, after four decimals."""
    equal = np.load(first) == np.load(second)
    return int(1e6 * equal.mean()) / 1e4


def _row(name: str, runs: list[dict]) -> dict:
    seconds = [run["seconds"] for run in runs]
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    return {
        "name": name,
        "seconds": round(median, 2),
        "seconds_quartiles": [round(low, 2), round(high, 2)],
        "grown_mib": round(statistics.median(run["peak_mib"] - run["start_mib"] for run in runs)),
        "start_mib": round(statistics.median(run["start_mib"] for run in runs)),
    }


if __name__ == "__main__":
    run_main(main)
