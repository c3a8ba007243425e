"""Taking a run up again: its last checkpoint, and whether the configuration may go on from it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.training.checkpoints import read_checkpoint
from segnext_pafpn.training.config import RunConfig, TrainConfig, read_config

_NOTE = "segnext_pafpn"  # in a checkpoint: the images and classes that it is for
_FIXED = ("optim", "model")  # their state comes from the checkpoint


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """A checkpoint, how many epochs and optimizer steps lie behind it, and the shapes of its weights by name."""

    checkpoint: Path
    epochs: int
    steps: int
    shapes: Mapping[str, torch.Size]


class NoteOfData(Callback):
    """Writes into each checkpoint which classes and images it is for, so that it is not resumed on others."""

    def __init__(self, preprocessing: Preprocessing):
        self.note = {
            "class_names": list(preprocessing.class_names),
            "multi_label": preprocessing.multi_label,
            "channels": preprocessing.channels,
            "is_rgb8": preprocessing.intensity is None,
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
    state = read_checkpoint(last)
    if isinstance(config, TrainConfig):
        _refuse_other_card(config, state.get(_NOTE))
    saved = read_config(config.run_dir / "config.yaml")
    for group in _FIXED:
        for key, value in asdict(getattr(config, group)).items():
            value = list(value) if isinstance(value, tuple) else value
            if key in saved[group] and saved[group][key] != value:
                raise UserError(
                    f"{group}.{key}: {value} is not the {saved[group][key]} that {config.run_dir} was started with, "
                    f"and cannot change when resuming. Start a new run from its weights with --weights "
                    f"{config.run_dir}."
                )
    epochs = 1 + state["epoch"]
    if 0 <= config.trainer.max_epochs < epochs:
        raise UserError(
            f"trainer.max_epochs: {config.trainer.max_epochs} is less than the {epochs} epochs that {config.run_dir} "
            f"has behind it. Resume with {epochs} or more."
        )
    shapes = {name: tensor.shape for name, tensor in state["state_dict"].items()}
    return ResumePoint(checkpoint=last, epochs=epochs, steps=state["global_step"], shapes=shapes)


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
    card = build_reader(card, data.root, data.layout).fitted(card)
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
