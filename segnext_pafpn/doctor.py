"""What is installed, what it runs on, and what is missing."""

import importlib.metadata
import os
import platform
import shutil

import torch
from rich.markup import escape
from rich.table import Table

from segnext_pafpn import __version__
from segnext_pafpn.arguments import shipped_configs
from segnext_pafpn.data.card import shipped_cards
from segnext_pafpn.inference.device import has_bf16

_PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "segmentation-models-pytorch",
    "timm",
    "albumentations",
    "torchmetrics",
    "jsonargparse",
    "opencv-python-headless",
    "pillow",
    "safetensors",
    "tensorboard",
)
_OPTIONAL = {  # the extra that installs each
    "nibabel": "medical",
    "tifffile": "medical",
    "pycocotools": "coco",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "export",
    "openvino": "benchmark",
}


def doctor_table() -> tuple[Table, list[str]]:
    """A table of versions and devices, and a line for everything that is missing and not optional."""
    problems = []
    table = Table(title=f"segnext-pafpn {__version__}", show_header=False)
    table.add_row("Python", f"{platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        try:
            table.add_row(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            table.add_row(package, "missing")
            problems.append(f"{package}: not installed. Install it with: pip install {package}")
    table.add_section()
    for package, extra in _OPTIONAL.items():
        try:
            table.add_row(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            table.add_row(package, escape(f'not installed; optional: pip install "segnext-pafpn[{extra}]"'))
    table.add_section()
    bf16 = "bf16" if has_bf16(torch.device("cpu")) else "no bf16: choose precision 32-true"
    table.add_row("CPU", f"{os.cpu_count()} cores, {bf16}")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if has_bf16(torch.device("cuda", index)) else "no bf16: choose precision 16-mixed"
        table.add_row(f"GPU {index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}")
    if not torch.cuda.is_available():
        reason = "torch is built without CUDA" if torch.version.cuda is None else "no NVIDIA GPU or driver is found"
        table.add_row("GPU", f"none: {reason}; training runs on the CPU")
    table.add_row("disk", f"{shutil.disk_usage('.').free / 2**30:.0f} GiB free here")
    table.add_section()
    table.add_row("configurations", ", ".join(shipped_configs()) or "missing")
    table.add_row("data cards", ", ".join(shipped_cards()) or "missing")
    if not shipped_configs() or not shipped_cards():
        problems.append("the shipped configurations or cards are missing: install the package again.")
    return table, problems
