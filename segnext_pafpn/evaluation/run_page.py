"""What a run did, as one HTML page: scores, confusions, its best and worst pictures, and how to do it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from segnext_pafpn import page
from segnext_pafpn.evaluation.per_image import ImageMatrices, image_rows
from segnext_pafpn.evaluation.pictures import (
    Colors,
    SheetRow,
    colorize,
    error_picture,
    truth_picture,
    wrong_and_ignored,
)
from segnext_pafpn.evaluation.score_table import percent_text
from segnext_pafpn.evaluation.scores import Scores, scores_from_matrix

IGNORE_INDEX = 255
_WIDTH = 360  # pixels of a picture
_LISTED = 20  # images in the list of failures; the CSV has all
_NUMBERED = 24  # classes up to which the confusion matrix is a table of numbers
_WIDE_CELLS = 16  # classes up to which its cells are of full size
_NAME = 24  # letters of a class's name beside the confusion matrix; the other tables have it whole


@dataclass(frozen=True, eq=False, kw_only=True)
class RunReport:
    """What the page is made from.

    Args:
        title: of the page.
        images: the evaluation, image by image; everything that is counted comes from it.
        class_colors: one per class, RGB.
        worst, best: pictures to show, one for each case, with the case's mIoU from ``images``.
        curves: PNG of the training's curves, or None.
        config: the run's configuration, as YAML.
        environment: what it ran on: names and values.
        commands: to do it again.
        csv: name of the file that lists all images.
        sections: finished HTML of further scores.
        notes: sentences on how the scores came about.
    """

    title: str
    images: ImageMatrices
    class_colors: Colors
    worst: Sequence[SheetRow]
    best: Sequence[SheetRow]
    curves: Path | None
    config: str
    environment: Mapping[str, str]
    commands: Sequence[str]
    csv: str
    sections: Sequence[str] = ()
    notes: Sequence[str] = ()


def write_run_page(report: RunReport, path: Path) -> None:
    """Write the page, whole or not at all."""
    images = report.images
    matrix = images.matrices.sum(axis=0, dtype=np.int64)
    scores = scores_from_matrix(matrix)
    parts = [
        page.heading(report.title, 1),
        page.paragraph(f"Scored on split '{images.split}', {_counted(images)}.", "soft"),
        page.tiles([(percent_text(getattr(scores, name)), f"{name}, %") for name in ("mIoU", "aAcc", "mAcc", "mDice")]),
        *(page.paragraph(note, "soft") for note in report.notes),
    ]
    if report.curves is not None:
        parts += [page.heading("Training"), page.picture_file(report.curves)]
    parts += [page.heading("IoU of each class"), page.bars(images.class_names, {"IoU": 100 * scores.iou}, 100, " %")]
    parts += [_class_table(scores, images.class_names)]
    parts += [page.heading("Confusion"), _confusion(matrix, images.class_names)]
    parts += report.sections
    parts += _cases("Worst pictures", report.worst, report) + _cases("Best pictures", report.best, report)
    parts += _failures(report)
    parts += [page.heading("To do it again"), page.code("\n".join(report.commands))]
    parts += [page.heading("Environment"), page.table(["", ""], list(report.environment.items()), text_columns=2)]
    parts += [page.heading("Configuration"), page.code(report.config)]
    page.write_page(path, report.title, parts)


def _counted(images: ImageMatrices) -> str:
    slices = f" of {len(set(images.cases))} cases" if images.has_slices else ""
    return f"{len(images.names)} images{slices}"


def _class_table(scores: Scores, class_names: Sequence[str]) -> str:
    rows = [
        [name, *(percent_text(values[i]) for values in (scores.iou, scores.dice, scores.accuracy)),
         f"{100 * scores.truth_pixels[i] / max(int(scores.counted_pixels[i]), 1):.2f}"]
        for i, name in enumerate(class_names)
    ]  # fmt: skip
    return page.table(["class", "IoU, %", "Dice, %", "accuracy, %", "% of pixels"], rows)


def _confusion(matrix: np.ndarray, class_names: Sequence[str]) -> str:
    """Of each true class (row), the share of its pixels that were given each class (column)."""
    if matrix.ndim == 3:
        note = page.paragraph("Pixels of each class, which may overlap.", "soft")
        counts = [[name, *map(str, cells.ravel())] for name, cells in zip(class_names, matrix, strict=True)]
        return note + page.table(["class", "neither", "predicted only", "true only", "both"], counts)
    total = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
    note = page.paragraph("Percent of the pixels of each true class (row) that were given each class (column).", "soft")
    if len(class_names) > _NUMBERED:
        shade = (255 * (1 - share[..., None] * (1 - np.array([43, 108, 176]) / 255))).round().astype(np.uint8)
        enlarged = shade.repeat(max(1, 900 // len(shade)), axis=0).repeat(max(1, 900 // len(shade)), axis=1)
        return note + page.picture(enlarged, 900, photo=False)
    names = [escape(page.shortened(name, _NAME)) for name in class_names]
    head = "".join(f'<th class="upright"><span>{name}</span></th>' for name in names)
    lines = [f"<tr><th></th>{head}</tr>"]
    for i, name in enumerate(names):
        cells = "".join(_cell(share[i, j], i == j) for j in range(len(names)))
        lines.append(f"<tr><th>{name}</th>{cells}</tr>")
    size = " many" if len(class_names) > _WIDE_CELLS else ""
    return note + f'<div class="wide"><table class="confusion{size}">{"".join(lines)}</table></div>'


def _cell(share: float, right: bool) -> str:
    color = "43, 108, 176" if right else "221, 107, 32"
    text = "" if share < 0.0005 else f"{100 * share:.1f}"
    return f'<td class="cell" style="background: rgba({color}, {0.6 * share:.3f})">{text}</td>'


def _cases(title: str, rows: Sequence[SheetRow], report: RunReport) -> list[str]:
    if not rows:
        return []
    names = report.images.class_names
    parts = [page.heading(title)]
    parts.append(page.paragraph("Image, truth, prediction, errors: magenta is wrong, hatched is ignored.", "soft"))
    ignored = any(wrong_and_ignored(row, IGNORE_INDEX)[1].any() for row in rows)
    parts.append(page.legend(names, report.class_colors, hatched="ignored" if ignored else ""))
    cases = report.images.by_case()
    miou = dict(zip(cases.names, cases.miou(), strict=True))
    case_of = dict(zip(report.images.names, report.images.cases or report.images.names, strict=True))
    for row in rows:
        panels = [
            page.picture(row.image, _WIDTH, photo=True),
            page.picture(truth_picture(row, report.class_colors, IGNORE_INDEX), _WIDTH, photo=False),
            page.picture(colorize(row.prediction, report.class_colors, IGNORE_INDEX), _WIDTH, photo=False),
            page.picture(error_picture(row, IGNORE_INDEX), _WIDTH, photo=True),
        ]
        case = case_of[row.name]
        slice_of = "" if case == row.name else f", slice {row.name} shown"
        parts.append(
            page.figure(page.pictures(panels, columns=4), f"{case}: mIoU {percent_text(miou[case])} %{slice_of}")
        )
    return parts


def _failures(report: RunReport) -> list[str]:
    rows = [
        [name, f"{miou:.2f}", f"{accuracy:.2f}", worst]
        for name, miou, accuracy, worst in image_rows(report.images.by_case())[:_LISTED]
    ]
    kind = "case" if report.images.has_slices else "image"
    text = f"mIoU over the classes in each {kind}'s truth or prediction. All images: {report.csv}."
    return [
        page.heading("Lowest scores"),
        page.paragraph(text, "soft"),
        page.table([kind, "mIoU, %", "pixel accuracy, %", "worst class"], rows),
    ]
