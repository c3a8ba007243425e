"""How large a network is and what an image costs it: parameters, FLOPs, strides and channels.

A network is built on the CPU and measured on torch's meta device, where tensors have shapes and no values.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import segmentation_models_pytorch as smp
import torch
from rich import box
from rich.table import Table
from segmentation_models_pytorch.encoders import encoders
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.encoder import build_encoder
from segnext_pafpn.models.factory import build_model, check_encoder_name

FLOPS = "2 x multiply-add, of convolutions and matrix products"
_STRIDE = 32


@dataclass(frozen=True, kw_only=True)
class NetworkSummary:
    """One network, for one image.

    Args:
        arch: name of the decoder, or None for an encoder alone.
        encoder_name: name of the encoder.
        parameters: how many numbers are learned.
        flops: for one image, ``2 x multiply-add`` of convolutions and matrix products; norms, activations and
            interpolations are not counted.
        folded_parameters, folded_flops: the same after ``fuse()``; None where the network has no such method.
        strides: of the encoder's features, the image itself left out.
        channels: of the encoder's features.
    """

    arch: str | None
    encoder_name: str
    parameters: int
    flops: int
    folded_parameters: int | None
    folded_flops: int | None
    strides: tuple[int, ...]
    channels: tuple[int, ...]


def our_encoders() -> list[str]:
    """Names under which this package's encoders are registered with smp."""
    return [name for name, row in encoders.items() if _is_ours(row["encoder"])]


def our_architectures() -> dict[str, type[nn.Module]]:
    """This package's architectures by the names under which they are registered with smp."""
    return {name: cls for name, cls in smp.MODEL_ARCHITECTURES_MAPPING.items() if _is_ours(cls)}


def our_networks() -> Iterator[tuple[str | None, str]]:
    """Architecture and encoder of every network of this package; an encoder alone has no architecture.

    PAFPNeXt stands with each encoder of ours, any other architecture with those of its default encoder's family.
    """
    names = our_encoders()
    yield from ((None, name) for name in names)
    for arch in our_architectures():
        family = _default_encoder(arch).split("_")[0]
        yield from ((arch, name) for name in names if arch == "pafpnext" or name.split("_")[0] == family)


def padded_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width raised to multiples of 32, which is where every network of this package pads an image to."""
    height, width = size
    return height + -height % _STRIDE, width + -width % _STRIDE


def summarize(arch: str | None, encoder_name: str, size: tuple[int, int], classes: int) -> NetworkSummary:
    """Build a network, or with ``arch=None`` an encoder alone, and measure it.

    Args:
        arch: one of smp's architectures, ours among them.
        encoder_name: one of smp's encoders, ours among them, or one of timm as tu-NAME.
        size: height and width of an image in pixels; padded, see :func:`padded_size`.
        classes: logits per pixel.

    Raises:
        UserError: naming an unknown network, or one that takes no image of this size.
    """
    if min(size) < 1 or classes < 1:
        raise UserError(f"size and classes must be at least 1, found {size[1]} x {size[0]} and {classes} classes.")
    network = _build(arch, encoder_name, classes).eval().to("meta")
    x = torch.empty(1, 3, *padded_size(size), device="meta")
    try:
        with _watched(getattr(network, "encoder", network)) as levels:
            parameters, flops = _count(network, x)
        folded = _count(network.fuse(), x) if hasattr(network, "fuse") else (None, None)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())
        # an encoder's own advice, which is its next sentence, is for training
        reason = reason.split(". ")[0] if isinstance(error, UserError) else reason[:200].rstrip(".")
        name = " with ".join(filter(None, (arch, encoder_name)))
        raise UserError(f"{name}: cannot run at {x.shape[3]} x {x.shape[2]}: {reason}. Give another size.") from error
    return NetworkSummary(
        arch=arch,
        encoder_name=encoder_name,
        parameters=parameters,
        flops=flops,
        folded_parameters=folded[0],
        folded_flops=folded[1],
        strides=tuple(round(x.shape[3] / level.shape[3]) for level in levels),
        channels=tuple(level.shape[1] for level in levels),
    )


def summarize_all(
    size: tuple[int, int], classes: int, arch: str | None = None, encoder_name: str | None = None
) -> list[NetworkSummary]:
    """Measure the named network, or where nothing is named all of this package; see :func:`summarize`.

    An encoder alone has no ``arch``. An ``arch`` alone gets its own default encoder if it is one of this package,
    else the one that a configuration would give it.
    """
    if arch is None and encoder_name is None:
        return [summarize(*names, size, classes) for names in our_networks()]
    if arch is not None and encoder_name is None:
        encoder_name = _default_encoder(arch) if arch in our_architectures() else ModelConfig.encoder_name
    return [summarize(arch, encoder_name, size, classes)]


def summary_values(rows: list[NetworkSummary], size: tuple[int, int], classes: int) -> dict:
    """The networks, and how they were measured, as JSON takes it; sizes are width and height."""
    return {
        "size": list(size[::-1]),
        "padded_size": list(padded_size(size)[::-1]),
        "classes": classes,
        "flops": FLOPS,
        "networks": [asdict(row) for row in rows],
    }


def summary_table(rows: list[NetworkSummary], size: tuple[int, int], classes: int) -> Table:
    """The networks as a table; what its figures mean stands in the title."""
    height, width = padded_size(size)
    title = f"one image of {size[1]} x {size[0]}, padded to {width} x {height}; {classes} classes; FLOP: {FLOPS}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("network", "encoder"):
        table.add_column(column, no_wrap=True)
    for column in ("M par.", "G FLOP", "folded", "strides"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("channels")
    for row in rows:
        folded = "-" if row.folded_flops is None else f"{row.folded_flops / 1e9:.2f}"
        levels = (" ".join(map(str, row.strides)), " ".join(map(str, row.channels)))
        names = (row.arch or "encoder", row.encoder_name)
        table.add_row(*names, f"{row.parameters / 1e6:.2f}", f"{row.flops / 1e9:.2f}", folded, *levels)
    return table


def _build(arch: str | None, encoder_name: str, classes: int) -> nn.Module:
    if arch is None:
        check_encoder_name(encoder_name)
        try:
            return build_encoder(encoder_name, in_channels=3, depth=5, weights=None)
        except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:  # as smp and timm refuse a network
            raise UserError(f"model.encoder_name: {error.args[0] if error.args else error}") from error
    return build_model(ModelConfig(arch=arch, encoder_name=encoder_name), classes)


@contextmanager
def _watched(encoder: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Gets the features that have channels, without the image, as they pass; none that are no list of maps."""
    levels: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[torch.Tensor], features: object) -> None:
        if isinstance(features, list):
            levels.extend(level for level in features if level is not args[0] and level.shape[1] > 0)

    handle = encoder.register_forward_hook(keep)
    yield levels
    handle.remove()


def _count(network: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x)
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops()


def _default_encoder(arch: str) -> str:
    """What ``encoder_name`` is by default in an architecture of this package."""
    return inspect.signature(our_architectures()[arch]).parameters["encoder_name"].default


def _is_ours(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "segnext_pafpn"
