"""Scores as a table for the terminal and as JSON and CSV files. Percent everywhere."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.table import Table
from rich.text import Text

from segnext_pafpn.evaluation.score_table import ABSENT, percent, percent_text
from segnext_pafpn.evaluation.scores import Scores
from segnext_pafpn.files import UTF8, write_atomic, write_csv

COLUMNS = ("name", "IoU", "Dice", "accuracy", "truth_pixels")


def scores_table(scores: Scores, class_names: Sequence[str], title: str) -> Table:
    """Table of the scores in percent, one row per class; ``-`` where a class has nothing to measure.

    Raises:
        ValueError: if there is not one name per class.
    """
    _check_names(class_names, scores.num_classes)
    table = Table(
        title=Text(f"  {title}"),
        caption=Text(_summary(scores)),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="none",
        box=box.SIMPLE_HEAD,
        show_footer=True,
    )
    table.add_column("class", f"mean over {scores.num_averaged} of {scores.num_classes} classes", overflow="ellipsis")
    for heading, mean in (("IoU", scores.mIoU), ("Dice", scores.mDice), ("accuracy", scores.mAcc)):
        table.add_column(heading, percent_text(mean), justify="right", no_wrap=True, min_width=6)
    table.add_column("% of pixels", justify="right", no_wrap=True)

    for i, name in enumerate(class_names):
        absent = math.isnan(scores.iou[i])
        values = (scores.iou[i], scores.dice[i], scores.accuracy[i])
        share = ABSENT if absent else _share_text(scores.truth_pixels[i], scores.counted_pixels[i])
        table.add_row(Text(name), *map(percent_text, values), share, style="dim" if absent else None)
    return table


def write_scores(
    scores: Scores, class_names: Sequence[str], directory: Path, stem: str, extra: Mapping[str, object]
) -> None:
    """Write ``<stem>.json`` and ``<stem>.csv``, in percent with 4 decimals; made whole or not at all.

    Args:
        scores: what to write.
        class_names: one per class.
        directory: made if need be.
        stem: name of both files, without suffix.
        extra: more keys for the JSON, such as split and checkpoint: what JSON can hold, or paths.

    Raises:
        ValueError: if there is not one name per class, or an extra key is also the name of a score.
    """
    _check_names(class_names, scores.num_classes)
    means = {name: percent(getattr(scores, name)) for name in ("aAcc", "mIoU", "mAcc", "mDice")}
    rows = [
        {
            "name": name,
            "IoU": percent(scores.iou[i]),
            "Dice": percent(scores.dice[i]),
            "accuracy": percent(scores.accuracy[i]),
            "truth_pixels": int(scores.truth_pixels[i]),
        }
        for i, name in enumerate(class_names)
    ]
    report = {**means, "num_averaged": scores.num_averaged, "num_classes": scores.num_classes, "per_class": rows}
    if taken := sorted(report.keys() & extra.keys()):
        raise ValueError(f"extra keys {taken} are names of scores in {stem}.json. Rename them.")
    text = json.dumps({**extra, **report}, indent=2, ensure_ascii=False, allow_nan=False, default=os.fspath)

    with write_atomic(Path(directory) / f"{stem}.json") as temporary:
        temporary.write_text(text + "\n", **UTF8)
    mean_row = ("mean", means["mIoU"], means["mDice"], means["mAcc"], None)
    write_csv(Path(directory) / f"{stem}.csv", COLUMNS, [*(row.values() for row in rows), mean_row])


def write_confusion(matrix: torch.Tensor | np.ndarray, class_names: Sequence[str], directory: Path, stem: str) -> None:
    """Write the matrix (K, K) of pixels as ``<stem>_confusion.csv``: a row per true, a column per predicted class.

    Matrices (K, 2, 2) become a row per class with its right and wrong pixels.

    Raises:
        ValueError: if there is not one name per class.
    """
    _check_names(class_names, len(matrix))
    path = Path(directory) / f"{stem}_confusion.csv"
    if matrix.ndim == 3:
        head = ("class", "true_negative", "false_positive", "false_negative", "true_positive")
        layers = matrix.reshape(len(matrix), 4).tolist()
        write_csv(path, head, [(name, *counts) for name, counts in zip(class_names, layers, strict=True)])
        return
    rows = [(name, *counts) for name, counts in zip(class_names, matrix.tolist(), strict=True)]
    write_csv(path, ("truth \\ prediction", *class_names), rows)


def _check_names(class_names: Sequence[str], num_classes: int) -> None:
    if len(class_names) != num_classes:
        raise ValueError(f"{len(class_names)} class names for {num_classes} classes: give one name per class.")


def _summary(scores: Scores) -> str:
    means = (("aAcc", scores.aAcc), ("mIoU", scores.mIoU), ("mAcc", scores.mAcc), ("mDice", scores.mDice))
    return "  " + "   ".join(f"{name} {percent_text(value)}" for name, value in means) + "   (percent)"


def _share_text(pixels: int, all_pixels: int) -> str:
    if all_pixels == 0:
        return ABSENT
    share = 100 * pixels / all_pixels
    return "<0.01" if 0 < share < 0.005 else f"{share:.2f}"
