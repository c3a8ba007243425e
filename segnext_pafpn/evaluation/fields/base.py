"""What a metric of a field is given, what it gives back, and how that is shown."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from segnext_pafpn import page

ABSENT = "-"


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
class FieldTable:
    """A table that a terminal and a page can show; the first column is text, the others numbers."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def for_terminal(self) -> RenderableType:
        """As rich shows it, the note below."""
        table = Table(
            title=Text(f"  {self.title}"),
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
        )
        for i, name in enumerate(self.head):
            table.add_column(Text(name), overflow="ellipsis" if i == 0 else "fold", justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*map(Text, row))
        return Group(table, Padding(Text(self.note), (0, 2, 1, 2))) if self.note else table

    def for_page(self) -> str:
        """As HTML."""
        rows = [[cell.replace("\n", " ") for cell in row] for row in self.rows]
        note = page.paragraph(self.note, "soft") if self.note else ""
        return page.heading(self.title) + note + page.table(self.head, rows)


@dataclass(frozen=True, kw_only=True)
class FieldReport:
    """What a metric found.

    Args:
        values: what JSON can hold, None for what could not be measured.
        tables: to show.
    """

    values: Mapping[str, object]
    tables: Sequence[FieldTable] = field(default_factory=tuple)


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


def percent(fraction: float) -> float | None:
    """Percent with 4 decimals, None where there was nothing to measure."""
    return round(100 * float(fraction), 4) if math.isfinite(fraction) else None


def percent_text(fraction: float) -> str:
    """Percent with 2 decimals for a table."""
    return f"{100 * fraction:.2f}" if math.isfinite(fraction) else ABSENT


def mean_of_measured(values: Sequence[float] | np.ndarray) -> float:
    """Mean without NaN; NaN if nothing else is left."""
    values = np.asarray(values, dtype=np.float64)
    measured = values[~np.isnan(values)]
    return float(measured.mean()) if measured.size else math.nan
