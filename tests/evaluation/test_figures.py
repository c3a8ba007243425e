import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation import figures
from segnext_pafpn.evaluation.figures import picture_sheet, plot_curves
from segnext_pafpn.evaluation.pictures import SheetRow, colorize

NAMES = ["_background_", "road", "a$b$"]
COLORS = [(10, 20, 30), (0, 200, 0), (0, 0, 250)]
LOG = """data_wait,epoch,lr,step,train/loss,val/loss,val/mIoU
0.1,0,0.001,4,2.0,,
,0,,9,,1.5,0.25
0.1,1,0.0005,14,1.0,,
,1,,19,,nan,0.5
"""


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, for a look at what is on them."""
    saved = []
    savefig = Figure.savefig

    def record(self, *args, **kwargs):
        saved.append(self)
        savefig(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


def row(height=6, width=8, name="0001.png"):
    """Left half truth 0, right half truth 1, first line ignored; one wrong pixel in row 2, column 3."""
    truth = np.zeros((height, width), np.uint8)
    truth[:, width // 2 :] = 1
    prediction = truth.copy()
    prediction[2, 3] = 1
    truth[0] = 255
    return SheetRow(name, np.full((height, width, 3), 100, np.uint8), truth, prediction)


def curves(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_colours_follow_the_class_and_ignored_is_black():
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    picture = colorize(mask, COLORS)
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[10, 20, 30], [0, 200, 0]], [[0, 0, 250], [0, 0, 0]]]


def test_a_label_without_a_class_is_black_and_the_ignored_class_too():
    assert colorize(np.array([[3, 1]], np.uint8), COLORS, ignore_index=1).tolist() == [[[0, 0, 0], [0, 0, 0]]]


def test_a_mask_of_another_type_is_refused():
    with pytest.raises(ValueError, match="int64, expected uint8"):
        colorize(np.array([[0, -1]]), COLORS)


def test_sheet_is_as_wide_as_four_pictures_of_420_pixels(tmp_path):
    picture_sheet([row(180, 240), row(512, 512)], NAMES, COLORS, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        width, height = picture.size
    assert 4 * 420 < width < 4 * 420 + 100
    assert 315 + 420 < height < 315 + 420 + 250


def test_sheet_shows_image_truth_prediction_and_errors(tmp_path, drawn):
    sample = row()
    picture_sheet([sample], NAMES, COLORS, tmp_path / "sheet.png")
    panels = drawn[0].axes
    assert [axes.get_title() for axes in panels] == ["image", "truth", "prediction", "errors"]
    image, truth, prediction, errors = (axes.images[0].get_array() for axes in panels)
    np.testing.assert_array_equal(image, sample.image)
    assert set(truth[0].ravel().tolist()) == {170, 255}  # hatched, as black may be a class
    np.testing.assert_array_equal(truth[1:], colorize(sample.truth, COLORS)[1:])
    np.testing.assert_array_equal(prediction, colorize(sample.prediction, COLORS))
    assert tuple(errors[2, 3]) == figures.WRONG
    assert set(errors[0].ravel().tolist()) == {170, 255}  # hatched
    assert (errors[1] == 100).all()  # grey, 40 + 0.6 * 100


def test_caption_gives_the_pixel_accuracy_over_the_pixels_that_count(tmp_path, drawn):
    """40 of 48 pixels count, one is wrong."""
    picture_sheet([row(name="a$b$.png")], NAMES, COLORS, tmp_path / "sheet.png")
    assert [text.get_text() for text in drawn[0].texts] == ["a$b$.png   pixel accuracy 97.50 %"]


def test_caption_says_when_no_pixel_counts(tmp_path, drawn):
    empty = np.full((4, 4), 255, np.uint8)
    sample = SheetRow("x.png", np.zeros((4, 4, 3), np.uint8), empty, np.zeros_like(empty))
    picture_sheet([sample], NAMES, COLORS, tmp_path / "sheet.png")
    assert [text.get_text() for text in drawn[0].texts] == ["x.png   no pixel counts"]


def test_legend_names_the_classes_seen_and_the_marks_of_the_errors(tmp_path, drawn):
    picture_sheet([row()], NAMES, COLORS, tmp_path / "sheet.png")
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert labels == ["_background_", "road", "wrong", "ignored"]


@pytest.mark.parametrize("name", ["c", "a class name of forty characters or so.."])
def test_legend_of_many_classes_stays_inside_the_sheet(name, tmp_path, drawn):
    mask = np.arange(150, dtype=np.uint8).reshape(10, 15)
    sample = SheetRow("all", np.zeros((10, 15, 3), np.uint8), mask, mask)
    picture_sheet([sample], [f"{name}{i}" for i in range(150)], [(9, 9, 9)] * 150, tmp_path / "sheet.png")
    legend = drawn[0].legends[0].get_window_extent()
    assert len(drawn[0].legends[0].get_texts()) == 151
    assert legend.x0 >= 0 and legend.y0 >= 0 and legend.x1 <= drawn[0].bbox.width


def test_rows_that_do_not_fit_together_are_refused():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    with pytest.raises(ValueError, match=r"0001: image is \(4, 6, 3\), truth \(4, 6\), prediction \(6, 4\)"):
        SheetRow("0001", image, mask, mask.T)


def test_a_sheet_needs_a_row_and_a_colour_per_class(tmp_path):
    with pytest.raises(ValueError, match="at least one row"):
        picture_sheet([], NAMES, COLORS, tmp_path / "sheet.png")
    with pytest.raises(ValueError, match="3 class names, 1 colours"):
        picture_sheet([row()], NAMES, COLORS[:1], tmp_path / "sheet.png")


def test_curves_show_loss_miou_in_percent_and_learning_rate(tmp_path, drawn):
    (tmp_path / "metrics.csv").write_text(LOG)
    plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    loss, score, rate = drawn[0].axes
    assert curves(loss) == {"train": [[4, 2.0], [14, 1.0]], "val": [[9, 1.5]]}
    assert score.lines[0].get_xydata().tolist() == [[9, 25.0], [19, 50.0]]
    assert score.get_title() == "val mIoU, % (best 50.00)"
    assert rate.lines[0].get_xydata().tolist() == [[4, 0.001], [14, 0.0005]]
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1680, 476)
        assert len(picture.convert("L").getcolors()) > 10


def test_curves_leave_out_the_columns_that_are_missing(tmp_path, drawn):
    (tmp_path / "metrics.csv").write_text("epoch,val/mIoU\n0,0.1\n1,0.2\n")
    plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    loss, score, rate = drawn[0].axes
    assert score.get_xlabel() == "epoch"
    assert [text.get_text() for axes in (loss, rate) for text in axes.texts] == ["not logged"] * 2


def test_a_long_noisy_curve_is_drawn_under_its_running_mean(tmp_path, drawn):
    """200 values 0, 2, 0, 2, ...: any 4 in a row have the mean 1."""
    rows = "".join(f"{step},{2 * (step % 2)}\n" for step in range(200))
    (tmp_path / "metrics.csv").write_text("step,train/loss\n" + rows)
    plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    raw, smooth = drawn[0].axes[0].lines
    assert len(raw.get_xdata()) == 200
    np.testing.assert_allclose(smooth.get_ydata(), 1)
    assert smooth.get_label() == "train (mean of 4)"


def test_curves_of_a_file_without_steps_are_refused_with_its_name(tmp_path):
    (tmp_path / "metrics.csv").write_text("train/loss\n1.0\n")
    with pytest.raises(ValueError, match=r"metrics\.csv: columns are \['train/loss'\], expected 'step' or 'epoch'"):
        plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")


def test_the_format_is_that_of_the_suffix(tmp_path):
    (tmp_path / "metrics.csv").write_text(LOG)
    plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.svg")
    assert "<svg" in (tmp_path / "curves.svg").read_text()


def test_a_failed_drawing_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "sheet.png").write_bytes(b"old")

    def fill_the_disk(self, path, **options):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(UserError, match="cannot be written .No space"):
        picture_sheet([row()], NAMES, COLORS, tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    assert (tmp_path / "sheet.png").read_bytes() == b"old"
