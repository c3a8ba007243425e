"""Activation, chosen by name."""

from torch import nn


def build_act(name: str | None) -> nn.Module:
    """Return the activation called ``name``: ``gelu``, ``silu``, or none for None.

    Raises:
        ValueError: for another name.
    """
    if name is None:
        return nn.Identity()
    if name == "gelu":
        return nn.GELU()
    if name == "silu":
        return nn.SiLU()
    raise ValueError(f"act: '{name}' is not known. Choose one of: gelu, silu, or None.")
