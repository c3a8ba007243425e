"""Images as the network takes them, and which of them it takes at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from segnext_pafpn.inference.arrays import AnyImage, as_image
from segnext_pafpn.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class Prepared:
    """An image (h, w, C) as the network takes it, and the height and width that its mask shall have."""

    image: np.ndarray
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        return self.image.shape[0] * self.image.shape[1]

    @property
    def mask_pixels(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def is_resized(self) -> bool:
        return self.image.shape[:2] != self.size


def prepare(image: AnyImage, preprocessing: Preprocessing) -> Prepared:
    """The image normalised, where that is not the network's own first step, and in the size of training.

    Raises:
        TypeError, ValueError: if it is no such image, see :func:`~segnext_pafpn.inference.arrays.as_image`.
    """
    image = as_image(image, preprocessing)
    size = image.shape[:2]
    if preprocessing.intensity is not None:
        image = preprocessing.intensity(image)
    return Prepared(_resize(image, preprocessing.image_size), size)


def batches(images: Iterable[Prepared], batch_size: int, max_pixels: int, growth: float) -> Iterator[list[Prepared]]:
    """Neighbours of equal size that go through the network at once; of the images no more is taken than that needs.

    Args:
        max_pixels: of a batch, in its images or in its masks; a single image may have more.
        growth: of an image's pixels on their way through the network, as in its largest view.
    """
    group: list[Prepared] = []
    for item in images:
        if group and (
            (item.image.shape, item.size) != (group[0].image.shape, group[0].size)
            or len(group) == batch_size
            or (len(group) + 1) * max(item.pixels * growth, item.mask_pixels) > max_pixels
        ):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _resize(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """By the same call that the training images went through; OpenCV takes four channels at a time."""
    if size is None or size == image.shape[:2]:
        return image
    height, width = size
    parts = [np.ascontiguousarray(image[..., i : i + 4]) for i in range(0, image.shape[2], 4)]
    resized = [cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA) for part in parts]
    return np.concatenate([part.reshape(height, width, -1) for part in resized], axis=2)  # a single one has no axis
