"""Write the table of sizes into networks.md, from `segnext-pafpn models --json`: `python docs/network_sizes.py`."""

import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from segnext_pafpn.cli import main

PAGE = Path(__file__).parent / "networks.md"


def models_table(values: dict) -> str:
    """The networks in Markdown, under a line that says what was measured."""
    width, height = values["size"]
    padded = " x ".join(map(str, values["padded_size"]))
    lines = [
        f"One image of {width} x {height} (width x height), padded to {padded}; {values['classes']} classes; "
        f"FLOP: {values['flops']}.",
        "",
        "| network | encoder | M parameters | G FLOP | folded: M | folded: G | strides | channels |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in values["networks"]:
        names = (row["arch"] or "encoder alone", row["encoder_name"])
        figures = (_in(row["parameters"], 1e6), _in(row["flops"], 1e9))
        folded = (_in(row["folded_parameters"], 1e6), _in(row["folded_flops"], 1e9))
        levels = (" ".join(map(str, row[key])) for key in ("strides", "channels"))
        lines.append(f"| {' | '.join((*names, *figures, *folded, *levels))} |")
    return "\n".join(lines)


def measured() -> dict:
    """What the command gives now."""
    output = StringIO()
    with redirect_stdout(output):
        main(["models", "--json"])
    return json.loads(output.getvalue())


def with_table(text: str, values: dict) -> str:
    """The page with the table of these values between its markers."""
    table = models_table(values)
    return re.sub(
        r"<!-- all models -->\n.*?<!-- end -->", f"<!-- all models -->\n{table}\n<!-- end -->", text, flags=re.DOTALL
    )


def _in(value: int | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:.2f}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(), measured()))
