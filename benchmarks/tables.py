"""Write the tables of the README and of docs/ from the results: ``python benchmarks/tables.py``."""

import json
import re
import statistics
from pathlib import Path

from table_kinds import KINDS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def accuracy_table(result: dict) -> str:
    """Networks by their mean score over the seeds, best first."""
    lines = ["| network | M parameters | ms / step | steps | val mIoU % | seeds |", "|---|---|---|---|---|---|"]
    for rows in sorted(_by_network(result), key=_rank):
        lines.append(_row(result, rows))
    return "\n".join(lines)


def chain_table(result: dict) -> str:
    """A chain of changes in its order, each row with the changes of those above it."""
    lines = ["| network | M parameters | ms / step | steps | val mIoU % | seeds |", "|---|---|---|---|---|---|"]
    for rows in _by_network(result):
        lines.append(_row(result, rows))
    return "\n".join(lines)


def search_table(result: dict) -> str:
    """What was tried on the way, best loss first; one row a run."""
    lines = ["| what | M parameters | seed | loss | val mIoU % |", "|---|---|---|---|---|"]
    for row in sorted(result["rows"], key=lambda row: (row["steps"], row["loss"])):
        lines.append(
            f"| {row['what']} | {row['million_parameters']:.1f} | {row['seed']} | {row['loss']:.2f} "
            f"| {row['mIoU']:.1f} |"
        )
    return "\n".join(lines)


def _row(result: dict, rows: list[dict]) -> str:
    first = rows[0]
    return (
        f"| {first['network']} | {first['million_parameters']:.1f} | {_milliseconds(result, first['network'])} "
        f"| {first['steps']} | {_score(rows)} | {len(rows)} |"
    )


def _by_network(result: dict) -> list[list[dict]]:
    by_network: dict[str, list[dict]] = {}
    for row in result["rows"]:
        by_network.setdefault(row["network"], []).append(row)
    return list(by_network.values())


def _rank(rows: list[dict]) -> float:
    return -sum(row["mIoU"] or 0.0 for row in rows) / len(rows)


def _score(rows: list[dict]) -> str:
    """Mean and deviation over the seeds; a seed that was stopped has no score, so the reason stands beside it."""
    scored = [row for row in rows if row["mIoU"] is not None]
    reasons = [row["stopped"] for row in rows if row["mIoU"] is None]
    values = [row["mIoU"] for row in scored]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return ", ".join([f"{statistics.fmean(values):.1f}{spread}", *reasons] if scored else reasons)


def _milliseconds(result: dict, network: str) -> str:
    """Of a step, if the networks were timed side by side (``accuracy.py --time``)."""
    return f"{result['step_ms'][network]:.0f}" if network in result.get("step_ms", {}) else "-"


def _table(result: dict) -> str:
    if result["benchmark"] == "search":
        return search_table(result)
    if (kind := KINDS.get(result["benchmark"])) is not None:
        return kind(result)
    return chain_table(result) if result.get("chain") else accuracy_table(result)


def with_tables(text: str) -> str:
    """A page with every ``<!-- NAME --> .. <!-- end -->`` filled from ``results/NAME.json``."""

    def fill(match: re.Match) -> str:
        path = ROOT / "benchmarks" / "results" / f"{match[1]}.json"
        table = _table(json.loads(path.read_text())) if path.is_file() else "Not yet measured."
        return f"<!-- {match[1]} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
