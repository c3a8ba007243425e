"""How time and memory grow: with the image's side, the batch, the classes, the pictures, and with two processes.

    python benchmarks/scaling.py                                          # all axes, on what this machine has
    python benchmarks/scaling.py --axes side --sides 512 1024 2048

Every point is measured in a process of its own, so that its peak of memory is its own: on a CPU what the process grows
by from when its modules are loaded (the most it ever held, as the kernel has it), on a GPU what torch has allocated at
most. ``train`` is a step of AdamW on cross-entropy and Dice in float32; ``evaluate`` a forward pass, argmax and the
confusion matrix. Times are medians. Pictures of the data axis are small (96x64), so that what is timed is what each
file costs; masks are 8 bit, so more than 255 classes are measured on network, loss and scores alone. For the processes
axis the whole batch stays the same: two processes have half of it each, and average their gradients by gloo (nccl on
GPUs).
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from scaling_points import data_point, facts, network_point
from table_kinds import scaling_table

AXES = ("side", "batch", "classes", "pictures", "processes")
JOBS = ("train", "evaluate")
_HEAVY = ["torch", "segnext_pafpn.training.losses", "segnext_pafpn.models.factory", "segnext_pafpn.data.datamodule"]


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda if there is one")
    parser.add_argument("--encoder", default="elanext_tiny", help="of PAFPNeXt")
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=AXES)
    parser.add_argument("--sides", nargs="+", type=int, default=[128, 256, 512, 1024])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16], help="of images of 128x128")
    parser.add_argument("--classes", nargs="+", type=int, default=[2, 10, 100, 1000], help="at 256x256")
    parser.add_argument("--pictures", nargs="+", type=int, default=[100, 1000, 10000])
    parser.add_argument("--processes", nargs="+", default=["1x1", "1x2", "2x1"], metavar="PROCESSESxTHREADS")
    parser.add_argument("--process-batch", type=int, default=8, help="of 128x128, over all processes together")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each point, but three rounds at least")
    parser.add_argument("--out", type=Path, help="result file; default results/scaling-DEVICE.json")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_HEAVY)
    found = _alone(context, facts, arguments.device)
    device = found["device"]
    content = {
        "benchmark": "scaling",
        "command": given_command(),
        "network": f"PAFPNeXt {arguments.encoder}",
        "device": device,
        "process_batch": arguments.process_batch,
        "environment": found["environment"],
        "rows": [],
    }
    console = Console(width=140)
    for point in _points(arguments):
        if point["axis"] == "pictures":
            result = _alone(context, data_point, point["value"])
        elif point["axis"] == "processes":
            result = _processes(point, arguments, device)
        else:
            options = {key: point[key] for key in ("job", "side", "batch", "classes")}
            result = _alone(context, network_point, arguments.encoder, device, arguments.seconds, options)
        content["rows"].append({**point, **result})
        console.print(", ".join(f"{key} {value}" for key, value in content["rows"][-1].items()), highlight=False)
    out = arguments.out or RESULTS / f"scaling-{device}.json"
    write_result(content, out)
    console.print(scaling_table(content), highlight=False)


def _points(arguments: argparse.Namespace) -> Iterator[dict]:
    """All that is measured, in order."""
    values = {"side": arguments.sides, "batch": arguments.batches, "classes": arguments.classes}
    fixed = {"side": 256, "batch": 1, "classes": 11}
    for axis in arguments.axes:
        if axis in values:
            for job in JOBS:
                for value in values[axis]:
                    size = {"side": 128} if axis == "batch" else {}
                    yield {"axis": axis, "value": value, "job": job, **{**fixed, **size, axis: value}}
        elif axis == "pictures":
            yield from ({"axis": axis, "value": value} for value in arguments.pictures)
        else:
            pairs = (map(int, pair.split("x")) for pair in arguments.processes)
            yield from ({"axis": axis, "value": processes, "threads": threads} for processes, threads in pairs)


def _alone(context: multiprocessing.context.BaseContext, function: Callable[..., dict], *arguments: object) -> dict:
    """The function's result, from a process of its own; a process that the system ended says so."""
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            return {"not_measured": "the process was ended, most likely for want of memory"}


def _processes(point: dict, arguments: argparse.Namespace, device: str) -> dict:
    """Training steps in one process or several; Lightning starts the others by the command of the first."""
    script = Path(__file__).parent / "scaling_processes.py"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        options = {
            "processes": point["value"],
            "threads": point["threads"],
            "device": device,
            "encoder": arguments.encoder,
            "batch": arguments.process_batch,
            "seconds": arguments.seconds,
            "out": out,
        }
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        result = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
        if not out.is_file():
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
            return {"not_measured": lines[-1]}
        return json.loads(out.read_text())


if __name__ == "__main__":
    run_main(main)
