"""What the fast ways of predicting gain and cost: images a second and mIoU of one network, beside plain float32.

    python benchmarks/fast_path.py --checkpoint runs/camvid-cpu --root PATH/TO/CamVid
    python benchmarks/fast_path.py --checkpoint runs/camvid-cpu --root PATH/TO/CamVid \
        --ways "fused float32" "tta flip" "tta multi-scale" --out benchmarks/results/tta-cpu.json

Every way is the package's own ``Predictor`` with other options, fed with the split's pictures, which are read before.
The first is put back into PyTorch's own memory layout, NCHW; a ``Predictor`` is in channels_last.
The ways take turns; a row is the median over the rounds. The first, untimed round scores each way by the labels it
gives, in the pictures' own size, and compiles.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from rich.table import Table
from torch import nn

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.evaluation.metrics import ConfusionMatrix
from segnext_pafpn.evaluation.scores import scores_from_matrix
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models.bundle import load_preprocessing
from segnext_pafpn.models.tta import VIEWS

NCHW = "plain float32, NCHW"
WAYS = {  # options of Predictor
    NCHW: {"fuse": False},
    "plain float32": {"fuse": False},
    "fused float32": {},
    "fused bfloat16": {"precision": "bf16-mixed"},
    "compiled float32": {"compile": True},
    "compiled bfloat16": {"compile": True, "precision": "bf16-mixed"},
}
SLOWER = {f"tta {name}": {"tta": name} for name in VIEWS if name != "none"}  # fused float32, too


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="folder of a finished run")
    parser.add_argument("--card", default="camvid")
    parser.add_argument("--root", help="folder of the data set, where the card does not say it")
    parser.add_argument("--split", default="val")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--ways", nargs="+", choices=[*WAYS, *SLOWER], default=list(WAYS), help="the named ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="result file; default results/fast-path-DEVICE.json")
    arguments = parser.parse_args()
    load_preprocessing(arguments.checkpoint)  # refuses what is none before the pictures are read
    images, truths = _read(arguments)
    options = {**WAYS, **SLOWER}
    predictors = {
        way: Predictor.from_checkpoint(
            arguments.checkpoint, arguments.device, batch_size=arguments.batch, **options[way]
        )
        for way in arguments.ways
    }
    if NCHW in predictors:
        _lay_out_nchw(predictors[NCHW].model)
    masks = {way: predictor.predict_batch(images) for way, predictor in predictors.items()}
    seconds: dict[str, list[float]] = {way: [] for way in predictors}
    for _ in range(arguments.rounds):
        for way, predictor in predictors.items():
            start = time.perf_counter()
            predictor.predict_batch(images)
            seconds[way].append(time.perf_counter() - start)
    classes = len(load_card(arguments.card).classes)
    rows = []
    for way in arguments.ways:
        same = np.mean([np.mean(a == b) for a, b in zip(masks[way], masks[arguments.ways[0]], strict=True)])
        rows.append(
            {
                "way": way,
                "images_per_second": round(len(images) / statistics.median(seconds[way]), 2),
                "seconds": [round(value, 3) for value in seconds[way]],
                "mIoU": round(100 * _mean_iou(masks[way], truths, classes), 3),
                "equal_labels_percent": round(100 * float(same), 3),
            }
        )
    content = {
        "benchmark": "fast-path",
        "command": given_command(),
        "data": f"card '{arguments.card}', {len(images)} pictures of split '{arguments.split}'",
        "network": Path(arguments.checkpoint).name,
        "image_size": load_preprocessing(arguments.checkpoint).image_size,
        "batch": arguments.batch,
        "rounds": arguments.rounds,
        "environment": describe_environment(arguments.device),
        "rows": rows,
    }
    write_result(content, arguments.out or RESULTS / f"fast-path-{torch.device(arguments.device).type}.json")
    _show(rows)


def _read(arguments: argparse.Namespace) -> tuple[list[np.ndarray], list[np.ndarray]]:
    data = SegmentationDataModule(DataConfig(card=arguments.card, root=arguments.root))
    samples = data.samples(arguments.split)
    return [data.reader.read_image(sample) for sample in samples], [data.read_truth(sample) for sample in samples]


def _lay_out_nchw(model: nn.Module) -> None:
    model.to(memory_format=torch.contiguous_format)
    model.register_forward_pre_hook(lambda _, inputs: tuple(x.contiguous() for x in inputs))


def _mean_iou(masks: list[np.ndarray], truths: list[np.ndarray], classes: int) -> float:
    matrix = ConfusionMatrix(classes)
    for mask, truth in zip(masks, truths, strict=True):
        matrix.update(torch.from_numpy(mask)[None], torch.from_numpy(truth)[None])
    return scores_from_matrix(matrix.compute().cpu()).mIoU


def _show(rows: list[dict]) -> None:
    table = Table("way", "images/s", "times the first", "mIoU %", "equal labels %")
    for row in rows:
        ratio = row["images_per_second"] / rows[0]["images_per_second"]
        figures = (row["images_per_second"], f"{ratio:.2f}", row["mIoU"], row["equal_labels_percent"])
        table.add_row(row["way"], *map(str, figures))
    Console().print(table)


if __name__ == "__main__":
    run_main(main)
