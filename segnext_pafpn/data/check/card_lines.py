"""Lines to paste into a card."""

import json
import re
from collections.abc import Sequence

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ -]*[A-Za-z0-9]")
_WORDS = ("yes", "no", "on", "off", "true", "false", "null")  # which YAML does not take for text


def card_lines(
    names: Sequence[str],
    colors: Sequence[Sequence[int]],
    ids: Sequence[Sequence[int]],
    ignore: Sequence[int] = (),
) -> str:
    """``classes:`` with a row each, and ``ignore:`` if there is anything in it."""
    rows = [
        f"  - {{name: {_text(name)}, color: {list(color)}, ids: {list(row)}}}"
        for name, color, row in zip(names, colors, ids, strict=True)
    ]
    return "\n".join(["classes:", *rows] + ([f"ignore: {list(ignore)}"] if ignore else []))


def _text(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else json.dumps(name, ensure_ascii=False)
