"""Devices by their names."""

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
