"""An image and its truth, read and compared with the card. Does without torch, which the check needs not wait for."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from segnext_pafpn.data.image_format import RGB8, ImageFormat
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import Reader, Sample
from segnext_pafpn.errors import UserError

Pair = tuple[np.ndarray, np.ndarray]  # image (H, W, C) as the reader gives it, training ids (H, W) uint8


class Pairs(Protocol):
    """Where images and their truth come from: files, or what was kept of them. Nobody may write into the arrays."""

    def read(self, sample: Sample) -> Pair: ...


@dataclass(frozen=True)
class FilePairs:
    """Pairs decoded from the files.

    Args:
        form: what the card says of the images.
    """

    reader: Reader
    labels: LabelMap
    form: ImageFormat = RGB8

    def read(self, sample: Sample) -> Pair:
        """The pair, which is what the card says.

        Raises:
            UserError: naming a file that cannot be read or is not.
        """
        image = self.read_image(sample)
        return image, self.read_mask(sample, image)

    def read_image(self, sample: Sample) -> np.ndarray:
        """The image alone, ``(H, W, C)``."""
        return self.form.check(self.reader.read_image(sample), sample.label)

    def read_mask(self, sample: Sample, image: np.ndarray) -> np.ndarray:
        """Training ids ``(H, W)`` uint8 of the sample whose image this is."""
        return read_truth(self.reader, sample, self.labels, image)


def read_raw(reader: Reader, sample: Sample, labels: LabelMap) -> np.ndarray:
    """Ids (H, W) as the sample's mask has them, or its layers (K, H, W); neither is compared with the card.

    Raises:
        UserError: naming a file that cannot be read.
    """
    return reader.read_layers(sample) if labels.multi_label else reader.read_mask(sample)


def read_truth(reader: Reader, sample: Sample, labels: LabelMap, image: np.ndarray) -> np.ndarray:
    """Training ids (H, W) uint8 of a sample, or layers (K, H, W) uint8 where a pixel may be of several classes.

    Raises:
        UserError: naming a mask that cannot be read, is of another size than ``image``, or has unknown ids.
    """
    raw = read_raw(reader, sample, labels)
    if raw.shape[-2:] != image.shape[:2]:
        raise UserError(f"{sample.mask_label}: {describe_sizes(image, raw)}")
    unknown = [] if labels.multi_label else labels.unknown_ids(raw)
    if unknown:
        raise UserError(f"{sample.mask_label}: {describe_unknown(unknown, labels)}")
    return labels(raw)


def describe_sizes(image: np.ndarray, mask: np.ndarray) -> str:
    """What to say of a pair whose sizes differ."""
    (h, w), (mh, mw) = image.shape[:2], mask.shape[-2:]
    return f"the mask is {mw}x{mh}, its image {w}x{h} (width x height). They must agree; export the mask again."


def describe_unknown(ids: list[int], labels: LabelMap) -> str:
    """What to say of a mask with ids that the card does not name; why is for :mod:`segnext_pafpn.data.check`."""
    found = ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")
    values = "value" if len(ids) == 1 else "values"
    verb = "is" if len(ids) == 1 else "are"
    return f"{values} {found} {verb} not in the card (known: {labels.known}). Add to a class's ids, or to ignore."
