"""On what a run was scored."""

import importlib.metadata
import platform

import torch

_PACKAGES = ("segnext-pafpn", "torch", "lightning", "segmentation-models-pytorch", "timm", "albumentations", "numpy")


def describe_environment(device: torch.device) -> dict[str, str]:
    """Device, system and versions."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "device": f"{device} {gpu}".strip(),
        "threads": str(torch.get_num_threads()),
        "system": platform.platform(),
        "Python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
        return "not installed"
