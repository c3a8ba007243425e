"""Slices a second from compressed NIfTI volumes in the random order of training, by what is kept of them.

    python benchmarks/volumes.py --cases 8 --slices 40 --side 256

The volumes are smoothed noise over a body, int16 as CT is, made in a temporary folder in nnU-Net's layout; image and
label slices are read through the reader ``nnunet``, in one process. ``nothing kept`` unpacks the file for every
slice. The files lie in the system's memory after they were written: this times decoding, not the disk.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from scipy import ndimage

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import Reader, Sample, build_reader


def write_cases(root: Path, cases: int, slices: int, side: int) -> None:
    """A folder of nnU-Net with two labels."""
    import nibabel

    values = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps({**values, "numTraining": cases}))
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    body = rows**2 + columns**2 < 0.2
    for case in range(cases):
        noise = np.random.default_rng(case).normal(0, 1, (slices, side, side)).astype(np.float32)
        volume = np.where(body, 40 + 60 * ndimage.gaussian_filter(noise, 1) / 0.3, -1000).astype(np.int16)
        label = (ndimage.gaussian_filter(noise, 8) > 0.01) & body
        for path, array in (
            (f"imagesTr/case{case}_0000.nii.gz", volume),
            (f"labelsTr/case{case}.nii.gz", label.astype(np.uint8)),
        ):
            (root / path).parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array.T, np.diag([0.8, 0.8, 3, 1])), root / path)


def rate(reader: Reader, samples: list[Sample], order: np.ndarray) -> float:
    """Pairs of image and mask read a second."""
    begin = time.perf_counter()
    for index in order:
        reader.read_image(samples[index])
        reader.read_mask(samples[index])
    return len(order) / (time.perf_counter() - begin)


def main() -> None:
    """Parse, measure, file, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--count", type=int, default=60, help="slices to read where nothing is kept")
    parser.add_argument("--out", type=Path, default=RESULTS / "volumes.json")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_cases(root, arguments.cases, arguments.slices, arguments.side)
        card = load_card(folder)
        ways = {"nothing kept": {"cache_mb": 0}, "volumes kept": {}, "unpacked and mapped": {"unpack": "unpacked"}}
        for name, options in ways.items():
            reader = build_reader(card, layout={"folds": 2, **options})
            samples = reader.list_samples("train").samples
            order = np.random.default_rng(0).permutation(len(samples))
            first = rate(reader, samples, order[: arguments.count] if name == "nothing kept" else order)
            again = first if name == "nothing kept" else max(rate(reader, samples, order) for _ in range(3))
            results[name] = {"first_epoch": round(first, 1), "later_epochs": round(again, 1)}
            Console().print(f"{name}: {first:.0f} slices/s in the first epoch, {again:.0f} afterwards")
    content = {
        "benchmark": "volumes",
        "command": given_command(),
        "environment": describe_environment("cpu"),
        "slices_per_second": results,
        "arguments": {key: value for key, value in vars(arguments).items() if key != "out"},
    }
    write_result(content, arguments.out)


if __name__ == "__main__":
    run_main(main)
