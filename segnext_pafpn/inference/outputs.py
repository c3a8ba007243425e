"""Which files come of an image, whether they may be written, and their writing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segnext_pafpn.data.readers.files import IMAGE_SUFFIXES
from segnext_pafpn.errors import UserError, counted
from segnext_pafpn.evaluation.pictures import colorize
from segnext_pafpn.inference.config import PredictConfig
from segnext_pafpn.inference.predictor import Answer
from segnext_pafpn.inference.writer import (
    class_paths,
    overlay,
    save_layers,
    save_mask,
    save_probabilities,
    save_rgb,
    with_ids,
)

_OPTIONS = {"color": "color", "overlay": "overlay", "probabilities": "save_probabilities"}  # by their folders


@dataclass(frozen=True)
class Outputs:
    """Where the outputs of one image go; None for one that is not asked for, and ``others``, where it would lie."""

    masks: list[Path]
    color: Path | None = None
    overlay: Path | None = None
    probabilities: Path | None = None
    others: tuple[Path, ...] = ()

    def paths(self) -> list[Path]:
        """All of them."""
        further = (self.color, self.overlay, self.probabilities)
        return self.masks + [path for path in further if path is not None]


Job = tuple[tuple[Path, ...], Outputs]  # an image's files, and what comes of it


def outputs_of(name: str, config: PredictConfig, classes: tuple[str, ...] | None) -> Outputs:
    """Those of the picture of this name; ``classes`` are those that have a mask each, or None for one mask."""
    folder, file = Path(config.output), f"{name}.png"
    masks = [folder / file] if classes is None else class_paths(folder, classes, name)
    return _outputs(masks, config, name)


def outputs_of_volume(file: str, config: PredictConfig, name: str) -> Outputs:
    """Those of the volume of this name, whose labels are called ``file``."""
    return _outputs([Path(config.output) / file], config, name)


def _outputs(masks: list[Path], config: PredictConfig, name: str) -> Outputs:
    folder = Path(config.output)
    further = {
        "color": (config.color, folder / "color" / f"{name}.png"),
        "overlay": (config.overlay, folder / "overlay" / f"{name}.png"),
        "probabilities": (config.save_probabilities, folder / "probabilities" / f"{name}.npz"),
    }
    wanted = {key: path for key, (is_wanted, path) in further.items() if is_wanted}
    return Outputs(masks, **wanted, others=tuple(path for key, (_, path) in further.items() if key not in wanted))


def refuse_outputs(jobs: list[Job], config: PredictConfig) -> None:
    """Refuse two outputs of one path, and outputs below a file, among the inputs, where the next reader would take them
    for images, in place of files that nobody allowed to replace, and beside what an earlier prediction has left of the
    same images.
    """
    folder = Path(config.output)
    if folder.suffix.lower() in IMAGE_SUFFIXES and not folder.is_dir():
        raise UserError(f"{folder}: is called as an image is, expected a folder for the output. Name a folder.")
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise UserError(f"{existing}: is a file, expected a folder for the output. Name another.")
    sources = _refuse_shared_paths(jobs)
    folders = {path.parent.resolve(): path.parent for path in sources}
    replaced: list[Path] = []
    for files, outputs in jobs:
        for source in files:
            if taken := folders.get(source.parent.resolve()):
                raise UserError(
                    f"{taken}: the masks would lie among the images ({source}). Choose another folder for the output."
                )
        for path in outputs.paths():
            if not path.is_file():
                continue
            # a link to its input
            if any(source.exists() and path.samefile(source) for source in files):
                raise UserError(f"{path}: this output would overwrite its input. Choose another output folder.")
            replaced.append(path)
    if replaced and not config.overwrite:
        raise UserError(
            f"{folder}: holds {len(replaced)} of the files that would be written already, the first of them "
            f"{replaced[0]}. Replace them with --overwrite true, or choose another folder for the output."
        )
    others = [path for _, outputs in jobs for path in outputs.others if path not in sources]
    if left := [path for path in others if path.is_file()]:
        option = _OPTIONS[left[0].relative_to(folder).parts[0]]
        raise UserError(
            f"{folder}: {counted(len(left), 'file')} of an earlier prediction would stay beside the new masks, "
            f"{left[0]} first. Ask for them, too (--{option} true), delete them, or choose another folder for the "
            f"output."
        )


def _refuse_shared_paths(jobs: list[Job]) -> dict[Path, Path]:
    """The paths of all outputs, and the first file of the image that each is of."""
    sources: dict[Path, Path] = {}
    for files, outputs in jobs:
        for path in outputs.paths():
            first = sources.setdefault(path, files[0])
            if first is not files[0]:
                raise UserError(
                    f"{path}: would be an output of {first} and of {files[0]}. Rename one, or its folder, or predict "
                    f"them into different folders."
                )
    return sources


def write_outputs(
    image: np.ndarray,
    answer: Answer,
    class_colors: tuple[tuple[int, int, int], ...],
    class_ids: tuple[int, ...] | None,
    outputs: Outputs,
) -> None:
    """Write what was asked for of one image.

    Args:
        image: as a picture, for the overlay.
        class_ids: to write in the mask in place of the classes' places in the card, or None.
    """
    mask = answer.mask
    if mask.ndim == 3:
        save_layers(mask, outputs.masks)
    else:
        save_mask(mask if class_ids is None else with_ids(mask, class_ids), outputs.masks[0])
    if outputs.probabilities is not None:
        save_probabilities(answer.probabilities, outputs.probabilities)
    if outputs.color is not None:
        save_rgb(colorize(mask, class_colors), outputs.color)
    if outputs.overlay is not None:
        save_rgb(overlay(image, mask, class_colors), outputs.overlay)
