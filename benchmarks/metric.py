"""What the confusion matrix costs per batch, beside torchmetrics, smp and NumPy.

    python benchmarks/metric.py
    python benchmarks/metric.py --device cuda --batch 16 --size 480 360

All count the same labels; the script stops if any count differs. Rounds are interleaved, rows are medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from rich.table import Table
from torchmetrics.classification import MulticlassConfusionMatrix

from segnext_pafpn.evaluation.metrics import ConfusionMatrix

IGNORE = 255


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", nargs=2, type=int, default=[480, 360], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--classes", nargs="+", type=int, default=[2, 11, 19, 150])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, help="result file; default results/metric-DEVICE.json")
    arguments = parser.parse_args()
    rows = [row for classes in arguments.classes for row in _measure(arguments, classes)]
    content = {
        "benchmark": "metric",
        "command": given_command(),
        "size": arguments.size,
        "batch": arguments.batch,
        "rounds": arguments.rounds,
        "environment": describe_environment(arguments.device),
        "rows": rows,
    }
    out = arguments.out or RESULTS / f"metric-{torch.device(arguments.device).type}.json"
    write_result(content, out)
    table = Table("classes", "metric", "ms per batch", title=f"{arguments.device}, batch of {arguments.batch}")
    for row in rows:
        table.add_row(str(row["classes"]), row["metric"], f"{row['ms']:.2f}")
    Console().print(table)


def _measure(arguments: argparse.Namespace, classes: int) -> list[dict]:
    device = torch.device(arguments.device)
    width, height = arguments.size
    generator = torch.Generator().manual_seed(0)
    shape = (arguments.batch, height, width)
    target = torch.randint(0, classes, shape, generator=generator)
    prediction = torch.where(
        torch.rand(shape, generator=generator) < 0.8, target, torch.randint(0, classes, shape, generator=generator)
    )
    target[torch.rand(shape, generator=generator) < 0.05] = IGNORE
    prediction, target = prediction.to(device), target.to(device)
    counters = _counters(classes, device)
    true_positives = [counter(prediction, target) for counter in counters.values()]
    for name, found in zip(counters, true_positives, strict=True):
        if not np.array_equal(found, true_positives[0]):
            raise SystemExit(f"{name} counts other true positives than {next(iter(counters))}.")
    seconds: dict[str, list[float]] = {name: [] for name in counters}
    for _ in range(arguments.rounds):
        for name, counter in counters.items():
            start = time.perf_counter()
            counter(prediction, target)
            seconds[name].append(time.perf_counter() - start)
    return [
        {"classes": classes, "metric": name, "ms": round(1000 * statistics.median(times), 3)}
        for name, times in seconds.items()
    ]


def _counters(classes: int, device: torch.device) -> dict[str, Callable]:
    """Each counts one batch and reads the true positives (K,) back, so that all wait for the device alike."""

    def ours(prediction: torch.Tensor, target: torch.Tensor) -> np.ndarray:
        metric = ConfusionMatrix(classes).to(device)
        metric.update(prediction, target)
        return metric.compute().diagonal().cpu().numpy()

    def torchmetrics(prediction: torch.Tensor, target: torch.Tensor) -> np.ndarray:
        metric = MulticlassConfusionMatrix(classes, ignore_index=IGNORE, validate_args=False).to(device)
        metric.update(prediction, target)
        return metric.compute().diagonal().cpu().numpy()

    def smp_stats(prediction: torch.Tensor, target: torch.Tensor) -> np.ndarray:
        stats = smp.metrics.get_stats(prediction, target, mode="multiclass", num_classes=classes, ignore_index=IGNORE)
        return stats[0].sum(dim=0).cpu().numpy()

    def numpy_histogram(prediction: torch.Tensor, target: torch.Tensor) -> np.ndarray:
        truth, found = target.cpu().numpy().ravel(), prediction.cpu().numpy().ravel()
        counted = truth != IGNORE
        cells = np.bincount(truth[counted] * classes + found[counted], minlength=classes**2)
        return cells.reshape(classes, classes).diagonal()

    return {
        "ConfusionMatrix": ours,
        "torchmetrics MulticlassConfusionMatrix": torchmetrics,
        "smp get_stats": smp_stats,
        "numpy.bincount": numpy_histogram,
    }


if __name__ == "__main__":
    run_main(main)
