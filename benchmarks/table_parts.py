"""What the tables are made of."""

import statistics
from collections.abc import Iterable, Sequence


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def grouped(rows: Iterable[dict], key: str) -> dict[str, list[dict]]:
    """The rows by what stands under ``key``, both in their order."""
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def mean_and_deviation(values: Sequence[float]) -> str:
    """To one decimal; the deviation is that of a sample, and missing where there is one value."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def measured_on(environment: dict) -> str:
    """A sentence on where and with what."""
    e = environment
    commit = f", commit {e['commit']}" if e["commit"] else ""
    return (
        f"Measured on {e['device']}, {e['cpu_cores']} cores, {e['torch_threads']} threads, torch "
        f"{e['versions']['torch']}{commit}, {e['date']}."
    )
