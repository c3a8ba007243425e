"""What a check found, split by split, and over all splits together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.check.sample import Details
from segnext_pafpn.data.readers import Sample
from segnext_pafpn.ids import IGNORED_ID
from segnext_pafpn.intensity import ImageStatistics


@dataclass(frozen=True)
class Cause:
    """What most likely lies behind the problems: a sentence, and lines for the card if they would mend it."""

    text: str
    yaml: str = ""


@dataclass
class SplitReport:
    """What was found in one split.

    Args:
        name: of the split.
        num_samples: complete pairs.
        num_unpaired: images without a mask and masks without an image.
        num_failing: pairs that were read, or were to be, with a problem.
        problems: what keeps training from starting, a line each.
        warnings: what is odd, a line each.
        unreadable: those of the problems that are of files that cannot be read.
        causes: what most likely lies behind them.
        empty: how messages call the masks with one class or none, ignored pixels aside.
        pixels: of each class (K,), and after them the ignored ones.
        num_labelled: pixels that are not ignored; with several labels per pixel each counts once.
        pictures: how many pictures hold each class (K,).
        picture_pixels: labelled pixels of the pictures that hold each class (K,).
        holds: which classes each picture that was read holds, (K,) bool, in the order of the listing.
        raw_ids: pixels of each id as the files have it, and last of those that do not count, (65537,).
        sizes: how many pictures have which (height, width).
        slices: how many slices of each volume the split has; empty where pictures are no slices.
        spacings: of the volumes that say it, of slices, rows and columns in millimetres.
        details: measurements of each readable pair, where they were asked for.
        statistics: of the values of images that are not 8-bit RGB, where they were measured.
    """

    name: str
    num_samples: int = 0
    num_unpaired: int = 0
    num_failing: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    num_labelled: int = 0
    pictures: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    picture_pixels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    holds: list[np.ndarray] = field(default_factory=list)
    raw_ids: np.ndarray = field(default_factory=lambda: np.zeros(IGNORED_ID + 1, dtype=np.int64))
    sizes: Counter = field(default_factory=Counter)
    slices: Counter = field(default_factory=Counter)
    spacings: set[tuple[float, ...]] = field(default_factory=set)
    details: list[tuple[Sample, Details]] = field(default_factory=list)
    statistics: ImageStatistics | None = None

    def kinds(self, which: str) -> Counter:
        """How many files are of which kind; ``which`` is image_kind or mask_kind."""
        return Counter(getattr(details, which) for _, details in self.details)


@dataclass(frozen=True)
class Twins:
    """Two pictures of different splits that are the same, or nearly; ``exact`` if every pixel is."""

    first_split: str
    first: Sample
    second_split: str
    second: Sample
    exact: bool

    def __str__(self) -> str:
        what = "the same picture as" if self.exact else "nearly the same picture as"
        return (
            f"{self.second.label} ({self.second_split}): {what} {self.first.label} ({self.first_split}), expected "
            f"splits that share none. Remove it from one, or scores will be too good."
        )


@dataclass
class DataReport:
    """All splits of a card's data.

    Args:
        mean, std: of the images' channels over all splits; of 8-bit RGB as values between 0 and 1, of others as they
            are; NaN if none was read.
        low, high: smallest and largest value in the images.
    """

    card: Card
    splits: list[SplitReport]
    twins: list[Twins]
    mean: np.ndarray
    std: np.ndarray
    low: float
    high: float

    @property
    def problems(self) -> list[str]:
        """Of all splits; training may start if there are none."""
        return [line for split in self.splits for line in split.problems]

    @property
    def leaks(self) -> list[str]:
        """A warning for each pair of pictures that two splits share, or one for a split that lies in another."""
        lines = []
        for (first, second), twins in groupby(self.twins, lambda twins: (twins.first_split, twins.second_split)):
            pairs = list(twins)
            shared = {pair.second.label for pair in pairs if pair.exact}
            size = next(len(split.details) for split in self.splits if split.name == second)
            if size > 1 and len(shared) == size:
                lines.append(
                    f"split '{second}': all of its {size} pictures are in '{first}', too, expected splits that share "
                    f"none. Are both read from one folder? Scores would say nothing of pictures that are new."
                )
            else:
                lines += map(str, pairs)
        return lines

    @property
    def oddities(self) -> list[str]:
        """All other warnings, of all splits."""
        return [line for split in self.splits for line in split.warnings]

    @property
    def warnings(self) -> list[str]:
        """The pictures that two splits share first, as scores depend on them most."""
        return self.leaks + self.oddities

    @property
    def causes(self) -> list[Cause]:
        """Of all splits, each once per remedy."""
        found: dict[str, Cause] = {}
        for cause in (cause for split in self.splits for cause in split.causes):
            found.setdefault(cause.yaml or cause.text, cause)
        return list(found.values())


def check_data(card: Card, splits: Sequence[SplitReport], twins: list[Twins]) -> DataReport:
    """Put together what was found in the splits."""
    details = [found for split in splits for _, found in split.details]
    channels = len(details[0].sums) if details else card.image.channels
    scale = 255 if card.image.is_rgb8 else 1
    same = [found for found in details if len(found.sums) == channels]
    pixels = sum(found.pixels for found in same)
    mean = std = np.full(channels, np.nan)
    if pixels:
        mean = sum(found.sums for found in same) / pixels / scale
        squares = sum(found.squares for found in same) / pixels / scale**2
        std = np.sqrt(np.maximum(squares - mean**2, 0))
    low = min((found.low for found in details), default=0)
    high = max((found.high for found in details), default=0)
    return DataReport(card, list(splits), twins, mean, std, low, high)


def ids_in_files(report: SplitReport, card: Card) -> np.ndarray:
    """The ids that were read, ascending, without what readers give to pixels that do not count, and of no layers."""
    if card.multi_label:
        return np.zeros(0, np.int64)
    return np.flatnonzero(report.raw_ids[:IGNORED_ID])
