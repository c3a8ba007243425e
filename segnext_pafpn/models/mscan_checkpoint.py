"""Weights that SegNeXt's authors or mmsegmentation published, into the networks here.

Both name their parameters as :mod:`~segnext_pafpn.models.mscan` and :mod:`~segnext_pafpn.models.hamburger`
do, but for what :data:`RENAMES` says.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.models.mscan import MSCAN

# Of a whole segmentor; in ImageNet's checkpoints the encoder's names stand alone, beside `head.*`.
RENAMES = [
    (r"^module\.", ""),
    (r"^backbone\.", "encoder."),
    (r"^decode_head\.conv_seg\.", "segmentation_head.0."),
    (r"^decode_head\.", "decoder."),
    (r"^(patch_embed|block|norm)(?=\d\.)", r"encoder.\1"),
    (r"\.mlp\.dwconv\.(?=weight|bias)", ".mlp.dwconv.dwconv."),  # as mmsegmentation 1 has it
]
CLASSIFIER = "segmentation_head.0."
# What torch.load and safetensors raise over files that are something else; garbage ends in any of them.
UNREADABLE = (OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, AssertionError)
UNREADABLE += (UnpicklingError, SafetensorError)


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of a checkpoint.

    Args:
        loaded: entries of the model that now hold the file's values.
        left: entries of the file that have no place in the model, by the file's names.
        kept: entries of the model that the file says nothing about.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    kept: tuple[str, ...]


def load_official_mscan(model: nn.Module, path: str | Path) -> LoadReport:
    """Load a published checkpoint of MSCAN (ImageNet) or SegNeXt (mmsegmentation) into ``model``, in place.

    The classifier of a segmentation checkpoint is left where it has another number of classes; ImageNet's
    is always left.

    Args:
        model: an MSCAN, or a network of smp whose encoder is ``mscan_*``; the decoder is loaded into
            :class:`~segnext_pafpn.models.segnext.SegNeXt` alone.
        path: a ``.safetensors``, or what ``torch.load(weights_only=True)`` reads.

    Raises:
        UserError: if the file is none of these, or of another size than the model, which then is unchanged.
        ValueError: if ``model`` has no MSCAN.
    """
    if not isinstance(model, MSCAN) and not isinstance(getattr(model, "encoder", None), MSCAN):
        raise ValueError(f"{type(model).__name__} has no MSCAN encoder to load into.")
    wanted = model.state_dict()
    values, left = {}, []
    for name, value in _read(Path(path)).items():
        target = _rename(name)
        if isinstance(model, MSCAN):
            target = target.removeprefix("encoder.")
        if target not in wanted or (target.startswith(CLASSIFIER) and len(value) != len(wanted[target])):
            left.append(name)
        else:
            values[target] = value
    _check(values, wanted, Path(path))
    model.load_state_dict(values, strict=False)
    return LoadReport(loaded=tuple(values), left=tuple(left), kept=tuple(name for name in wanted if name not in values))


def _rename(name: str) -> str:
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _check(values: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], path: Path) -> None:
    """All shapes must fit and the encoder must be whole, before anything is loaded."""
    for name, value in values.items():
        if value.shape != wanted[name].shape:
            raise UserError(
                f"{path}: {name} is {list(value.shape)}, the model's is {list(wanted[name].shape)}. "
                f"Build the model with the file's variant, decoder_channels and 3 image channels."
            )
    encoder = [n for n in wanted if re.match(r"(encoder\.)?(patch_embed|block|norm)\d\.", n)]
    missing = [n for n in encoder if n not in values and not n.endswith("num_batches_tracked")]
    if missing:
        raise UserError(
            f"{path}: not a checkpoint of this MSCAN: {len(missing)} of its entries are missing, the first "
            f"'{missing[0]}'. Give a checkpoint of the same variant."
        )


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Names and tensors of a checkpoint, whatever it is wrapped in."""
    if not path.is_file():
        raise UserError(f"{path}: no such file. Give a checkpoint of MSCAN or SegNeXt.")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: cannot be read as a checkpoint: {reason}. Give a .safetensors, or a file of tensors "
            f"that torch.load reads with weights_only=True."
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(
            f"{path}: holds no table of tensors, neither by itself nor as 'state_dict'. "
            f"Give a checkpoint of MSCAN or SegNeXt."
        )
    return content
