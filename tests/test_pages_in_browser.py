"""The pages of check and of a run, opened in a real browser: the Chromium that comes with Qt."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.evaluation.per_image import ImageMatrices
from segnext_pafpn.evaluation.run_page import write_run_page
from segnext_pafpn.training.run import fit
from tests.conftest import write_dataset
from tests.evaluation.test_run_page import report as run_report
from tests.training.small_runs import small_config

pytestmark = pytest.mark.usefixtures("chromium")


@pytest.fixture(scope="module")
def chromium() -> None:
    """Skips where the system lacks a library that Chromium needs; Qt's own come with the package."""
    command = [sys.executable, "-c", "import PySide6.QtWebEngineWidgets"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lacking = re.search(r"(\S+): cannot open shared object file", result.stderr)
    if lacking and not re.match("lib(Qt6|pyside6|shiboken6)", lacking[1]):
        pytest.skip(f"the system lacks a library of Chromium's: {lacking[1]}")
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A page of each kind."""
    root = tmp_path_factory.mktemp("browser")
    card = write_dataset(root, train=4, val=4, large=4)
    assert main(["check", "--data", str(card), "--html", str(root / "check.html")]) == 0
    fit(small_config(root, root / "runs", epochs=2))
    return {"check": root / "check.html", "run": root / "runs/run/metrics_val.html"}


def look(page: Path, width: int, picture: Path) -> dict:
    """What the browser says of a page in a window of this width."""
    command = [sys.executable, str(Path(__file__).parent / "browser.py"), str(page), str(width), str(picture)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("width", [1100, 420])
@pytest.mark.parametrize("kind", ["check", "run"])
def test_a_page_is_whole_fetches_nothing_and_fits_the_window(pages, kind, width, tmp_path):
    seen = look(pages[kind], width, tmp_path / "page.png")
    assert seen["pictures"] >= (4 if kind == "check" else 1 + 4 * 4) and seen["broken"] == 0
    assert seen["headings"] and seen["title"] and seen["invisible"] == 0
    assert seen["console"] == [] and seen["fetched"] == []
    assert seen["too_wide"] == 0, "the page scrolls sideways"
    assert seen["inner_too_wide"] == 0 or width < 1000, "a table or chart scrolls sideways"
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.width >= width
        assert len(picture.convert("RGB").resize((64, 64)).getcolors(4096)) > 20, "the window stayed empty"


@pytest.mark.parametrize("num_classes", [16, 19, 24])
def test_a_confusion_matrix_of_many_classes_fits_without_scrolling(tmp_path, num_classes):
    names = tuple("traffic light" if i == 6 else f"class of id {i}" for i in range(num_classes))
    report = run_report(num_classes)
    matrices = np.full_like(report.images.matrices, 1) * np.eye(num_classes, dtype=int)  # 100.0, the widest number
    images = ImageMatrices(report.images.names, matrices, names, "val")
    write_run_page(replace(report, images=images), tmp_path / "page.html")
    seen = look(tmp_path / "page.html", 1100, tmp_path / "page.png")
    assert seen["inner_too_wide"] == 0 and seen["too_wide"] == 0 and seen["invisible"] == 0


def test_the_browser_sees_what_is_wrong(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><title>bad</title><h1>bad</h1><img src='data:image/png;base64,AAAA'>"
        "<img src='gone.png'><div style='width: 3000px'>wide</div><script>console.log('help')</script>"
        "<div class='wide' style='width: 300px; overflow-x: auto'><p style='width: 340px'>inner</p></div>"
    )
    seen = look(page, 600, tmp_path / "page.png")
    assert seen["inner_too_wide"] == 40
    assert seen["broken"] == 2 and seen["console"] == ["help"] and seen["too_wide"] > 2000
    assert [Path(url).name for url in seen["fetched"]] == ["gone.png"]
