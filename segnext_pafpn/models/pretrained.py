"""A pretrained encoder on disk, ``encoder.safetensors``: written from a classifier, taken by other networks.

The file holds the classifier's weights under timm's names, its head among them, so that
``timm.create_model(NAME, num_classes=K, checkpoint_path=FILE)`` reads it.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import near_folder, system_error, write_atomic
from segnext_pafpn.models.classifier import encoder_name

ENCODER_FILE = "encoder.safetensors"


def save_encoder(model: nn.Module, name: str, path: Path) -> None:
    """Write the weights of ``model``, timm's model ``name``; whole or not at all."""
    state = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    with write_atomic(path) as temporary:
        try:
            save_file(state, temporary, metadata={"format": "pt", "name": name})
        except SafetensorError as error:  # how it says that the disk is full
            raise system_error(error, temporary) from error


def find_encoder(path: str | Path) -> Path | None:
    """The encoder's file, given itself or the folder of the run that wrote it; None if it is neither.

    Raises:
        UserError: if there is nothing of this name.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(
            f"weights: {path}: no such file or folder.{near_folder(path)} Give the folder of a finished run, or the "
            f"path of an {ENCODER_FILE}."
        )
    if path.is_file():
        return path
    return path / ENCODER_FILE if (path / ENCODER_FILE).is_file() else None


def load_encoder(encoder: nn.Module, path: Path, may_differ: str | tuple[str, ...] = ()) -> int:
    """Fill ``encoder`` from a file of :func:`save_encoder`; return how many tensors were taken.

    Tensors of the file that the encoder lacks, such as the classifier, are left.

    Args:
        encoder: a model of timm, or an encoder of smp, one of timm (``tu-NAME``) too.
        path: the file.
        may_differ: beginnings of the names of tensors that stay as they are where their shapes differ.

    Raises:
        UserError: if the file is broken, or does not hold every tensor of the encoder in its shape.
    """
    stored, name = _read(path)
    taken, missing = {}, []
    for key, own in encoder.state_dict().items():
        value = stored.get(_plain_name(key))
        if value is not None and value.shape == own.shape:
            taken[key] = value
        elif not key.startswith(may_differ):
            missing.append(key)
    if missing:
        total = len(taken) + len(missing)
        hint = (
            f" It holds {name}: set model.encoder_name to {encoder_name(name)} (in pretrain model.name)."
            if name
            else ""
        )
        raise UserError(
            f"weights: {path}: {len(missing)} of the encoder's {total} tensors are not in it, {missing[0]} the first."
            f"{hint or ' It does not name its encoder.'} Or give other weights."
        )
    encoder.load_state_dict(taken, strict=False)
    return len(taken)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], str | None]:
    try:
        with safe_open(path, framework="pt") as file:
            name = (file.metadata() or {}).get("name")
        return {_plain_name(key): value for key, value in load_file(path).items()}, name
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"weights: {path}: cannot be read ({reason}). Copy the file again.") from error


def _plain_name(key: str) -> str:
    """One name for what is ``stages.0.1.dw`` in timm's model and ``model.stages_0.1.dw`` in smp's wrapping of it."""
    while key.startswith("model."):
        key = key.removeprefix("model.")
    return key.replace(".", "_")
