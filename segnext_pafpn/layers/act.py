"""Activation, chosen by name."""

from torch import nn


def build_act(name: str | bool | None) -> nn.Module:
    """Return the activation called ``name``: ``gelu`` (or True), ``silu``, or none for None and False."""
    if name is None or name is False:
        return nn.Identity()
    if name is True or name == "gelu":
        return nn.GELU()
    if name == "silu":
        return nn.SiLU()
    raise ValueError(f"act: '{name}' is not known. Choose one of: gelu, silu, or None.")
