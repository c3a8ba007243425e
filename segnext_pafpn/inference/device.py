"""Devices by their names, and what each computes slowly."""

import torch

from segnext_pafpn.errors import UserError


def choose_device(name: str | torch.device) -> torch.device:
    """The device called ``name``; for ``auto`` cuda if there is one, else mps, else cpu.

    Raises:
        UserError: naming a device that is unknown or cannot be used, and those that can.
    """
    usable = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    usable += ["mps"] if torch.backends.mps.is_available() else []
    usable += ["cpu"]
    if name == "auto":
        return torch.device(usable[0].split(":")[0])
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # a name may be known without there being such a device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: '{name}' cannot be used. Choose auto, or one of: {', '.join(usable)}.") from error
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; torch computes with it on others, too, but slowly."""
    if device.type == "cuda":
        return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type != "cpu" or _cpu_has("bf16")


def why_slow(precision: str, device: torch.device) -> str | None:
    """A line on a precision for which the device has no instructions, and what to choose; None for any other.

    Args:
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``, Lightning's names.
    """
    half = {"bf16-mixed": "bf16", "16-mixed": "fp16"}.get(precision)
    if device.type == "cpu" and half is not None and not _cpu_has(half):
        return f"precision: this CPU has no instructions for {precision} and takes ten times as long. Choose 32-true."
    if device.type == "cuda" and half == "bf16" and not has_bf16(device):
        name = torch.cuda.get_device_name(device)
        return f"precision: {name} has no units for bfloat16, which bf16-mixed is slow without. Choose 16-mixed."
    return None


def _cpu_has(half: str) -> bool:
    """Whether oneDNN, which computes a CPU's convolutions, has instructions for a 16-bit type; yes where it cannot say.

    Args:
        half: ``bf16`` or ``fp16``.
    """
    if not torch.backends.mkldnn.is_available():
        return True
    return getattr(torch.ops.mkldnn, f"_is_mkldnn_{half}_supported")()  # torch has no public way to ask
