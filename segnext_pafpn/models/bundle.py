"""A trained model on disk: the network in smp's form, and beside it what an image must go through first.

The folder holds ``config.json``, ``model.safetensors`` (both smp's, read by ``smp.from_pretrained``) and
``preprocessing.json``.
"""

import json
import warnings
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from segmentation_models_pytorch.base import SegmentationModel

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import near_folder, system_error, write_atomic, write_folder_atomic, write_json
from segnext_pafpn.models.describe import describe_images, describe_masks
from segnext_pafpn.models.preprocessing import (
    PREPROCESSING_FILE,
    Preprocessing,
    read_preprocessing,
)
from segnext_pafpn.models.refusals import refuse_activation, refuse_fused

CLASSES_FILE = "classes.json"  # in the folder of a run of pretrain

_CARD = """---
library_name: segmentation-models-pytorch
pipeline_tag: image-segmentation
---

# {name}

A {kind} of {count}: {classes}.

{scores}
Predict with `segnext-pafpn predict --checkpoint FOLDER -i IMAGES -o MASKS`, or load it in Python:

```python
import segmentation_models_pytorch as smp
import segnext_pafpn

model = smp.from_pretrained("FOLDER", encoder_weights=None).eval()
```

{images}

{masks} `preprocessing.json` holds these numbers and what the classes are called.
"""


def save_bundle(
    model: SegmentationModel, preprocessing: Preprocessing, folder: Path, metrics: dict | None = None
) -> None:
    """Write model and preprocessing into ``folder``; ``metrics`` go into its ``README.md``.

    A process that is killed meanwhile leaves the folder as it was, or with all of the new files, or, of a folder that
    an earlier save of the same network has filled, with some of them: each is whole, and weights of the same network
    are all that differs.

    Raises:
        RuntimeError: for a fused network.
        UserError: for one with an activation behind its logits.
    """
    refuse_fused(model)
    refuse_activation(model)
    with write_folder_atomic(Path(folder)) as temporary:
        try:
            model.save_pretrained(temporary)
        except SafetensorError as error:  # how it says that the disk is full
            raise system_error(error, temporary / "model.safetensors") from error
        (temporary / "README.md").write_text(_model_card(model, preprocessing, metrics or {}), encoding="utf-8")
        text = json.dumps(asdict(preprocessing), indent=2) + "\n"
        (temporary / PREPROCESSING_FILE).write_text(text, encoding="utf-8")


def save_preprocessing(preprocessing: Preprocessing, folder: Path, before: Preprocessing | None = None) -> None:
    """Write it anew into a bundle, whose weights stay.

    Args:
        before: what the bundle's was, to correct what its ``README.md`` says of masks.
    """
    page = Path(folder) / "README.md"
    write_json(asdict(preprocessing), Path(folder) / PREPROCESSING_FILE)
    if before is not None and page.is_file():
        text = page.read_text(encoding="utf-8").replace(describe_masks(before), describe_masks(preprocessing))
        with write_atomic(page) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _model_card(model: SegmentationModel, preprocessing: Preprocessing, metrics: dict) -> str:
    """What the folder holds; in place of smp's card, which names a licence and speaks of an upload."""
    return _CARD.format(
        name=model.name,
        kind=type(model).__name__,
        count="1 class" if len(preprocessing.class_names) == 1 else f"{len(preprocessing.class_names)} classes",
        classes=", ".join(preprocessing.class_names),
        images=describe_images(preprocessing),
        masks=describe_masks(preprocessing),
        scores="".join(f"- {name}: {score}\n" for name, score in metrics.items()) or "Not scored.\n",
    )


def bundle_folder(path: str | Path) -> Path:
    """``path`` itself, or ``model/`` in it where ``path`` is the folder of a run."""
    folder = Path(path)
    return folder / "model" if (folder / "model").is_dir() else folder


def load_preprocessing(path: str | Path) -> Preprocessing:
    """Read the bundle's preprocessing alone; ``path`` as for :func:`load_bundle`.

    Raises:
        UserError: naming the file that is missing or broken.
    """
    return read_preprocessing(_find(path) / PREPROCESSING_FILE)


def _find(path: str | Path) -> Path:
    """The bundle's folder, given it or that of the run that wrote it."""
    folder = bundle_folder(path)
    if folder.is_file():
        raise UserError(
            f"{folder}: is a file, expected the folder of a finished run (runs/NAME) or its model/ folder. Give that."
        )
    if not folder.exists():
        raise UserError(
            f"{path}: no such folder.{near_folder(Path(path))} --checkpoint takes the folder of a finished run "
            f"(runs/NAME) or its model/ folder."
        )
    for name in ("config.json", "model.safetensors", PREPROCESSING_FILE):
        if not (folder / name).is_file():
            if (folder / CLASSES_FILE).is_file():
                raise UserError(
                    f"{folder}: is a run of pretrain, whose network labels no pixels. Give a run of train; the "
                    f"encoder is a start for train --weights."
                )
            raise UserError(
                f"{folder / name}: no such file. --checkpoint takes the folder of a finished run (runs/NAME) "
                f"or its model/ folder."
            )
    return folder


def load_bundle(path: str | Path) -> tuple[SegmentationModel, Preprocessing]:
    """Read a bundle, in evaluation mode on the CPU; ``path`` is its folder or that of the run that wrote it.

    Raises:
        UserError: naming the file that is missing or broken, or the folder of a network with an activation behind its
            logits.
    """
    folder = _find(path)
    preprocessing = read_preprocessing(folder / PREPROCESSING_FILE)
    try:
        # huggingface_hub prints that the folder is a local one, smp warns of every weight that another version had
        # its random weights, which those of the file replace, leave the caller's draws as they were
        with redirect_stdout(StringIO()), warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            # its weights are in the folder: the encoder's pretrained ones must not be fetched again
            model = smp.from_pretrained(str(folder), encoder_weights=None)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder}: the model cannot be read: {reason}. Copy the folder again; if the version that trained it had "
            f"another network of this name, use that version, or train again."
        ) from error
    refuse_activation(model, str(folder))
    if (channels := model.config.get("in_channels", 3)) != preprocessing.channels:
        raise UserError(
            f"{folder}: preprocessing.json is for images of {preprocessing.channels} channels, the network takes "
            f"{channels}. The two files are of different runs; copy the folder again."
        )
    if (classes := model.config["classes"]) != len(preprocessing.class_names):
        raise UserError(
            f"{folder}: preprocessing.json names {len(preprocessing.class_names)} classes, the network has {classes}. "
            f"The two files are of different runs; copy the folder again."
        )
    broken = [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        raise UserError(
            f"{folder}: {len(broken)} tensors of the weights hold NaN or infinite numbers, {broken[0]} first. Train "
            f"again, with a lower optim.lr or trainer.precision 32-true, or copy the folder again."
        )
    return model.eval(), preprocessing
