"""What one GPU and a few minutes are enough for: accuracy on CamVid, speed, and what only CUDA can test.

    python benchmarks/gpu.py accuracy --root PATH/TO/CamVid --minutes 9               # again, until it says all is done
    python benchmarks/gpu.py accuracy --root PATH/TO/CamVid --parallel 2 --only "PAFPNeXt elanext_tiny" "FPN resnet34"
    python benchmarks/gpu.py accuracy --root PATH/TO/CamVid --test                    # once, at the very end
    python benchmarks/gpu.py speed --minutes 9
    python benchmarks/gpu.py cuda --root PATH/TO/CamVid

Nothing is fetched from the network. Each part writes JSON into the folder ``--out`` and prints a short table last.

``accuracy`` trains from scratch by ``camvid-gpu.yaml``; every choice is made on val. ``--minutes`` are counted from the
start; then what is under way is stopped as by Ctrl-C, and the next call goes on from its last whole epoch. Networks run
one after another, or ``--parallel`` so many at a time on the one GPU, which share the cores for reading. ``--test``
scores the test split of the rows that are complete, no row twice.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from environment import describe_environment
from gpu_train import NETWORKS, base_config
from result_files import RESULTS, given_command, read, run_main, write_result
from rich.console import Console
from rows import read_rows, recipe_of
from speed import NETWORKS as TIMED
from table_kinds import KINDS

FOLDER = Path(__file__).resolve().parent
GRACE = 60.0  # seconds that a stopped process has to end by itself
SPEED = {  # cheap paths first: what the time does not suffice for is missing, not spoilt
    "eager": [
        "train channels_last bfloat16",
        "channels_last bfloat16",
        "fused channels_last bfloat16",
        "train eager float32",
        "eager float32",
    ],
    "compiled": [
        "train compiled channels_last bfloat16",
        "compiled channels_last bfloat16",
        "CUDA graph, compiled channels_last bfloat16",
    ],
}


class Deadline:
    """Counts from now; None for no end."""

    def __init__(self, minutes: float | None):
        self.end = float("inf") if minutes is None else time.monotonic() + 60 * minutes

    def __bool__(self) -> bool:
        return time.monotonic() >= self.end


def main() -> None:
    """Run one part, then print what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["accuracy", "speed", "cuda"])
    parser.add_argument("--root", help="folder of CamVid; speed needs none")
    parser.add_argument("--minutes", type=float, help="after which to stop; the next call of accuracy goes on")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the named networks, of accuracy or speed")
    parser.add_argument("--config", default="camvid-gpu", help="of accuracy: a shipped configuration, or a path")
    parser.add_argument("--epochs", type=int, help="of accuracy: in place of the configuration's")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of accuracy")
    parser.add_argument("--parallel", type=int, default=1, help="of accuracy: networks at a time")
    parser.add_argument("--test", action="store_true", help="of accuracy: score the test split; trains nothing")
    parser.add_argument("--runs", type=Path, default=Path("runs/gpu"), help="where the runs and logs lie")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="of speed and cuda")
    parser.add_argument("--options", default="", metavar="WORDS", help="passed on to speed.py or stability.py")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON files")
    arguments = parser.parse_args()
    if arguments.root is None and arguments.part != "speed":
        parser.error("--root: the folder of CamVid is missing.")
    known = {"accuracy": NETWORKS, "speed": TIMED, "cuda": {}}[arguments.part]
    if unknown := [name for name in arguments.only or () if name not in known]:
        parser.error(f"--only: {arguments.part} has no network '{unknown[0]}'. Known: {', '.join(known)}.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # begun in the background, children would ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C does, end what was started
    {"accuracy": accuracy, "speed": speed, "cuda": cuda}[arguments.part](arguments, Deadline(arguments.minutes))


def accuracy(arguments: argparse.Namespace, deadline: Deadline) -> None:
    """Train what is missing, or score the test split of what is complete."""
    out = arguments.out / f"{Path(arguments.config).stem}.json"
    recipe = recipe_of(base_config(arguments.config, arguments.epochs))
    rows = {(row["network"], row["seed"]): row for row in read_rows(out, recipe)}
    wanted = [(name, seed) for seed in arguments.seeds for name in arguments.only or NETWORKS]
    if arguments.test:
        if missing := [key for key in wanted if key not in rows]:
            raise SystemExit(f"{out}: {missing[0][0]}, seed {missing[0][1]}, is not trained yet. Test comes last.")
        jobs = [key for key in wanted if rows[key]["stopped"] is None and "test" not in rows[key]]
    else:
        jobs = [key for key in wanted if key not in rows]
    states = _in_processes(jobs, arguments, out, deadline)
    content = read(out)
    console = Console(width=140)
    if content:
        console.print(KINDS["gpu-accuracy"](content), highlight=False)
    for (name, seed), state in states.items():
        console.print(f"{name}, seed {seed}: {state}", highlight=False)
    console.print("All is done." if set(states.values()) <= {"done"} else "Call again to go on.")


def _in_processes(jobs: list[tuple[str, int]], arguments: argparse.Namespace, out: Path, deadline: Deadline) -> dict:
    """Run each job in a process, some at a time, until all are done or the time is over; what became of each."""
    states = dict.fromkeys(jobs, "not begun")
    waiting, running = list(jobs), {}
    (arguments.runs / "logs").mkdir(parents=True, exist_ok=True)
    try:
        while (waiting or running) and not deadline:
            while waiting and len(running) < arguments.parallel:
                job = waiting.pop(0)
                running[job] = _start(job, arguments, out)
            time.sleep(0.2)
            for job in [job for job, process in running.items() if process.poll() is not None]:
                states[job] = _state(running.pop(job), job, arguments)
    finally:  # the deadline, or Ctrl-C on this process
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for job, process in running.items():
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            states[job] = "done" if process.returncode == 0 else "stopped"
    return states


def _start(job: tuple[str, int], arguments: argparse.Namespace, out: Path) -> subprocess.Popen:
    name, seed = job
    words = [sys.executable, FOLDER / "gpu_train.py", "--network", name, "--seed", seed, "--config", arguments.config]
    words += ["--root", arguments.root, "--runs", arguments.runs, "--out", out]
    words += ["--command", given_command(), "--workers", max(1, os.cpu_count() // arguments.parallel - 1)]
    words += ["--epochs", arguments.epochs] if arguments.epochs is not None else []
    words += ["--test"] if arguments.test else []
    with _log(job, arguments).open("a") as log:
        # in a group of its own, so that Ctrl-C on this process reaches it once, from here
        return subprocess.Popen(
            [str(word) for word in words], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _state(process: subprocess.Popen, job: tuple[str, int], arguments: argparse.Namespace) -> str:
    if process.returncode == 0:
        return "done"
    return f"failed with exit code {process.returncode}, see {_log(job, arguments)}"


def _log(job: tuple[str, int], arguments: argparse.Namespace) -> Path:
    return arguments.runs / "logs" / f"{job[0].replace(' ', '-').replace(',', '')}-{job[1]}.log"


def speed(arguments: argparse.Namespace, deadline: Deadline) -> None:
    """``speed.py`` by groups of paths, each filed when it is complete."""
    out = arguments.out / f"speed-{arguments.device}.json"
    names = arguments.only or ["PAFPNeXt elanext_tiny", "DeepLabV3Plus resnet18", "UPerNet convnext_atto"]
    content: dict = {}
    for group, paths in SPEED.items():
        words = ["--device", arguments.device, "--batch", "1", "32", "--only", *names, "--paths", *paths]
        found = _script("speed.py", [*words, *shlex.split(arguments.options)], deadline)
        if isinstance(found, str):
            Console(width=140).print(f"{group} paths: {found}", highlight=False)
            continue
        content = {**found, "rows": [*content.get("rows", []), *found["rows"]]}
        write_result({**content, "command": given_command()}, out)
    if content:
        Console(width=140).print(KINDS["speed"](content), highlight=False)


def cuda(arguments: argparse.Namespace, deadline: Deadline) -> None:
    """The tests that need a CUDA device, then ``stability.py``, float16 among its precisions."""
    console = Console(width=140)
    tests = _cuda_tests()
    content = {"benchmark": "cuda-tests", "command": given_command(), **tests, "environment": describe_environment()}
    write_result(content, arguments.out / "cuda-tests.json")
    words = ["--root", arguments.root, "--device", arguments.device, *shlex.split(arguments.options)]
    found = _script("stability.py", words, deadline)
    if isinstance(found, str):
        console.print(f"stability: {found}", highlight=False)
    else:
        found["command"] = given_command()
        write_result(found, arguments.out / f"stability-{arguments.device}.json")
        console.print(KINDS["stability"](found), highlight=False)
    console.print(f"tests that need CUDA: {', '.join(f'{key} {value}' for key, value in tests['counts'].items())}")


def _cuda_tests() -> dict:
    """How many tests that name a CUDA device as their need passed, failed and were skipped, and why those failed."""
    root = FOLDER.parent
    files = sorted(path for path in (root / "tests").rglob("test_*.py") if '"needs a CUDA device"' in path.read_text())
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = [sys.executable, "-m", "pytest", "-q", "-k", "cuda", f"--junit-xml={report}", *map(str, files)]
        result = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
        if not report.is_file():
            raise SystemExit(f"pytest: {(result.stderr or result.stdout).strip().splitlines()[-1]}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    counts, failed = {"passed": 0, "failed": 0, "skipped": 0}, {}
    for case in cases:
        said = {child.tag: child.get("message", "") for child in case}
        kind = "failed" if said.keys() & {"failure", "error"} else "skipped" if "skipped" in said else "passed"
        counts[kind] += 1
        if kind == "failed":
            failed[f"{case.get('classname')}.{case.get('name')}"] = said.get("failure", said.get("error"))
    return {"counts": counts, "failed": failed}


def _script(name: str, words: list[str], deadline: Deadline) -> dict | str:
    """What a script of this folder files, or why it filed nothing."""
    left = deadline.end - time.monotonic()
    if left <= 0:
        return "the time was over"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, str(FOLDER / name), *words, "--out", str(out)]
        try:
            code = subprocess.run(command, timeout=None if left == float("inf") else left, check=False).returncode
        except subprocess.TimeoutExpired:
            return "stopped, as the time was over"
        return json.loads(out.read_text()) if code == 0 else f"ended with exit code {code}"


if __name__ == "__main__":
    run_main(main)
