"""Write the tables of the README and of docs/ from the results: ``python benchmarks/tables.py``."""

import argparse
import re

from result_files import RESULTS, read
from table_kinds import KINDS

ROOT = RESULTS.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def with_tables(text: str) -> str:
    """A page with every ``<!-- NAME --> .. <!-- end -->`` filled from ``results/NAME.json``."""

    def fill(match: re.Match) -> str:
        result = read(RESULTS / f"{match[1]}.json")
        table = KINDS[result["benchmark"]](result) if result else "Not yet measured."
        return f"<!-- {match[1]} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def main() -> None:
    """Write the pages that have tables anew."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
