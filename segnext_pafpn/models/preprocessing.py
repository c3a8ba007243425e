"""What lies between an image file and a network, and between its logits and a picture; kept beside its weights."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

from segnext_pafpn.errors import UserError
from segnext_pafpn.ids import MAX_CLASSES, MAX_ID, is_whole
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.slicing import Slicing

PREPROCESSING_FILE = "preprocessing.json"
MAX_SIDE = 2**16  # of the size that images are resized to
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

    Raises:
        UserError: for more classes than a mask of 8 bits can tell apart.
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

    def __post_init__(self) -> None:
        if len(self.class_names) > MAX_CLASSES and not self.multi_label:
            raise UserError(
                f"class_names: found {len(self.class_names)} names, expected at most {MAX_CLASSES}: masks have 8 bits. "
                f"Join rare classes."
            )

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
    def is_rgb8(self) -> bool:
        """Whether images are 8-bit RGB, into which pictures of other kinds are converted."""
        return self.intensity is None and self.channels == 3

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
        unknown = values.keys() - {field.name for field in fields(Preprocessing)}
        if unknown:
            raise ValueError(f"{min(unknown)}: is not known to this version, which may be older than the file")
        return Preprocessing(
            class_names=_class_names(values),
            class_colors=_class_colors(values),
            class_ids=_class_ids(values),
            mean=_numbers(values, "mean"),
            std=_numbers(values, "std"),
            image_size=_image_size(values),
            intensity=_read_intensity(values.get("intensity")),
            slicing=_read_slicing(values.get("slicing")),
            multi_label=_multi_label(values),
            thresholds=_thresholds(values),
            thresholds_from=str(values.get("thresholds_from", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not a valid preprocessing file ({error!r}).") from error


def _class_names(values: dict) -> tuple[str, ...]:
    names = values["class_names"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_names: found {names!r}, expected a list of names")
    return tuple(names)


def _class_colors(values: dict) -> tuple[tuple[int, int, int], ...]:
    colors, count = values["class_colors"], len(values["class_names"])
    are_colors = all(len(color) == 3 and all(is_whole(c, 255) for c in color) for color in colors)
    if not are_colors or len(colors) != count:
        raise ValueError(f"class_colors: found {colors}, expected {count} of [r, g, b], 0 to 255")
    return tuple(tuple(color) for color in colors)


def _numbers(values: dict, key: str) -> tuple[float, ...]:
    """Mean or deviation of 8-bit RGB; none where ``intensity`` has them."""
    numbers = values[key]
    are_numbers = all(isinstance(n, int | float) and math.isfinite(n) and (key != "std" or n > 0) for n in numbers)
    count = 0 if values.get("intensity") else max(1, len(values["mean"]))
    if not are_numbers or len(numbers) != count:
        raise ValueError(f"{key}: found {numbers}, expected {count} numbers{' above 0' if key == 'std' else ''}")
    return tuple(map(float, numbers))


def _image_size(values: dict) -> tuple[int, int] | None:
    size = values["image_size"]
    if size is None:
        return None
    if not isinstance(size, list) or len(size) != 2 or not all(is_whole(side, MAX_SIDE) and side for side in size):
        raise ValueError(f"image_size: found {size!r}, expected [height, width] or null")
    return tuple(size)


def _multi_label(values: dict) -> bool:
    multi_label = values.get("multi_label", False)
    if not isinstance(multi_label, bool):
        raise ValueError(f"multi_label: found {multi_label!r}, expected true or false")
    return multi_label


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
    classes = len(values["class_names"])
    if classes > 2 and not values.get("multi_label"):
        raise ValueError(f"thresholds: found {thresholds}, expected none: the largest of {classes} logits decides")
    count = classes if values.get("multi_label") else 1
    if len(thresholds) != count or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds: found {thresholds}, expected {count} of 0 to 1")
    return tuple(float(threshold) for threshold in thresholds)


def _read_intensity(values: dict | None) -> Intensity | None:
    if values is None:
        return None
    return Intensity(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _read_slicing(values: dict | None) -> Slicing | None:
    return None if values is None else Slicing(**{**values, "images": tuple(values["images"])})
