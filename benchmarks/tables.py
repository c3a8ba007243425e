"""Write the README's tables from the results: ``python benchmarks/tables.py``."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def accuracy_table(result: dict) -> str:
    """Networks by their mean score over the seeds, best first."""
    by_network: dict[str, list[dict]] = {}
    for row in result["rows"]:
        by_network.setdefault(row["network"], []).append(row)
    lines = ["| network | M parameters | steps | val mIoU % | seeds | minutes |", "|---|---|---|---|---|---|"]
    for rows in sorted(by_network.values(), key=lambda rows: -_mean(rows, "mIoU")):
        first = rows[0]
        lines.append(
            f"| {first['network']} | {first['million_parameters']:.1f} | {first['steps']} "
            f"| {_mean(rows, 'mIoU'):.1f} | {len(rows)} | {_mean(rows, 'seconds') / 60:.0f} |"
        )
    return "\n".join(lines)


def _mean(rows: list[dict], key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)


def with_tables(text: str) -> str:
    """The README with every ``<!-- NAME --> .. <!-- end -->`` filled from ``results/NAME.json``."""

    def fill(match: re.Match) -> str:
        path = ROOT / "benchmarks" / "results" / f"{match[1]}.json"
        table = accuracy_table(json.loads(path.read_text())) if path.is_file() else "Not yet measured."
        return f"<!-- {match[1]} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
