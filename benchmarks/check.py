"""How fast ``segnext-pafpn check`` reads a data set, beside a plain loop of Pillow and numpy over the same files.

    python benchmarks/check.py --root PATH/TO/CamVid --count 5000

The files of one split are listed over and over until there are ``--count`` pairs, so after the first round they come
from memory: this times decoding and counting, not the disk. Each way runs ``--rounds`` times, in turn; the fastest
round of each counts.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from environment import describe_environment
from PIL import Image
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from rich.table import Table

from segnext_pafpn.data.card import Card, load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.check.sample import look_at
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import Listing, Reader, Sample, build_reader
from segnext_pafpn.ids import IGNORED_ID, MAX_ID


class Repeated:
    """A reader whose one split is ``samples``."""

    def __init__(self, reader: Reader, samples: list[Sample]):
        self.samples = samples
        self.read_image = reader.read_image
        self.read_mask = reader.read_mask

    def list_samples(self, split: str) -> Listing:
        """All of them."""
        return Listing(self.samples)


def plain_loop(samples: list[Sample]) -> np.ndarray:
    """What one would write in a notebook: decode both files, compare their sizes, count the ids."""
    counts = np.zeros(MAX_ID + 1, dtype=np.int64)
    for sample in samples:
        image = np.asarray(Image.open(sample.image).convert("RGB"))
        mask = np.asarray(Image.open(sample.mask))
        assert image.shape[:2] == mask.shape
        counts += np.bincount(mask.ravel(), minlength=MAX_ID + 1)
    return counts


def in_processes(samples: list[Sample], card: Card, reader: Reader, workers: int) -> np.ndarray:
    """The check's own work on each pair, done by processes; their start counts, as a user waits for it."""
    counts = np.zeros(IGNORED_ID + 1, dtype=np.int64)
    look = partial(look_at, reader=reader, labels=LabelMap(card), form=card.image, details=False)
    with ProcessPoolExecutor(workers) as pool:
        for finding in pool.map(look, samples, chunksize=8):
            counts[finding.ids] += finding.counts
    return counts[:IGNORED_ID]


def main() -> None:
    """Parse, measure, file, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--card", default="camvid", help="its card")
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=5000, help="pairs to read")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="threads, and processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "check.json")
    arguments = parser.parse_args()
    card = load_card(arguments.card)
    reader = build_reader(card, arguments.root)
    samples = list(islice(cycle(reader.list_samples(arguments.split).samples), arguments.count))
    repeated = Repeated(reader, samples)

    def check(details: bool, workers: int) -> np.ndarray:
        report = check_split(card, repeated, arguments.split, details=details, workers=workers)
        assert not report.problems, report.problems[0]
        return report.raw_ids[:IGNORED_ID]

    workers = arguments.workers
    ways: dict[str, Callable[[], np.ndarray]] = {
        "plain loop, 1 process": partial(plain_loop, samples),
        "check before training, 1 thread": partial(check, False, 1),
        "check command, 1 thread": partial(check, True, 1),
    }
    if workers > 1:
        ways |= {
            f"check before training, {workers} threads": partial(check, False, workers),
            f"check before training, {workers} processes": partial(in_processes, samples, card, reader, workers),
            f"check command, {workers} threads": partial(check, True, workers),
        }
    seconds, load = _measure(ways, arguments.rounds)
    rows = [
        {"way": name, "seconds": round(best, 3), "pairs_per_second": round(len(samples) / best, 1)}
        for name, best in seconds.items()
    ]
    content = {
        "benchmark": "check",
        "command": given_command(),
        "data": f"card '{card.name}', split '{arguments.split}', {len(set(samples))} pairs repeated to {len(samples)}",
        "rounds": arguments.rounds,
        "load_at_start": load,
        "rows": rows,
        "environment": describe_environment("cpu"),
    }
    write_result(content, arguments.out)
    table = Table(title=content["data"])
    for column in ("way", "seconds", "pairs/s"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for row in rows:
        table.add_row(row["way"], f"{row['seconds']:.2f}", f"{row['pairs_per_second']:.0f}")
    Console().print(table)


def _measure(ways: dict[str, Callable[[], np.ndarray]], rounds: int) -> tuple[dict[str, float], float]:
    """Best seconds of each way, the ways in turn; they must count the same pixels."""
    load = round(os.getloadavg()[0], 2)
    seconds = dict.fromkeys(ways, float("inf"))
    expected = None
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            counts = run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
            expected = counts if expected is None else expected
            assert np.array_equal(counts, expected), name
    return seconds, load


if __name__ == "__main__":
    run_main(main)
