"""Start the encoder from weights learned elsewhere: timm's ConvNeXt, or the encoder of an earlier run.

ELANeXt is no ConvNeXt, but begins each stage as one: a downsampling and full-width blocks. These take the weights
of the source's parts of equal widths and kernel, in order. The ELANs' chains are left alone: the 1x1 in front of
them is new, so their channels mean nothing to a block that was learned behind others.

What becomes of the parts that differ:

- LayerScale is multiplied into the last 1x1 where our block has none.
- The weight and bias of a LayerNorm are copied into our norm, be it a BatchNorm: they say how strongly the
  convolution behind it reads each channel, whatever normalised it. A BatchNorm's running statistics stay as they
  were and are learned from the data, so the network must be trained before it is of use.
- The stem (ConvNeXt's has stride 4, ours 2) and the classifier are never taken.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from segmentation_models_pytorch.base import SegmentationModel
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.layers import ELAN, SPPCSPC, ConvNeXtBlock, Downsample
from segnext_pafpn.models.bundle import CLASSES_FILE, load_bundle
from segnext_pafpn.models.timm_convnext import Part, block_kind, convnext_parts, downsample_kind, load_convnext


@dataclass(frozen=True, kw_only=True)
class InitReport:
    """What :func:`init_from` did with every tensor.

    Args:
        source: where the weights are from.
        mapped: names of the model's tensors, and what each was made of, by the source's names.
        left: names of the encoder's tensors that stay as they were.
        unused: names of the source's tensors that went nowhere.
        share: of the encoder's parameters, how many are mapped, 0 to 1.
    """

    source: str
    mapped: dict[str, str]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    share: float

    def summary(self) -> str:
        """One line for the log."""
        anew = any(name.endswith("running_mean") for name in self.left)
        return (
            f"init_from {self.source}: {len(self.mapped)} tensors with {100 * self.share:.0f} % of the encoder's "
            f"parameters taken over, {len(self.left)} left as they were, {len(self.unused)} of the source unused"
            f"{'; BatchNorm statistics start anew' if anew else ''}"
        )


def init_from(model: SegmentationModel, source: str) -> InitReport:
    """Take over into ``model.encoder``, in place, the weights that fit, and say which.

    Args:
        source: ``timm:NAME``, a ConvNeXt of timm with its pretrained weights, which timm fetches;
            ``timm:NAME@FILE``, the same with weights from a local .safetensors or .pth; or the folder of a run,
            whose encoder is taken by names and shapes.

    Raises:
        UserError: if the source cannot be had, or nothing of it fits.
    """
    with torch.random.fork_rng(devices=[]):  # what is drawn after this does not depend on it
        if source.startswith("timm:"):
            return _init_from_convnext(model, source, load_convnext(source))
        if (Path(source) / CLASSES_FILE).is_file():
            raise UserError(
                f"model.init_from: {source}: is a run of pretrain, whose encoder --weights {source} takes whole. Give "
                f"it there."
            )
        if not any((Path(source) / name).is_file() for name in ("config.json", "model/config.json")):
            raise UserError(
                f"model.init_from: {source}/config.json: no such file. Give timm:NAME of a ConvNeXt, "
                f"timm:NAME@FILE.safetensors, or the folder of a finished run (runs/NAME)."
            )
        encoder = load_bundle(source)[0].encoder
    if convnext_parts(encoder):
        return _init_from_convnext(model, source, encoder)
    return _init_by_name(model, source, encoder)


def _init_from_convnext(model: SegmentationModel, source: str, network: nn.Module) -> InitReport:
    """Give each target the next source part of its kind; see the module's docstring."""
    parts, targets = convnext_parts(network), encoder_parts(model.encoder)
    remaining, mapped, used = list(parts), {}, set()
    for target in targets:
        part = next((part for part in remaining if part.kind == target.kind), None)
        if part is not None:
            remaining.remove(part)
            mapped |= _copy(part, target)
            used |= set(part.names.values())
    if not mapped:
        raise UserError(
            f"model.init_from: nothing of {source} fits. It has {_kinds(parts)}; the encoder "
            f"{type(model.encoder).__name__} has {_kinds(targets)}. Choose a source or an encoder of equal widths."
        )
    return _report(model, source, mapped, [name for name, _ in network.named_parameters() if name not in used])


def encoder_parts(encoder: nn.Module) -> list[Part]:
    """Our blocks and downsamplings outside of ELANs and SPPCSPCs, in the order in which the image meets them."""
    inside = tuple(f"{name}." for name, module in encoder.named_modules() if isinstance(module, ELAN | SPPCSPC))
    parts = []
    for name, module in encoder.named_modules():
        if isinstance(module, Downsample):
            kind = downsample_kind(module[1])
        elif isinstance(module, ConvNeXtBlock) and not name.startswith(inside):
            kind = block_kind(module.dw)
        else:
            continue
        weights = {key: value.detach() for key, value in module.named_parameters()}
        parts.append(Part(kind=kind, weights=weights, names={key: f"encoder.{name}.{key}" for key in weights}))
    return parts


def _copy(part: Part, target: Part) -> dict[str, str]:
    """Copy ``part`` into ``target``, of the same kind; return what each tensor of the target was made of."""
    weights, names = dict(part.weights), dict(part.names)
    if "gamma" in weights and "gamma" not in target.weights:
        for key in ("pw2.weight", "pw2.bias"):
            weights[key] = (weights[key].movedim(0, -1) * weights["gamma"]).movedim(-1, 0)
            names[key] = f"{names[key]} * {names['gamma']}"
    if "gamma" in target.weights and "gamma" not in weights:
        weights["gamma"], names["gamma"] = torch.ones_like(target.weights["gamma"]), "1"
    for key, value in target.weights.items():
        value.copy_(weights[key])
    return {target.names[key]: names[key] for key in target.weights}


def _init_by_name(model: SegmentationModel, source: str, encoder: nn.Module) -> InitReport:
    """Take every tensor of an encoder like ours that has the same name and shape."""
    theirs, ours = encoder.state_dict(), model.encoder.state_dict()
    fitting = {key: value for key, value in theirs.items() if key in ours and ours[key].shape == value.shape}
    if not any(value.ndim > 1 for value in fitting.values()):
        raise UserError(
            f"model.init_from: nothing of {source} fits. Its encoder {type(encoder).__name__} has the widths "
            f"{list(encoder.out_channels)}, the encoder {type(model.encoder).__name__} has "
            f"{list(model.encoder.out_channels)}. Choose the encoder that the run was made with."
        )
    model.encoder.load_state_dict(fitting, strict=False)
    mapped = {f"encoder.{key}": f"encoder.{key}" for key in fitting}
    return _report(model, source, mapped, [f"encoder.{key}" for key in theirs if key not in fitting])


def _report(model: SegmentationModel, source: str, mapped: dict[str, str], unused: list[str]) -> InitReport:
    tensors = [f"encoder.{key}" for key in model.encoder.state_dict() if not key.endswith("num_batches_tracked")]
    sizes = {f"encoder.{key}": value.numel() for key, value in model.encoder.named_parameters()}
    return InitReport(
        source=source,
        mapped=mapped,
        left=tuple(name for name in tensors if name not in mapped),
        unused=tuple(unused),
        share=sum(size for name, size in sizes.items() if name in mapped) / sum(sizes.values()),
    )


def _kinds(parts: list[Part]) -> str:
    blocks = dict.fromkeys(part.kind.removeprefix("block ") for part in parts if part.kind.startswith("block "))
    return f"ConvNeXt blocks of {', '.join(blocks)} channels" if blocks else "no ConvNeXt blocks to give or take"
