"""What every result is filed with: where and with what it was measured."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch

_PACKAGES = ("torch", "segmentation-models-pytorch", "timm", "lightning", "albumentations", "numpy")


def describe_environment(device: str = "auto") -> dict:
    """Device, versions, commit and date.

    Args:
        device: what was measured on: cpu, cuda, or auto, a GPU if there is one.
    """
    gpu = torch.cuda.is_available() and torch.device("cuda" if device == "auto" else device).type != "cpu"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "device": torch.cuda.get_device_name() if gpu else _cpu_name(),
        "cpu_cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _commit() -> str:
    """The commit; with a + where files differ from it, other than results, which a benchmark itself writes.

    For a copy of the files without their history, such as on a lent machine, BENCHMARK_COMMIT says it.
    """
    if given := os.environ.get("BENCHMARK_COMMIT"):
        return given
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)benchmarks/results")
    return _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    root = Path(__file__).parent
    try:
        result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return result.stdout.strip()
