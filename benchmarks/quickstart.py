"""How long ``make quickstart`` takes once all is installed, and what its network scores.

    python benchmarks/quickstart.py
    python benchmarks/quickstart.py --target quickstart-cells                                  # microscopy
    python benchmarks/quickstart.py --folder quickstart                                        # keeps what is written
    python benchmarks/quickstart.py --out short.json --train-options="--trainer.max_epochs=1"  # another training

The commands are those of the Makefile, in their order, each in a process of its own, so that the start of Python and
the imports are in its seconds. The score is the one that the run files itself, on the split it validates on.
"""

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from environment import describe_environment
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "segnext-pafpn"


def main() -> None:
    """Run, time, file, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="quickstart", choices=["quickstart", "quickstart-cells"], help="of make")
    parser.add_argument("--folder", type=Path, help="where the commands write; default a temporary folder")
    parser.add_argument(
        "--train-options", default="", metavar="WORDS", help="added to the training command; needs --out"
    )
    parser.add_argument("--out", type=Path, help="result file; default results/TARGET.json")
    arguments = parser.parse_args()
    if arguments.train_options and arguments.out is None:
        raise SystemExit("--train-options: another training is not the quickstart. Give a file of its own with --out.")
    if arguments.folder is None:
        with tempfile.TemporaryDirectory() as folder:
            content = measure(Path(folder), arguments.target, shlex.split(arguments.train_options))
    else:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        content = measure(arguments.folder, arguments.target, shlex.split(arguments.train_options))
    write_result(content, arguments.out or RESULTS / f"{arguments.target}.json")
    table = Table("seconds", "command", title=f"mIoU {content['mIoU']:.2f} % on {content['pictures']} pictures")
    for row in content["rows"]:
        table.add_row(f"{row['seconds']:.1f}", row["command"])
    Console().print(table)


def quickstart_commands(target: str = "quickstart") -> list[list[str]]:
    """The words of the commands that ``make TARGET`` runs after the installation, as make itself says them."""
    make = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/installed", target]
    lines = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    commands = [words for line in lines if (words := shlex.split(line)) and words[0] != "echo"]
    for words in commands:
        if Path(words[0]).name != PROGRAM:
            raise SystemExit(f"Makefile: {target} runs {shlex.join(words)}, expected commands of {PROGRAM} alone.")
    return [[PROGRAM, *words[1:]] for words in commands]


def measure(folder: Path, target: str, train_options: list[str]) -> dict:
    """Run the commands in ``folder``; what is filed."""
    environment, load = describe_environment(), round(os.getloadavg()[0], 2)
    rows = []
    commands = quickstart_commands(target)
    run = next(words[words.index("--checkpoint") + 1] for words in commands if "--checkpoint" in words)
    for words in commands:
        if words[1] == "train":
            words += train_options
        start = time.perf_counter()
        result = subprocess.run([sys.executable, "-m", "segnext_pafpn.cli", *words[1:]], cwd=folder, check=False)
        seconds = time.perf_counter() - start
        if result.returncode != 0:
            raise SystemExit(f"{shlex.join(words)}: ended with exit code {result.returncode}.")
        rows.append({"command": shlex.join(words), "seconds": round(seconds, 1)})
    return {
        "benchmark": "quickstart",
        "command": given_command(),
        **_scores(folder / run),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "load_at_start": load,
        "rows": rows,
        "environment": environment,
    }


def _scores(run: Path) -> dict:
    """mIoU in percent, split, and the number of its pictures, from the files of the run's final evaluation."""
    (images,) = run.glob("metrics_*_images.csv")
    scores = json.loads((run / f"{images.stem.removesuffix('_images')}.json").read_text())
    with images.open(newline="") as file:
        pictures = sum(1 for _ in csv.DictReader(file))
    return {"mIoU": round(scores["mIoU"], 2), "split": scores["split"], "pictures": pictures}


if __name__ == "__main__":
    run_main(main)
