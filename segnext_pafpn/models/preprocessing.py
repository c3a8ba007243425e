"""What lies between an image file and a network, and between its logits and a picture; kept beside its weights."""

import json
from dataclasses import dataclass
from pathlib import Path

from segnext_pafpn.errors import UserError
from segnext_pafpn.ids import MAX_ID, is_whole
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.slicing import Slicing

PREPROCESSING_FILE = "preprocessing.json"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What lies between an image file and the network, and between its logits and a picture.

    Args:
        class_names: K names.
        class_colors: K RGB triples.
        class_ids: K ids that stand for the classes in the data's own mask files, the first of each row of the card;
            None if not known.
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
    class_ids: tuple[int, ...] | None = None
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
        class_ids: tuple[int, ...] | None = None,
    ) -> "Preprocessing":
        """For images that are normalised by ``intensity``, or for 8-bit RGB, with ImageNet's mean and deviation."""
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if intensity is None else ((), ())
        return cls(
            class_names=class_names,
            class_colors=class_colors,
            class_ids=class_ids,
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


def read_preprocessing(file: Path) -> Preprocessing:
    """Read the JSON of its fields.

    Raises:
        UserError: naming the file, if it is broken.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return Preprocessing(
            class_names=tuple(values["class_names"]),
            class_colors=tuple(tuple(color) for color in values["class_colors"]),
            class_ids=_class_ids(values),
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
        raise UserError(f"{file}: not a valid preprocessing file ({error!r}).") from error


def _class_ids(values: dict) -> tuple[int, ...] | None:
    """Of a ``preprocessing.json``; none before there were such."""
    ids = values.get("class_ids")
    if ids is None:
        return None
    if len(ids) != len(values["class_names"]) or not all(is_whole(i, MAX_ID) for i in ids):
        raise ValueError(f"class_ids: found {ids}, expected {len(values['class_names'])} of 0 to 65535")
    return tuple(ids)


def _thresholds(values: dict) -> tuple[float, ...] | None:
    """Of a ``preprocessing.json``; none before there were such."""
    thresholds = values.get("thresholds")
    if thresholds is None:
        return None
    count = len(values["class_names"]) if values.get("multi_label") else 1
    if len(thresholds) != count or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds: found {thresholds}, expected {count} of 0 to 1")
    return tuple(float(threshold) for threshold in thresholds)


def _read_intensity(values: dict | None) -> Intensity | None:
    if values is None:
        return None
    return Intensity(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _read_slicing(values: dict | None) -> Slicing | None:
    return None if values is None else Slicing(**{**values, "images": tuple(values["images"])})


def describe_images(preprocessing: Preprocessing) -> str:
    """What an image must go through before it is given to the network."""
    slicing = preprocessing.slicing
    return ("" if slicing is None else f"{_describe_slices(slicing)} ") + _describe_values(preprocessing)


def _describe_slices(slicing: Slicing) -> str:
    """How a volume (slices, rows, columns) becomes images."""
    code = slicing.orientation
    steps = [f"turned until columns, rows and slices (NIfTI's i, j, k) run to {code}"] if code else []
    steps += ["standardised as a whole, each channel as (value - mean) / deviation"] if slicing.standardize else []
    steps += [f"cut across axis {slicing.axis}"]
    n = slicing.neighbours
    steps += [f"each slice with the {n} before and the {n} after as channels, in their order"] if n else []
    return f"An image is a slice of a volume (slices, rows, columns), which is {', '.join(steps)}."


def _describe_values(preprocessing: Preprocessing) -> str:
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
