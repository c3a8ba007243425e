"""What a metric of a field is given, and what it gives back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segnext_pafpn.evaluation.score_table import ScoreTable


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """One picture as it was predicted.

    Args:
        name: of the picture.
        prediction: class of each pixel, (H, W), any integer type; several labels a pixel: 0 or 1, (K, H, W).
        truth: the same or the ignore index.
        probabilities: of the classes, (K, H, W) float; None where the metric does not ask for them.
        instances: number of the instance that each pixel is of, (H, W), 0 for none; None likewise.
        case: what the picture is a slice of; None for a case of its own.
        slice: number of the slice in its case.
        spacing: distance of neighbouring pixels: (rows, columns), or (slices, rows, columns); None: unknown.
    """

    name: str
    prediction: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray | None = None
    instances: np.ndarray | None = None
    case: str | None = None
    slice: int | None = None
    spacing: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class FieldReport:
    """What a metric found.

    Args:
        values: what JSON can hold, None for what could not be measured.
        tables: to show.
    """

    values: Mapping[str, object]
    tables: Sequence[ScoreTable] = field(default_factory=tuple)


class FieldMetric(ABC):
    """Adds up over pictures. ``name`` is how the command line calls it."""

    name: str
    wants_probabilities = False
    wants_instances = False

    @abstractmethod
    def add(self, picture: Picture) -> None:
        """Count a picture."""

    @abstractmethod
    def report(self) -> FieldReport:
        """What the pictures came to."""

    def write_files(self, directory: Path, stem: str) -> list[Path]:
        """Write what a table and JSON have no room for; the files, most metrics have none."""
        return []
