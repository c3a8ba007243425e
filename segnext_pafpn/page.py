"""One self-contained HTML page: text, tables, bars and pictures in a single file that asks the network nothing.

Everything that comes from outside goes through :func:`escape`; the functions below give finished HTML.
"""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from segnext_pafpn.files import UTF8, write_atomic

Color = tuple[int, int, int]

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5d6678; --line: #dfe3ea; --paper: #ffffff;
  --card: #f6f7f9; --bad: #b42318; --warn: #9a6700; --good: #1a7f37; --blue: #2b6cb0; --orange: #dd6b20; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b5; --line: #343b49; --paper: #14171d;
  --card: #1c2029; --bad: #ff8a80; --warn: #e3b341; --good: #56d364; --blue: #63a4e8; --orange: #f0935a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 28px 20px 60px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 38px 0 10px; padding-bottom: 5px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0; max-width: 78ch; }
.soft { color: var(--soft); } .bad { color: var(--bad); } .warn { color: var(--warn); } .good { color: var(--good); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
ul { padding-left: 20px; margin: 6px 0; } li { margin: 3px 0; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; margin: 8px 0;
  overflow-x: auto; font: 12.5px/1.45 ui-monospace, Menlo, Consolas, monospace; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 14px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 14px; }
.tile b { display: block; font-size: 21px; line-height: 1.25; } .tile span { color: var(--soft); font-size: 13px; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 7px;
  border: 1px solid var(--soft); vertical-align: -1px; }
.hatched { background: repeating-linear-gradient(135deg, #aaa 0 2px, #fff 2px 5px); }
.legend span.entry { margin-right: 16px; white-space: nowrap; font-size: 13px; }
.pictures { display: grid; gap: 6px; margin: 8px 0 18px; }
.pictures img { width: 100%; height: auto; display: block; border-radius: 4px; }
figure { margin: 0 0 10px; } figcaption { font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
img.plain { max-width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
svg text { fill: var(--ink); font-size: 12px; } svg .faint { fill: var(--soft); }
svg .track { fill: var(--card); } svg .grid { stroke: var(--line); }
td.cell { text-align: center; min-width: 42px; padding: 4px 6px; font-size: 12px; border: 1px solid var(--paper); }
.many td.cell { min-width: 33px; padding: 3px 1px; font-size: 11px; }
.many th { font-size: 12.5px; padding: 2px 6px 2px 0; }
th.upright { padding: 4px 0; text-align: center; vertical-align: bottom; }
.upright span { writing-mode: vertical-rl; transform: rotate(180deg); }
"""
_SERIES = ("var(--blue)", "var(--orange)", "var(--good)", "var(--soft)")


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write the page whole or not at all; ``parts`` are pieces of HTML, one below the other."""
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    with write_atomic(path) as temporary:
        temporary.write_text(head + "\n".join(parts) + "\n</body>\n</html>\n", **UTF8)


def heading(text: str, level: int = 2) -> str:
    """A heading; level 1 is the page's own."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; ``kind`` is soft, good, warn, bad or nothing."""
    return f'<p class="{kind}">{escape(text)}</p>'


def code(text: str) -> str:
    """Text to copy, as it stands."""
    return f"<pre>{escape(text)}</pre>"


def bullets(lines: Sequence[str], kind: str = "") -> str:
    """A list of lines."""
    return f'<ul class="{kind}">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def tiles(values: Sequence[tuple[str, str]]) -> str:
    """Boxes of (value, what it is)."""
    boxes = (f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in values)
    return f'<div class="tiles">{"".join(boxes)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A table; the first ``text_columns`` columns are text, the others numbers, set to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        marks = ["" if i < text_columns else ' class="number"' for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{m}>{escape(c)}</{tag}>" for c, m in zip(cells, marks, strict=True)) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="wide"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def legend(names: Sequence[str], colors: Sequence[Color], hatched: str = "") -> str:
    """Classes and their colours in one line, and at its end what is hatched, if anything is."""
    entries = [
        f'<span class="entry"><i class="swatch" style="background: rgb{tuple(color)}"></i>{escape(name)}</span>'
        for name, color in zip(names, colors, strict=True)
    ]
    if hatched:
        entries.append(f'<span class="entry"><i class="swatch hatched"></i>{escape(hatched)}</span>')
    return f'<p class="legend">{"".join(entries)}</p>'


def bars(names: Sequence[str], series: dict[str, Sequence[float]], largest: float, unit: str = "") -> str:
    """Horizontal bars, a group per name and a bar per series, drawn from 0 to ``largest``; NaN draws a dash."""
    left, width, thick = 190, 640, 12 if len(series) > 1 else 16
    group = thick * len(series) + 10
    parts = []
    if len(series) > 1:
        for i, label in enumerate(series):
            parts.append(f'<rect x="{left + 130 * i}" y="2" width="11" height="11" fill="{_SERIES[i % 4]}"></rect>')
            parts.append(f'<text x="{left + 130 * i + 17}" y="12">{escape(shortened(label, 16))}</text>')
    top = 24 if len(series) > 1 else 4
    for row, name in enumerate(names):
        y = top + row * group
        middle = y + group / 2
        parts.append(f'<text x="{left - 10}" y="{middle:.0f}" text-anchor="end">{escape(shortened(name, 26))}</text>')
        for i, values in enumerate(series.values()):
            value = float(values[row])
            here = y + thick * i
            known = np.isfinite(value)
            length = width * min(value / largest, 1) if known and largest > 0 else 0
            parts.append(f'<rect class="track" x="{left}" y="{here}" width="{width}" height="{thick - 2}"></rect>')
            parts.append(
                f'<rect x="{left}" y="{here}" width="{length:.1f}" height="{thick - 2}" fill="{_SERIES[i % 4]}"></rect>'
            )
            text = f"{value:.2f}{unit}" if known else "-"
            parts.append(f'<text class="faint" x="{left + width + 8}" y="{here + thick - 3}">{text}</text>')
    height = top + len(names) * group
    return (
        f'<div class="wide"><svg viewBox="0 0 {left + width + 80} {height}" width="{left + width + 80}" '
        f'height="{height}" role="img">{"".join(parts)}</svg></div>'
    )


def picture(pixels: np.ndarray, width: int, photo: bool) -> str:
    """An ``<img>`` with its data in it, from pixels (H, W, 3) uint8, at most ``width`` pixels wide.

    Args:
        photo: scale smoothly and write JPEG; else nearest neighbours and PNG, so that colours stay those of classes.
    """
    image = Image.fromarray(pixels)
    if image.width > width:
        size = (width, max(1, round(image.height * width / image.width)))
        image = image.resize(size, Image.Resampling.BILINEAR if photo else Image.Resampling.NEAREST)
    buffer = BytesIO()
    if photo:
        image.save(buffer, format="JPEG", quality=80)
        return _img("jpeg", buffer.getvalue())
    # a palette of 256 holds every class, and takes a third of the room
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return _img("png", buffer.getvalue())


def picture_file(path: Path) -> str:
    """An ``<img>`` of a PNG file, as it is."""
    return _img("png", path.read_bytes(), "plain")


def hatch(pixels: np.ndarray, where: np.ndarray) -> None:
    """Draw diagonal stripes of white and grey into a picture (H, W, 3) uint8, ``where`` (H, W) bool."""
    height, width = where.shape
    stripe = max(1, max(height, width) // 120)
    diagonal = np.add.outer(np.arange(height), np.arange(width)) // stripe % 4
    pixels[where] = np.where(diagonal == 0, 170, 255).astype(np.uint8)[where][:, None]


def pictures(images: Sequence[str], columns: int) -> str:
    """``<img>`` elements side by side."""
    grid = f"grid-template-columns: repeat({columns}, minmax(0, 1fr))"
    return f'<div class="pictures" style="{grid}">{"".join(images)}</div>'


def figure(content: str, caption: str) -> str:
    """Pictures over a line of text."""
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def shortened(text: str, length: int) -> str:
    """Text, not yet escaped, of at most ``length`` letters; an ellipsis stands for what is cut off."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _img(kind: str, data: bytes, style: str = "") -> str:
    mark = f' class="{style}"' if style else ""
    return f'<img{mark} alt="" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
