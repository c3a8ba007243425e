"""Draw the network: `python docs/figures/network.py` writes network.png beside this file.

Channels, depths and dilations are read from the code. Coordinates are inches from the lower left corner. The
picture at the input is a drawn street scene, the one at the output its true classes: no network has seen it.
"""
# ruff: noqa: RUF001 - the picture's text has multiplication signs

import inspect
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Curve

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.synthetic import street_scene
from segnext_pafpn.models.elanext import ELANEXT_VARIANTS
from segnext_pafpn.models.segmentor import PAFPNeXt

WIDTH, HEIGHT, DPI = 11.0, 11.0, 1800 / 11
INK, QUIET, LINE = "#1f2937", "#64748b", "#475569"
TITLE, TEXT, SMALL = 11.5, 10.5, 9.5  # points

# fill and edge of each kind of part
KINDS = {
    "conv": ("#e6ebf2", "#718096"),
    "down": ("#fdedc8", "#c9922a"),
    "elan": ("#d5e6fb", "#3475bd"),
    "convnext": ("#e7defa", "#7f5bc7"),
    "sppcspc": ("#fcdcd2", "#cc5a38"),
    "repconv": ("#d6f0dd", "#34925c"),
    "plain": ("white", "#475569"),
}

DEFAULTS = {name: p.default for name, p in inspect.signature(PAFPNeXt).parameters.items()}
ENCODER = ELANEXT_VARIANTS[DEFAULTS["encoder_name"]]
NECK = DEFAULTS["decoder_channels"]

Point = tuple[float, float]


class Sketch:
    """A figure of boxes and wires; x to the right and y up, in inches."""

    def __init__(self) -> None:
        self.figure = Figure((WIDTH, HEIGHT), DPI, facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT), aspect="equal")
        self.axes.axis("off")

    def text(self, at: Point, words: str, size: float = TEXT, **style) -> None:
        """Text around a point."""
        style = {"color": INK, "ha": "center", "va": "center", **style}
        self.axes.text(*at, words, size=size, zorder=5, **style)

    def frame(
        self, left: float, bottom: float, right: float, top: float, title: str, note: str = "", edge: str = "#dbe2ea"
    ) -> None:
        """A pale panel behind parts that belong together, with a title at its lower left."""
        style = "round,pad=0,rounding_size=0.1"
        patch = FancyBboxPatch((left, bottom), right - left, top - bottom, boxstyle=style)
        patch.set(facecolor="#f8fafc", edgecolor=edge, linewidth=1.1, zorder=0)
        self.axes.add_patch(patch)
        self.text((left + 0.12, bottom + 0.19), title, TITLE, weight="bold", ha="left")
        self.text((right - 0.12, bottom + 0.19), note, SMALL, color=QUIET, ha="right")

    def box(self, kind: str, middle: Point, size: Point, title: str, note: str = "", rotation: float = 0) -> None:
        """One part of the network."""
        fill, edge = KINDS[kind]
        style = f"round,pad=0,rounding_size={min(0.07, min(size) / 3)}"
        patch = FancyBboxPatch((middle[0] - size[0] / 2, middle[1] - size[1] / 2), *size, boxstyle=style)
        patch.set(facecolor=fill, edgecolor=edge, linewidth=1.3, zorder=3)
        self.axes.add_patch(patch)
        x, y = middle
        if note:
            self.text((x, y + 0.095), title, TEXT, weight="bold")
            self.text((x, y - 0.105), note, SMALL)
        elif kind in ("conv", "down", "convnext", "plain"):
            self.text((x, y - 0.01), title, SMALL, rotation=rotation)
        else:
            self.text((x, y - 0.01), title, TEXT, weight="bold")

    def operation(self, middle: Point, sign: str) -> None:
        """A circle with a sign: what has no weights."""
        radius, size = (0.13, TITLE) if len(sign) == 1 else (0.16, SMALL)
        self.axes.add_patch(Circle(middle, radius, facecolor="white", edgecolor=LINE, linewidth=1.3, zorder=4))
        self.text((middle[0], middle[1] - 0.005), sign, size)

    def wire(self, *points: Point, head: bool = True, style: str = "-", color: str = LINE) -> None:
        """A line with rounded corners through the points, an arrow head at its end."""
        corners = np.array(points, float)
        if head:
            ahead = corners[-1] - corners[-2]
            ahead /= np.hypot(*ahead)
            aside, foot = np.array((-ahead[1], ahead[0])) * 0.042, corners[-1] - ahead * 0.11
            self.axes.add_patch(Polygon((corners[-1], foot + aside, foot - aside), color=color, lw=0, zorder=2))
            corners[-1] = foot
        path, codes = [corners[0]], [Curve.MOVETO]
        for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
            back, on = (there - corner for there in (before, after))
            path += [corner + back / np.hypot(*back) * 0.07, corner, corner + on / np.hypot(*on) * 0.07]
            codes += [Curve.LINETO, Curve.CURVE3, Curve.CURVE3]
        curve = Curve([*path, corners[-1]], [*codes, Curve.LINETO])
        self.axes.add_patch(PathPatch(curve, fill=False, edgecolor=color, linewidth=1.3, linestyle=style, zorder=2))

    def picture(self, middle: Point, size: Point, pixels: np.ndarray) -> None:
        """An RGB picture with a thin frame."""
        (x, y), (w, h) = middle, size
        extent = (x - w / 2, x + w / 2, y - h / 2, y + h / 2)
        self.axes.imshow(pixels, extent=extent, zorder=3, interpolation="antialiased", aspect="auto")
        style = {"fill": False, "edgecolor": LINE, "linewidth": 1.2, "zorder": 4}
        self.axes.add_patch(Rectangle((extent[0], extent[2]), w, h, **style))
        self.axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))


ROWS = {1: 10.36, 2: 9.24, 4: 7.96, 8: 6.68, 16: 5.4, 32: 4.12}  # stride: y
ENC, LAT, P, N, REP, UP, OUT = 1.5, 3.2, 4.35, 5.9, 7.65, 8.75, 9.95  # x of the columns
BIG, SLIM, REPCONV, CHIP, WIDE = (1.5, 0.44), (1.1, 0.44), (1.0, 0.36), (0.46, 0.26), (0.8, 0.24)


def draw_network(sketch: Sketch) -> None:
    """Each row is a stride, each column a path through the network."""
    depth = DEFAULTS["decoder_depth"]
    sketch.frame(0.64, 3.45, 2.36, 9.57, "ELANeXt", "encoder")
    sketch.frame(2.82, 3.45, 6.7, 8.26, "PAFPN", f"neck: {NECK} channels, n = {depth}")
    sketch.frame(6.95, 3.45, 10.85, 8.26, "FuseHead", f"{DEFAULTS['head_channels']} channels")
    for stride, y in ROWS.items():
        sketch.text((0.32, y), f"H/{stride}" if stride > 1 else "H", TEXT, color=QUIET)

    image, mask = street_scene(47, (256, 384))
    colors = np.array(load_card("streets").class_colors, np.uint8)
    for x, name, pixels in ((ENC, "image", image), (OUT, "logits, K classes", colors[mask])):
        sketch.picture((x, ROWS[1]), (1.08, 0.72), pixels)
        sketch.text((x, ROWS[1] + 0.48), name, weight="bold")
    sketch.text((OUT - 0.62, ROWS[1]), "here: the\ntrue classes", SMALL, color=QUIET, ha="right", linespacing=1.15)

    # encoder
    stages = zip((4, 8, 16, 32), ENCODER["widths"][1:], ENCODER["depths"], ENCODER["elan_depths"], strict=True)
    sketch.wire((ENC, ROWS[1] - 0.36), (ENC, ROWS[2] + 0.22))
    sketch.box("conv", (ENC, ROWS[2]), BIG, "Stem 3×3, ↓2", f"{ENCODER['widths'][0]} channels")
    for level, (stride, channels, blocks, n) in enumerate(stages, start=2):
        y = ROWS[stride]
        sketch.wire((ENC, ROWS[stride // 2] - 0.22), (ENC, y + 0.22))
        sketch.box("down", (ENC, y + 0.83), (1.28, 0.24), "Downsample ↓2")
        sketch.box("convnext", (ENC, y + 0.49), (1.28, 0.24), f"ConvNeXt ×{blocks}")
        sketch.box("elan", (ENC, y), BIG, "ELAN", f"{channels} channels, n = {n}")
        sketch.text((2.58, y + 0.1), f"c{level}", SMALL)

    # top-down: 1x1 on the laterals, and before each upsampling
    sketch.wire((ENC + 0.75, ROWS[32]), (P - 0.55, ROWS[32]))
    sketch.box("sppcspc", (P, ROWS[32]), SLIM, "SPPCSPC", "p5")
    for stride, name in ((16, "p4"), (8, "p3"), (4, "p2")):
        y = ROWS[stride]
        sketch.wire((ENC + 0.75, y), (P - 0.55, y))
        sketch.box("conv", (LAT, y), CHIP, "1×1")
        sketch.wire((P, ROWS[stride * 2] + 0.22), (P, y - 0.22))
        sketch.box("conv", (P, y - 0.66), WIDE, "1×1, ↑2")
        sketch.box("elan", (P, y), SLIM, "ELAN", name)

    # bottom-up
    for stride, name in ((8, "n3"), (16, "n4"), (32, "n5")):
        y = ROWS[stride]
        sketch.wire((P + 0.55, y), (N - 0.55, y))
        sketch.wire((N + 0.55, y), (REP - 0.5, y))
        if stride == 8:
            sketch.box("conv", (N, y), SLIM, "1×1", name)
            continue
        sketch.wire((N, ROWS[stride // 2] - 0.22), (N, y + 0.22))
        sketch.box("down", (N, y + 0.66), (1.28, 0.24), "Downsample ↓2")
        sketch.box("elan", (N, y), SLIM, "ELAN", name)
    sketch.wire((P + 0.55, ROWS[4]), (REP - 0.5, ROWS[4]))

    # head
    for stride in (4, 8, 16, 32):
        sketch.box("repconv", (REP, ROWS[stride]), REPCONV, "RepConv")
        if stride > 4:
            end = ROWS[4] - 0.13 if stride == 32 else ROWS[stride] + 0.2  # the others join its wire
            sketch.wire((REP + 0.5, ROWS[stride]), (OUT, ROWS[stride]), (OUT, end), head=stride == 32)
            sketch.operation((UP, ROWS[stride]), f"↑{stride // 4}")
    sketch.wire((REP + 0.5, ROWS[4]), (OUT - 0.13, ROWS[4]))
    sketch.operation((OUT, ROWS[4]), "+")
    sketch.wire((OUT, ROWS[4] + 0.13), (OUT, ROWS[1] - 0.36))
    sketch.box("plain", (OUT, ROWS[2]), WIDE, "1×1, ↑4")


def draw_legend(sketch: Sketch) -> None:
    """What the small parts are made of."""
    entries = (
        ("conv", "convolution, BatchNorm, GELU"),
        ("down", "BatchNorm, 2×2 convolution of stride 2"),
        ("repconv", "3×3 + 1×1 (+ identity), folded into one 3×3 for inference"),
        ("plain", "single layer or operation;  ↑s upsampling,  + sum"),
    )
    left, top = 3.55, ROWS[1] + 0.2
    sketch.text((left - 0.13, top + 0.28), f"PAFPNeXt with {DEFAULTS['encoder_name']}", TITLE, weight="bold", ha="left")
    for row, (kind, words) in enumerate(entries):
        sketch.box(kind, (left, top - 0.2 * row), (0.26, 0.14), "")
        sketch.text((left + 0.25, top - 0.2 * row - 0.01), words, SMALL, ha="left")
    words = "two wires into a box: concatenated;  n: blocks in each of ELAN's two chains"
    sketch.text((left - 0.13, top - 0.82), words, SMALL, ha="left")


def draw_elan(sketch: Sketch) -> None:
    """The ELAN block, four branches of half a width: its own in the encoder, its input's in the neck."""
    sketch.frame(
        0.15, 1.62, 5.15, 3.32, "ELAN", "branches: half its width; in PAFPN half its input's", KINDS["elan"][1]
    )
    y, bar = 2.22, 4.14
    rows = {"a": y + 0.84, "b": y + 0.56, "c": y + 0.28}
    sketch.wire((0.3, y), (0.66, y))
    sketch.wire((0.46, y), (0.46, rows["a"]), (0.66, rows["a"]))
    sketch.box("conv", (0.89, rows["a"]), CHIP, "1×1")
    sketch.box("conv", (0.89, y), CHIP, "1×1")
    sketch.wire((1.12, rows["a"]), (bar - 0.13, rows["a"]))
    sketch.wire((1.12, y), (bar - 0.13, y))
    for name, tap in (("b", 1.25), ("c", 2.57)):
        sketch.wire((tap, y), (tap, rows[name]), (bar - 0.13, rows[name]))
        sketch.box("convnext", (tap + 0.69, y), (1.1, 0.32), "ConvNeXt ×n")
    sketch.box("plain", (bar, y + 0.42), (0.26, 1.14), "concat", rotation=90)
    sketch.wire((bar + 0.13, y + 0.42), (5.07, y + 0.42))
    sketch.box("conv", (4.64, y + 0.42), CHIP, "1×1")


def draw_convnext(sketch: Sketch) -> None:
    """The ConvNeXt block, the link of ELAN's chains."""
    sketch.frame(0.15, 0.12, 5.15, 1.5, "ConvNeXt block", "C → 4C → C channels", KINDS["convnext"][1])
    y, left, kernel = 0.76, 0.55, DEFAULTS["decoder_kernel_size"]
    parts = (f"dw {kernel}×{kernel}", 0.68), ("BatchNorm", 0.84), ("1×1, 4C", 0.68), ("GELU", 0.52), ("1×1, C", 0.58)
    sketch.wire((0.27, y), (left, y))
    sketch.wire((0.38, y), (0.38, y + 0.45), (4.78, y + 0.45), (4.78, y + 0.13))
    for words, width in parts:
        sketch.box("plain", (left + width / 2, y), (width, 0.3), words)
        left += width + 0.16
        sketch.wire((left - 0.16, y), (left, y))
    sketch.operation((4.78, y), "+")
    sketch.wire((4.91, y), (5.08, y))


def draw_sppcspc(sketch: Sketch) -> None:
    """The SPPCSPC, with each dilated kernel's nine taps drawn to scale."""
    sketch.frame(5.3, 0.12, 10.85, 3.32, "SPPCSPC", "dilated by d in the max-pools' place", KINDS["sppcspc"][1])
    dilations = DEFAULTS["decoder_dilations"]
    rows = [2.52 - 0.57 * i for i in range(1 + len(dilations))]
    middle, short = (rows[0] + rows[-1]) / 2, 3.02
    out, cell = (middle + short) / 2, 0.34 / (2 * max(dilations) + 1)
    sketch.wire((5.42, middle), (5.83, middle))
    sketch.wire((5.62, middle), (5.62, short), (5.83, short))
    sketch.wire((6.29, short), (9.6, short))
    for x, y in ((6.06, short), (6.06, middle), (9.2, middle)):
        sketch.box("conv", (x, y), CHIP, "1×1")
    for y, dilation in zip(rows, (0, *dilations), strict=True):
        sketch.wire((6.29, middle), (6.48, middle), (6.48, y), (6.71 if dilation else 8.55, y))
        if not dilation:
            continue
        sketch.wire((8.31, y), (8.55, y))
        sketch.box("convnext", (7.51, y), (1.6, 0.48), "")
        sketch.text((7.76, y), f"ConvNeXt\n3×3, d = {dilation}", SMALL, linespacing=1.15)
        sketch.axes.add_patch(Rectangle((6.77, y - 0.2), 0.4, 0.4, color="white", linewidth=0, zorder=4))
        for tap in range(9):
            at = (6.97 + (tap % 3 - 1) * dilation * cell, y + (tap // 3 - 1) * dilation * cell)
            sketch.axes.add_patch(Circle(at, 0.02, color=KINDS["convnext"][1], zorder=5))
    sketch.box("plain", (8.68, middle), (0.26, rows[0] - rows[-1] + 0.3), "concat", rotation=90)
    sketch.wire((8.81, middle), (9.6, middle))
    sketch.box("plain", (9.73, out), (0.26, short - middle + 0.3), "concat", rotation=90)
    sketch.wire((9.86, out), (10.72, out))
    sketch.box("conv", (10.25, out), CHIP, "1×1")


def numbers() -> str:
    """What the picture was drawn from; it stands in the file, so that a test can tell a picture of another network."""
    decoder = {name: value for name, value in DEFAULTS.items() if name.startswith(("decoder_", "head_"))}
    return f"{ELANEXT_VARIANTS['elanext_tiny']} {decoder}"


def main() -> None:
    """Write the picture."""
    sketch = Sketch()
    for draw in (draw_network, draw_legend, draw_elan, draw_convnext, draw_sppcspc):
        draw(sketch)
    FigureCanvasAgg(sketch.figure).print_png(Path(__file__).with_suffix(".png"), metadata={"Description": numbers()})


if __name__ == "__main__":
    main()
