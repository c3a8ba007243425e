"""Scores as tables for a terminal and a page, and as the numbers and texts in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from segnext_pafpn import page

ABSENT = "-"


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """A table that a terminal and a page can show; the first column is text, the others numbers.

    Args:
        title: above it.
        head: names of the columns.
        rows: as many cells each.
        note: below it, or empty.
        is_long: whether it is for a page alone.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    is_long: bool = False

    def for_terminal(self) -> RenderableType:
        """As rich shows it, the note below."""
        table = Table(
            title=Text(f"  {self.title}"),
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
        )
        for i, name in enumerate(self.head):
            table.add_column(Text(name), overflow="fold", justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*map(Text, row))
        return Group(table, Padding(Text(self.note), (0, 2, 1, 2))) if self.note else table

    def for_page(self) -> str:
        """As HTML."""
        rows = [[cell.replace("\n", " ") for cell in row] for row in self.rows]
        note = page.paragraph(self.note, "soft") if self.note else ""
        return page.heading(self.title) + note + page.table(self.head, rows)


def rounded(value: float) -> float | None:
    """A score for JSON, with 4 decimals; None where it is not finite, which JSON cannot hold."""
    return round(float(value), 4) if math.isfinite(value) else None


def percent(fraction: float) -> float | None:
    """Percent with 4 decimals, None where there was nothing to measure."""
    return rounded(100 * float(fraction))


def percent_text(fraction: float) -> str:
    """Percent with 2 decimals for a table."""
    return f"{100 * fraction:.2f}" if math.isfinite(fraction) else ABSENT
