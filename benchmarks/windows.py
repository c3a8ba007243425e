"""One very large image: our windows beside MONAI's ``sliding_window_inference``, on the same network.

    python benchmarks/windows.py                                     # 10,000 x 10,000, on what this machine has
    python benchmarks/windows.py --side 3000 --rounds 3
    python benchmarks/windows.py --checkpoint runs/quickstart        # a trained network, whose labels are less close

Both sides go from the same uint8 picture in memory to a label map in memory, with one and the same folded
channels_last network, one window at a time, the same window, overlap and Gaussian. MONAI is given the picture
normalised as a whole, in place, as its transforms would, and its logits become the most likely class. Ours lays its
windows evenly, MONAI draws the last one of a row back: the labels can differ unless whole steps fill the side, as at
9984, so that this side shows what else they differ by.

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
from result_files import RESULTS, given_command, write_result
from rich.console import Console
from table_sides import windows_table
from windows_sides import facts, measure

SIDES = ("segnext_pafpn", "MONAI")


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
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="result file; default results/windows-DEVICE.json")
    arguments = parser.parse_args()
    found = _alone(facts, arguments.device)
    device = found["device"]
    options = {
        key: getattr(arguments, key) for key in ("side", "window", "overlap", "encoder", "classes", "checkpoint")
    }
    runs: dict[str, list[dict]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        labels = {name: Path(folder) / f"{name}.npy" for name in SIDES}
        for _ in range(arguments.rounds):
            for name in SIDES:
                runs[name].append(_alone(measure, name, device, options, labels[name]))
        same = _share_of_equal_labels(*labels.values())
    content = {
        "benchmark": "windows",
        "command": given_command(),
        "network": f"PAFPNeXt {arguments.encoder}, random weights" if arguments.checkpoint is None else "a trained one",
        "device": device,
        "rounds": arguments.rounds,
        **options,
        "windows": runs[SIDES[0]][0]["windows"],
        "equal_labels_percent": same,
        "environment": found["environment"],
        "rows": [_row(name, results) for name, results in runs.items()],
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
    low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    return {
        "name": name,
        "seconds": round(median, 2),
        "seconds_quartiles": [round(low, 2), round(high, 2)],
        "grown_mib": round(statistics.median(run["peak_mib"] - run["start_mib"] for run in runs)),
        "start_mib": round(statistics.median(run["start_mib"] for run in runs)),
    }


if __name__ == "__main__":
    main()
