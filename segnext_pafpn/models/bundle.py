"""A trained model on disk: the network in smp's form, and beside it what an image must go through first.

The folder holds ``config.json``, ``model.safetensors`` (both smp's, read by ``smp.from_pretrained``) and
``preprocessing.json``.
"""

import json
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

import segmentation_models_pytorch as smp
from safetensors import SafetensorError
from segmentation_models_pytorch.base import SegmentationModel

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import write_folder_atomic, write_json
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.slicing import Slicing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_CARD = """---
library_name: segmentation-models-pytorch
pipeline_tag: image-segmentation
---

# {name}

A {kind} of {count} classes: {classes}.

{scores}
Predict with `segnext-pafpn predict --checkpoint FOLDER -i IMAGES -o MASKS`, or load it in Python:

```python
import segmentation_models_pytorch as smp
import segnext_pafpn

model = smp.from_pretrained("FOLDER", encoder_weights=None).eval()
```

{images} `preprocessing.json` holds these numbers and what the classes are called.
"""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What lies between an image file and the network, and between its logits and a picture.

    Args:
        class_names: K names.
        class_colors: K RGB triples.
        mean, std: per channel, of values between 0 and 1; the network sees ``(image / 255 - mean) / std``.
        image_size: height and width to which images are resized first, or None.
        intensity: takes the place of ``mean`` and ``std``, which are empty then, for images that are not 8-bit RGB;
            it comes before any resizing.
        slicing: how volumes are cut into images; None for a model of pictures.
        multi_label: a pixel may be of several classes or none.
        thresholds: of probabilities, see :class:`~segnext_pafpn.models.decision.Decision`; None: not tuned.
        thresholds_from: what they were tuned on, in words.
    """

    class_names: tuple[str, ...]
    class_colors: tuple[tuple[int, int, int], ...]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    image_size: tuple[int, int] | None = None
    intensity: Intensity | None = None
    slicing: Slicing | None = None
    multi_label: bool = False
    thresholds: tuple[float, ...] | None = None
    thresholds_from: str = ""

    @classmethod
    def of_images(
        cls,
        intensity: Intensity | None,
        class_names: tuple[str, ...],
        class_colors: tuple[tuple[int, int, int], ...],
        image_size: tuple[int, int] | None,
        slicing: Slicing | None = None,
        multi_label: bool = False,
    ) -> "Preprocessing":
        """For images that are normalised by ``intensity``, or for 8-bit RGB, with ImageNet's mean and deviation."""
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if intensity is None else ((), ())
        return cls(
            class_names=class_names,
            class_colors=class_colors,
            mean=mean,
            std=std,
            image_size=image_size,
            intensity=intensity,
            slicing=slicing,
            multi_label=multi_label,
        )

    @property
    def channels(self) -> int:
        """C, of the images."""
        return len(self.mean) if self.intensity is None else self.intensity.channels

    @property
    def decision(self) -> Decision:
        """How logits are read."""
        return Decision(multi_label=self.multi_label, thresholds=self.thresholds)


def save_bundle(
    model: SegmentationModel, preprocessing: Preprocessing, folder: Path, metrics: dict | None = None
) -> None:
    """Write model and preprocessing into ``folder``; ``metrics`` go into its ``README.md``.

    A process that is killed meanwhile leaves the folder as it was, or with all of the new files, or, of a folder that
    an earlier save of the same network has filled, with some of them: each is whole, and weights of the same network
    are all that differs.
    """
    with write_folder_atomic(Path(folder)) as temporary:
        model.save_pretrained(temporary)
        (temporary / "README.md").write_text(_model_card(model, preprocessing, metrics or {}), encoding="utf-8")
        text = json.dumps(asdict(preprocessing), indent=2) + "\n"
        (temporary / "preprocessing.json").write_text(text, encoding="utf-8")


def save_preprocessing(preprocessing: Preprocessing, folder: Path) -> None:
    """Write it anew into a bundle, whose weights stay."""
    write_json(asdict(preprocessing), Path(folder) / "preprocessing.json")


def _model_card(model: SegmentationModel, preprocessing: Preprocessing, metrics: dict) -> str:
    """What the folder holds; in place of smp's card, which names a licence and speaks of an upload."""
    return _CARD.format(
        name=model.name,
        kind=type(model).__name__,
        count=len(preprocessing.class_names),
        classes=", ".join(preprocessing.class_names),
        images=_describe_images(preprocessing),
        scores="".join(f"- {name}: {score}\n" for name, score in metrics.items()) or "Not scored.\n",
    )


def bundle_folder(path: str | Path) -> Path:
    """``path`` itself, or ``model/`` in it where ``path`` is the folder of a run."""
    folder = Path(path)
    return folder / "model" if (folder / "model").is_dir() else folder


def _thresholds(values: dict) -> tuple[float, ...] | None:
    """Of a ``preprocessing.json``; none before there were such."""
    thresholds = values.get("thresholds")
    if thresholds is None:
        return None
    count = len(values["class_names"]) if values.get("multi_label") else 1
    if len(thresholds) != count or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds: found {thresholds}, expected {count} of 0 to 1")
    return tuple(float(threshold) for threshold in thresholds)


def _describe_images(preprocessing: Preprocessing) -> str:
    """What an image must go through before it is given to the network."""
    intensity = preprocessing.intensity
    if intensity is None:
        return (
            f"It takes 8-bit RGB as `(image / 255 - mean) / std`, mean {preprocessing.mean}, std {preprocessing.std}."
        )
    text = f"It takes images of {intensity.channels} channel(s), each normalised by itself: "
    if intensity.low is not None:
        text += f"cut to {_pairs(intensity.low, intensity.high)}, "
    if intensity.mean is None:
        return f"{text}then `{intensity.method}` by the numbers of the image itself."
    return f"{text}then `(value - mean) / std`, mean {intensity.mean}, std {intensity.std} (`{intensity.method}`)."


def _pairs(low: tuple[float, ...], high: tuple[float, ...]) -> str:
    return ", ".join(f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True))


def _read_intensity(values: dict | None) -> Intensity | None:
    if values is None:
        return None
    return Intensity(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _read_slicing(values: dict | None) -> Slicing | None:
    return None if values is None else Slicing(**{**values, "images": tuple(values["images"])})


def load_preprocessing(path: str | Path) -> Preprocessing:
    """Read the bundle's preprocessing alone; ``path`` as for :func:`load_bundle`.

    Raises:
        UserError: naming the file that is missing or broken.
    """
    folder = _find(path)
    try:
        values = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        return Preprocessing(
            class_names=tuple(values["class_names"]),
            class_colors=tuple(tuple(color) for color in values["class_colors"]),
            mean=tuple(values["mean"]),
            std=tuple(values["std"]),
            image_size=tuple(values["image_size"]) if values["image_size"] else None,
            intensity=_read_intensity(values.get("intensity")),
            slicing=_read_slicing(values.get("slicing")),
            multi_label=bool(values.get("multi_label", False)),
            thresholds=_thresholds(values),
            thresholds_from=str(values.get("thresholds_from", "")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'preprocessing.json'}: not a valid preprocessing file ({error!r}).") from error


def _find(path: str | Path) -> Path:
    """The bundle's folder, given it or that of the run that wrote it."""
    folder = bundle_folder(path)
    for name in ("config.json", "model.safetensors", "preprocessing.json"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder / name}: no such file. --checkpoint takes the folder of a finished run (runs/NAME) "
                f"or its model/ folder."
            )
    return folder


def load_bundle(path: str | Path) -> tuple[SegmentationModel, Preprocessing]:
    """Read a bundle, in evaluation mode on the CPU; ``path`` is its folder or that of the run that wrote it.

    Raises:
        UserError: naming the file that is missing or broken.
    """
    folder = _find(path)
    preprocessing = load_preprocessing(folder)
    try:
        with redirect_stdout(StringIO()):  # huggingface_hub prints that the folder is a local one
            # its weights are in the folder: the encoder's pretrained ones must not be fetched again
            model = smp.from_pretrained(str(folder), encoder_weights=None)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder}: the model cannot be read: {reason}. Train again or copy the folder again."
        ) from error
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
    return model.eval(), preprocessing
