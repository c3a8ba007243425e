"""The least time each network of ``speed.py`` can take on a GPU, from its shapes alone: runs anywhere, in seconds.

    python benchmarks/floor.py                               # NVIDIA H100
    python benchmarks/floor.py --tflops 312 --gbps 2039      # another one

A layer takes as long as its arithmetic or its memory traffic, whichever is longer; only convolutions and matrix
products count. What a network really takes there, and which share of that is this floor, is in ``speed.py``'s rows.
"""

import argparse
from pathlib import Path

import torch
from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from roofline import H100_GBPS, H100_TFLOPS, measure_floor
from speed import NETWORKS
from speed_paths import CLASSES, Unavailable
from table_rates import floor_table

from segnext_pafpn.models.factory import build_model


def main() -> None:
    """Count, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs=2, type=int, default=[480, 352], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(NETWORKS), help="the named networks")
    parser.add_argument(
        "--tflops", type=float, default=H100_TFLOPS, help="10^12 operations a second of the GPU, bfloat16"
    )
    parser.add_argument("--gbps", type=float, default=H100_GBPS, help="10^9 bytes a second of its memory")
    parser.add_argument("--out", type=Path, default=RESULTS / "roofline.json")
    arguments = parser.parse_args()
    width, height = arguments.size
    rows = []
    for name in arguments.only or NETWORKS:
        network = build_model(NETWORKS[name], CLASSES)
        for job in ("train", "predict"):
            for batch in arguments.batch:
                image = torch.empty(batch, 3, height, width, device="meta")
                row = {"network": name, "job": job, "batch": batch}
                try:
                    floor = measure_floor(network, image, job == "train", arguments.tflops, arguments.gbps)
                    row["gflop"] = round(floor.gflop, 2)
                    row["gbyte"] = round(floor.gbyte, 4)
                    row["floor_ms"] = round(floor.milliseconds, 4)
                except Unavailable as reason:
                    row["not_measured"] = str(reason)
                rows.append(row)
    content = {
        "benchmark": "roofline",
        "command": given_command(),
        "size": arguments.size,
        "tflops": arguments.tflops,
        "gbps": arguments.gbps,
        "environment": describe_environment(),
        "rows": rows,
    }
    write_result(content, arguments.out)
    Console(width=140).print(floor_table(content), highlight=False)


if __name__ == "__main__":
    run_main(main)
