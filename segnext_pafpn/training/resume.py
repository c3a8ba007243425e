"""Taking a run up again: its last checkpoint, and whether the configuration may go on from it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.slicing import Slicing
from segnext_pafpn.training.checkpoints import batches_inside, read_checkpoint
from segnext_pafpn.training.config import RunConfig, TrainConfig
from segnext_pafpn.training.config_file import plain_values, read_config
from segnext_pafpn.training.loss_config import Balance

_NOTE = "segnext_pafpn"  # in a checkpoint: the images and classes that it is for
_FIXED = ("seed", "weights", "model", "data", "loss", "optim")  # what is learnt depends on them
_FREE = {  # in data: where and how they are read
    f"data.{key}" for key in ("card", "root", "val_batch_size", "num_workers", "cache", "cache_dir", "check")
}
_WHOLE = {"model.options", "data.layout", "data.crop_focus.classes"}  # mappings of which each key counts
_FOUND = {  # what stands for numbers that are to be found in the data
    "loss.class_weights": get_args(Balance),
    "data.crop_focus.classes": ("rare",),
    "data.intensity": (None,),
}


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """A checkpoint, what lies behind it, and the shapes of its weights by name.

    Args:
        epochs: that are whole.
        batches: of the epoch after them, where ``max_steps`` has ended the run inside it; of each process.
        steps: of the optimizer, in all.
        pictures: how many each split had, where the checkpoint says it.
    """

    checkpoint: Path
    epochs: int
    batches: int
    steps: int
    shapes: Mapping[str, torch.Size]
    pictures: Mapping[str, int]


class NoteOfData(Callback):
    """Writes into each checkpoint which classes and images it is for, so that it is not resumed on others.

    Args:
        pictures: how many each split has.
    """

    def __init__(self, preprocessing: Preprocessing, pictures: Mapping[str, int]):
        self.note = {
            "pictures": dict(pictures),
            "class_names": list(preprocessing.class_names),
            "multi_label": preprocessing.multi_label,
            "channels": preprocessing.channels,
            "is_rgb8": preprocessing.intensity is None,
            "slicing": preprocessing.slicing and asdict(preprocessing.slicing),
        }

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict) -> None:
        checkpoint[_NOTE] = self.note


def find_resume_point(config: RunConfig) -> ResumePoint:
    """The folder's last checkpoint, after a look at whether the configuration may go on from it. Nothing is written.

    Raises:
        UserError: if there is none, if what it depends on has changed, or the run is longer already than it is to be.
    """
    last = config.run_dir / "checkpoints" / "last.ckpt"
    if not last.is_file():
        raise UserError(f"{last}: no such checkpoint, so there is nothing to resume. Start the run without --resume.")
    refuse_changes(config)
    state = read_checkpoint(last)
    if isinstance(config, TrainConfig):
        _refuse_other_card(config, state.get(_NOTE))
    epochs, steps, batches = 1 + state["epoch"], state["global_step"], batches_inside(state)
    for unit, limit, done in (
        ("epochs", config.trainer.max_epochs, epochs),
        ("steps", config.trainer.max_steps, steps),
    ):
        if 0 <= limit < done:
            raise UserError(
                f"trainer.max_{unit}: {limit} is less than the {done} {unit} that {config.run_dir} has behind it. "
                f"Resume with {done} or more."
            )
    shapes = {name: tensor.shape for name, tensor in state["state_dict"].items()}
    whole = epochs - 1 if batches else epochs
    return ResumePoint(
        checkpoint=last,
        epochs=whole,
        batches=batches,
        steps=steps,
        shapes=shapes,
        pictures=(state.get(_NOTE) or {}).get("pictures", {}),
    )


def refuse_changes(config: RunConfig) -> None:
    """Compare what is learnt, and how, with the folder's ``config.yaml``.

    Numbers that are still to be found in the data, such as class weights by their name, are passed over.

    Raises:
        UserError: naming the first setting that has changed.
    """
    saved, now = read_config(config.run_dir / "config.yaml"), plain_values(config)
    for key in _FIXED:
        if key in saved and key in now:
            _refuse_change(key, saved[key], now[key], config.run_dir)


def _refuse_change(key: str, saved: object, now: object, folder: Path) -> None:
    """Key by key, where both are mappings; a key that one of them lacks is another version's."""
    if isinstance(saved, dict) and isinstance(now, dict) and key not in _WHOLE:
        for part in filter(saved.__contains__, now):
            _refuse_change(f"{key}.{part}", saved[part], now[part], folder)
    elif now != saved and key not in _FREE and not (saved is not None and now in _FOUND.get(key, ())):
        raise UserError(
            f"{key}: {_word(now)} is not the {_word(saved)} that {folder} was started with, and cannot change when "
            f"resuming. Start a new run from its weights with --weights {folder}."
        )


def _word(value: object) -> str:
    """As it is written in YAML."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def refuse_other_network(start: ResumePoint, module: nn.Module) -> None:
    """Ask whether the checkpoint's weights fit, as those of another version of the network do not.

    Raises:
        UserError: naming the first that does not.
    """
    own = {name: tensor.shape for name, tensor in module.state_dict().items()}
    for name in sorted(own.keys() | start.shapes.keys()):
        if own.get(name) != start.shapes.get(name):
            found, expected = (list(shapes[name]) if name in shapes else "nothing" for shapes in (start.shapes, own))
            raise UserError(
                f"{start.checkpoint}: does not fit the network: {name}: found {found}, expected {expected}. Resume "
                f"with the data and the version that the run was started with."
            )


def _refuse_other_card(config: TrainConfig, note: Mapping | None) -> None:
    """Compare the card with the one that the checkpoint was trained on, where that is known.

    Raises:
        UserError: naming what differs.
    """
    if note is None:  # of an earlier version
        return
    data = config.data
    card = load_card(data.card)
    reader = build_reader(card, data.root, data.layout)
    card = reader.fitted(card)
    kinds = {True: "8-bit RGB", False: "images whose values are normalised as the card says"}
    labels = {True: "several labels per pixel (multi_label: true)", False: "one class per pixel"}
    for known, found in (
        (f"the classes {', '.join(note['class_names'])}", f"the classes {', '.join(card.class_names)}"),
        (labels[note["multi_label"]], labels[card.multi_label]),
        (f"images of {note['channels']} channel(s)", f"images of {card.image.channels} channel(s)"),
        (kinds[note["is_rgb8"]], kinds[card.image.is_rgb8]),
    ):
        if found != known:
            raise UserError(
                f"data.card: {config.run_dir} was trained on {known}; card '{card.name}' has {found}. Resume with a "
                f"card like the run's, or start a new run from its weights with --weights {config.run_dir}."
            )
    then, now = note.get("slicing"), reader.slicing
    if then and now and (difference := Slicing(**then).difference(now)):
        key, known, found = difference
        raise UserError(
            f"{key}: {config.run_dir} was trained with {known}, but the data now give {found}. Resume with volumes "
            f"that lie as the run's did, or start a new run from its weights with --weights {config.run_dir}."
        )
