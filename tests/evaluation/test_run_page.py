from dataclasses import replace

import numpy as np
import pytest

from segnext_pafpn.evaluation.per_image import ImageMatrices
from segnext_pafpn.evaluation.pictures import SheetRow
from segnext_pafpn.evaluation.run_page import RunReport, write_run_page
from tests.strict_html import read_page


def report(num_classes: int = 3, **changes) -> RunReport:
    rng = np.random.default_rng(0)
    names = tuple(f"picture <{i}> & co" for i in range(9))
    matrices = rng.integers(0, 40, (9, num_classes, num_classes))
    matrices[:, range(num_classes), range(num_classes)] += 200
    image = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    truth = rng.integers(0, num_classes, (40, 60), dtype=np.uint8)
    truth[:5] = 255
    rows = [SheetRow(name, image, truth, np.where(truth == 255, 0, truth)) for name in names[:4]]
    values = {
        "title": "runs/<x>",
        "images": ImageMatrices(names, matrices, tuple(f"class {i}" for i in range(num_classes)), "val"),
        "class_colors": [(i % 256, 40, 90) for i in range(num_classes)],
        "worst": rows[:2],
        "best": rows[2:],
        "curves": None,
        "config": "name: <x>\n",
        "environment": {"torch": "2.6"},
        "commands": ["segnext-pafpn val --checkpoint 'a & b'"],
        "csv": "metrics_val_images.csv",
    }
    return RunReport(**{**values, **changes})


def test_the_page_is_whole_and_holds_every_part(tmp_path):
    write_run_page(report(), tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    assert page.headings == [
        "runs/<x>", "IoU of each class", "Confusion", "Worst pictures", "Best pictures", "Lowest scores",
        "To do it again", "Environment", "Configuration",
    ]  # fmt: skip
    assert len(page.images) == 4 * 4
    assert "picture <0> & co: mIoU" in page.text and "--checkpoint 'a & b'" in page.text


def test_slices_are_listed_by_their_case_with_one_picture_each(tmp_path):
    images = replace(report().images, cases=("left",) * 5 + ("right",) * 4)
    rows = report().worst
    write_run_page(report(images=images, worst=rows[:1], best=[]), tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    cases = images.by_case()
    assert f"left: mIoU {100 * cases.miou()[0]:.2f} %, slice picture <0> & co shown" in page.text
    assert "9 images of 2 cases" in page.text and "each case's truth or prediction" in page.text
    assert "picture <7>" not in page.text  # the list has two rows, of the cases


def test_scores_of_the_lowest_have_two_decimals_each(tmp_path):
    images = ImageMatrices(("x", "y"), np.array([[[73, 0], [27, 0]], [[3, 4], [5, 6]]]), ("a", "b"), "val")
    write_run_page(report(images=images, worst=[], best=[], class_colors=[(0, 0, 0)] * 2), tmp_path / "page.html")
    assert (
        '<td>x</td><td class="number">36.50</td><td class="number">73.00</td>' in (tmp_path / "page.html").read_text()
    )


def test_the_class_colours_survive_in_the_pictures(tmp_path):
    write_run_page(report(), tmp_path / "page.html")
    truth = read_page(tmp_path / "page.html").images[1].convert("RGB")
    hatch = {(170, 170, 170), (255, 255, 255)}  # of what is ignored, which black could not tell from a black class
    assert {color for _, color in truth.getcolors()} == {(0, 40, 90), (1, 40, 90), (2, 40, 90)} | hatch


def test_ignored_pixels_have_an_entry_in_the_legend_where_there_are_any(tmp_path):
    write_run_page(report(), tmp_path / "page.html")
    entry = '<i class="swatch hatched"></i>ignored'
    assert (tmp_path / "page.html").read_text().count(entry) == 2
    rows = [replace(row, truth=np.zeros_like(row.truth)) for row in report().worst]
    write_run_page(report(worst=rows, best=rows), tmp_path / "page.html")
    assert entry not in (tmp_path / "page.html").read_text()


def test_confusion_shows_percent_of_each_true_class(tmp_path):
    images = ImageMatrices(("x",), np.array([[[30, 10], [0, 0]]]), ("a", "b"), "val")
    write_run_page(report(images=images, worst=[], best=[], class_colors=[(0, 0, 0)] * 2), tmp_path / "page.html")
    source = (tmp_path / "page.html").read_text()
    assert 'rgba(43, 108, 176, 0.450)">75.0<' in source and 'rgba(221, 107, 32, 0.150)">25.0<' in source
    assert "Worst pictures" not in read_page(tmp_path / "page.html").headings


@pytest.mark.parametrize("num_classes", [2, 150])
def test_few_and_many_classes_fit_on_a_page(tmp_path, num_classes):
    write_run_page(report(num_classes), tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    assert len(page.images) == 16 + (num_classes > 24)


def test_a_class_without_pixels_gets_a_dash(tmp_path):
    images = ImageMatrices(("x",), np.array([[[30, 0], [0, 0]]]), ("a", "b"), "val")
    write_run_page(report(images=images, worst=[], best=[], class_colors=[(0, 0, 0)] * 2), tmp_path / "page.html")
    assert "nan" not in (tmp_path / "page.html").read_text().lower()
