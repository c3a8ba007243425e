"""Pictures of a training run and of its predictions. Sizes in inches unless a name says otherwise."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from segnext_pafpn.evaluation.pictures import (
    WRONG,
    Colors,
    SheetRow,
    colorize,
    error_picture,
    truth_picture,
    wrong_and_ignored,
)
from segnext_pafpn.files import write_atomic

DPI = 140
INK, GREY = "#222222", "#8a8a8a"
BLUE, ORANGE, GREEN = "#2b6cb0", "#dd6b20", "#2f855a"

# picture sheet
COLUMNS = ("image", "truth", "prediction", "errors")
PANEL_WIDTH, MAX_PANEL_HEIGHT = 3.0, 3.6
GAP, MARGIN, TITLE_HEIGHT, CAPTION_HEIGHT, LEGEND_LINE = 0.08, 0.15, 0.32, 0.3, 0.2
CHARACTER_WIDTH = 0.082  # of the legend's 9 point type, rounded up


def plot_curves(metrics_csv: Path, out: Path) -> None:
    """Draw loss, mIoU in percent and learning rate against the step, from the CSV of Lightning's CSVLogger.

    Reads ``train/loss``, ``val/loss``, ``val/mIoU`` (a fraction), ``lr``, and ``step`` or else ``epoch``.
    A column that is missing, or holds no number, leaves its curve out. ``out`` has the format of its suffix.

    Raises:
        ValueError: if the file has neither a ``step`` nor an ``epoch`` column.
    """
    with Path(metrics_csv).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), reader.fieldnames or []
    clock = next((name for name in ("step", "epoch") if name in columns), None)
    if clock is None:
        raise ValueError(f"{metrics_csv}: columns are {columns}, expected 'step' or 'epoch' among them.")

    figure = Figure(figsize=(12, 3.4), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    loss_axes, score_axes, rate_axes = figure.subplots(1, 3)

    train_steps, train_loss = _series(rows, clock, "train/loss")
    val_steps, val_loss = _series(rows, clock, "val/loss")
    _draw_noisy(loss_axes, train_steps, train_loss, "train")
    if val_loss.size:
        loss_axes.plot(val_steps, val_loss, color=ORANGE, marker="o", markersize=3, label="val")
    _finish(loss_axes, "loss", clock)

    score_steps, score = _series(rows, clock, "val/mIoU")
    if score.size:
        score_axes.plot(score_steps, 100 * score, color=GREEN, marker="o", markersize=3)
        best = int(score.argmax())
        score_axes.plot(score_steps[best], 100 * score[best], "o", color=GREEN, markersize=9, fillstyle="none")
    best_text = f" (best {100 * score.max():.2f})" if score.size else ""
    _finish(score_axes, f"val mIoU, %{best_text}", clock)

    rate_steps, rate = _series(rows, clock, "lr")
    if rate.size:
        rate_axes.plot(rate_steps, rate, color=BLUE)
        rate_axes.set_ylim(bottom=0)
        rate_axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    _finish(rate_axes, "learning rate", clock)
    _save(figure, out)


def picture_sheet(
    rows: Sequence[SheetRow],
    class_names: Sequence[str],
    class_colors: Colors,
    out: Path,
    ignore_index: int = 255,
) -> None:
    """Draw image, truth, prediction and errors of each row, and a legend of the classes seen in them.

    Errors are magenta on the greyed image; ignored pixels are hatched, in the truth too. ``out`` has the format of its
    suffix; each picture is 420 pixels wide, or narrower if tall.

    Raises:
        ValueError: if there is no row, or not one colour per name.
    """
    if not rows:
        raise ValueError("a picture sheet needs at least one row.")
    if len(class_names) != len(class_colors):
        raise ValueError(f"{len(class_names)} class names, {len(class_colors)} colours: give one colour per class.")
    entries = _legend_entries(rows, class_names, class_colors, ignore_index)

    width = 2 * MARGIN + len(COLUMNS) * PANEL_WIDTH + (len(COLUMNS) - 1) * GAP
    legend_columns = _legend_columns([entry.get_label() for entry in entries], width)
    legend_height = LEGEND_LINE * math.ceil(len(entries) / legend_columns) + MARGIN
    heights = [min(PANEL_WIDTH * row.image.shape[0] / row.image.shape[1], MAX_PANEL_HEIGHT) for row in rows]
    height = TITLE_HEIGHT + sum(heights) + CAPTION_HEIGHT * len(rows) + legend_height + MARGIN
    figure = Figure(figsize=(width, height), dpi=DPI)

    top = height - TITLE_HEIGHT
    for row, panel_height in zip(rows, heights, strict=True):
        truth = truth_picture(row, class_colors, ignore_index)
        prediction = colorize(row.prediction, class_colors, ignore_index)
        panels = (row.image, truth, prediction, error_picture(row, ignore_index))
        bottom = top - panel_height
        for column, panel in enumerate(panels):
            left = MARGIN + column * (PANEL_WIDTH + GAP)
            axes = figure.add_axes((left / width, bottom / height, PANEL_WIDTH / width, panel_height / height))
            axes.imshow(panel)
            axes.set_axis_off()
        caption_place = (MARGIN / width, (bottom - 0.06) / height)
        figure.text(*caption_place, _caption(row, ignore_index), va="top", fontsize=9, parse_math=False)
        top = bottom - CAPTION_HEIGHT

    legend = figure.legend(
        handles=entries,
        ncols=legend_columns,
        loc="upper center",
        bbox_to_anchor=(0.5, top / height),
        frameon=False,
        fontsize=9,
        handlelength=1.4,
        borderaxespad=0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    for axes, title in zip(figure.axes, COLUMNS, strict=False):
        axes.set_title(title, fontsize=11, color=INK, pad=5)
    _save(figure, out)


def _caption(row: SheetRow, ignore_index: int) -> str:
    wrong, ignored = wrong_and_ignored(row, ignore_index)
    if ignored.all():
        return f"{row.name}   no pixel counts"
    accuracy = 1 - wrong[~ignored].mean()
    return f"{row.name}   pixel accuracy {100 * accuracy:.2f} %"


def _legend_entries(
    rows: Sequence[SheetRow], class_names: Sequence[str], class_colors: Colors, ignore_index: int
) -> list[Patch]:
    seen = {label for row in rows for mask in (row.truth, row.prediction) for label in _labels(mask)}
    entries = [
        Patch(facecolor=np.array(color) / 255, edgecolor=GREY, linewidth=0.5, label=name)
        for i, (name, color) in enumerate(zip(class_names, class_colors, strict=True))
        if i in seen and i != ignore_index
    ]
    entries.append(Patch(facecolor=np.array(WRONG) / 255, edgecolor=GREY, linewidth=0.5, label="wrong"))
    if ignore_index in seen:
        entries.append(Patch(facecolor="white", edgecolor=GREY, hatch="/////", linewidth=0.5, label="ignored"))
    return entries


def _labels(mask: np.ndarray) -> list[int]:
    """The classes in a map (H, W), and the ignore index; or in layers (K, H, W)."""
    if mask.ndim == 2:
        return np.unique(mask).tolist()
    return np.flatnonzero((mask == 1).any(axis=(1, 2))).tolist() + [i for i in np.unique(mask).tolist() if i > 1]


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many legend columns fit into the width, evened out so that no line is left nearly empty."""
    entry_width = 0.55 + CHARACTER_WIDTH * max(map(len, labels))
    fitting = max(1, int((width - 2 * MARGIN) / entry_width))
    lines = math.ceil(len(labels) / fitting)
    return math.ceil(len(labels) / lines)


def _series(rows: Sequence[dict[str, str]], clock: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Clock and value of the rows in which both are filled, and finite."""
    pairs = [(float(row[clock]), float(row[column])) for row in rows if row.get(column) and row.get(clock)]
    table = np.array(pairs).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, 0], table[:, 1]


def _draw_noisy(axes: Axes, steps: np.ndarray, values: np.ndarray, label: str) -> None:
    """Draw the values; where they are many, faintly, under their running mean over 1/50 of them."""
    window = len(values) // 50
    if window > 1:
        axes.plot(steps, values, color=BLUE, alpha=0.25, linewidth=0.8)
        values = np.convolve(values, np.ones(window) / window, mode="valid")
        start = (window - 1) // 2
        steps, label = steps[start : start + len(values)], f"{label} (mean of {window})"
    if values.size:
        axes.plot(steps, values, color=BLUE, marker="o" if window < 2 else None, markersize=3, label=label)


def _finish(axes: Axes, title: str, clock: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    if not axes.lines:
        axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", va="center", color=GREY)
        axes.set_axis_off()
        return
    axes.set_xlabel(clock, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(color="#e2e2e2", linewidth=0.6)
    axes.tick_params(labelsize=9)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _save(figure: Figure, out: Path) -> None:
    with write_atomic(Path(out)) as temporary:
        figure.savefig(temporary, format=temporary.suffix[1:] or "png")
