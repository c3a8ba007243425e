"""What a reader is: it lists the samples of a split and reads each one, in the layout the data set came in."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.slicing import Slicing


@dataclass(frozen=True)
class Sample:
    """One picture and its truth.

    Args:
        name: unique within the split; becomes the stem of what is written about the sample.
        image: file of the image, None where there is none (made data).
        mask: file of the mask, likewise; None too where truth is no file of its own.
        seed: from which a made sample is drawn.
        class_masks: one mask file for each class that has one, as (index of the class, file).
        valid: file that is 0 where the picture is not to be learnt or scored.
        channel_files: all files of an image that has one for each channel, the first of which is ``image``.
        case: what the picture is a slice of, such as a volume: its slices are split and scored together. None for a
            picture that is a case of its own.
        slice: number of the slice in its case, from 0 without gaps; None where ``case`` is.
        spacing: distance between neighbouring pixels in millimetres: between rows and between columns, and for a
            slice between slices before them, in the order of the axes of the slices stacked (D, H, W). None: unknown.
    """

    name: str
    image: Path | None = None
    mask: Path | None = None
    seed: int = 0
    class_masks: tuple[tuple[int, Path], ...] = ()
    valid: Path | None = None
    channel_files: tuple[Path, ...] = ()
    case: str | None = None
    slice: int | None = None
    spacing: tuple[float, ...] | None = None

    @property
    def label(self) -> str:
        """How messages call it; no two samples of a split have one label."""
        return f"{self.image or self.name}{self._slice_label}"

    @property
    def mask_label(self) -> str:
        """How messages call its truth."""
        path = self.mask or next((path for _, path in self.class_masks), None)
        return self.label if path is None else f"{path}{self._slice_label}"

    @property
    def _slice_label(self) -> str:
        return "" if self.slice is None else f" slice {self.slice}"


@dataclass
class Listing:
    """The samples of a split, in a fixed order; what is wrong with its files and what is odd, a line each.

    ``num_unpaired`` of these lines are of files that lack a partner: images without mask, masks without image.
    """

    samples: list[Sample]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    num_unpaired: int = 0


class Reader(ABC):
    """A layout. Subclasses are dataclasses whose fields are the options of a card's ``layout``."""

    @property
    def slicing(self) -> Slicing | None:
        """How volumes are cut into samples; None where samples are pictures."""
        return None

    def cut_as(self, slicing: Slicing | None) -> None:  # noqa: B027
        """Cut volumes as those of a training were: across its axis, turned to its orientation, standardised or not.

        Raises:
            UserError: if an option of the layout says otherwise.
        """

    def fitted(self, card: Card) -> Card:
        """The card, with what the options of the layout change about the images."""
        return card

    @abstractmethod
    def splits(self) -> list[str]:
        """The splits that are there and have labels: of ``train``, ``val``, ``test``, and what a layout has besides."""

    @abstractmethod
    def list_samples(self, split: str) -> Listing:
        """List a split without reading the pictures.

        Raises:
            UserError: if the split is not there at all.
        """

    @abstractmethod
    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width, without decoding."""

    def depth(self, sample: Sample) -> int:
        """How many slices the sample's case has, 1 for a picture; reads headers alone."""
        return 1

    @property
    def has_layers(self) -> bool:
        """Whether each class has a truth of its own, so that a pixel may be of several; see :meth:`read_layers`."""
        return False

    def read_layers(self, sample: Sample) -> np.ndarray:
        """``(K, H, W)`` uint8: for each class 1 where it is, 0 where it is not, 255 where that does not count.

        Raises:
            UserError: naming a file that cannot be read.
            ValueError: where :attr:`has_layers` is False.
        """
        raise ValueError(f"{type(self).__name__} has no layers: ask has_layers first.")

    def instance_file(self, sample: Sample) -> Path | None:
        """File of the numbers of instances, which need not be there; None in layouts without such."""
        return None

    def read_instances(self, sample: Sample) -> np.ndarray:
        """``(H, W)`` number of the instance that each pixel is of, 0 for none.

        Raises:
            UserError: naming a file that cannot be read.
            ValueError: where :meth:`instance_file` is None.
        """
        raise ValueError(f"{type(self).__name__} has no instances: ask instance_file first.")

    @abstractmethod
    def read_image(self, sample: Sample) -> np.ndarray:
        """``(H, W, C)``, uint8, uint16, int16 or float32; RGB, or the channels in the order of the files.

        Values are as the files have them. Whether they are what the card says is asked afterwards, by
        :meth:`~segnext_pafpn.data.image_format.ImageFormat.check`.

        Raises:
            UserError: naming a file that cannot be read.
        """

    @abstractmethod
    def read_mask(self, sample: Sample) -> np.ndarray:
        """``(H, W)`` raw ids, an integer type, as the files have them; 65536 where a pixel does not count.

        Raises:
            UserError: naming a file that cannot be read.
        """
