"""Images and windows that go through the network together, at other precisions, compiled, and read ahead."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from segnext_pafpn.data.readers.files import read_ids
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.read_ahead import read_ahead
from segnext_pafpn.inference.run import PredictConfig, predict_files
from segnext_pafpn.inference.windows import blend_rows
from segnext_pafpn.models.preprocessing import Preprocessing


class Recorder(nn.Module):
    """Logits of a pixel from that pixel alone; remembers the shapes it was called with."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Conv2d(3, 4, 1)
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return self.network(x)


def test_neighbours_of_equal_size_go_through_the_network_together(preprocessing, make_image):
    model = Recorder()
    images = [make_image(*size) for size in ((5, 7), (5, 7), (5, 7), (7, 5), (5, 7))]
    masks = Predictor(model, preprocessing, batch_size=2).predict_batch(images)
    assert [shape[0] for shape in model.shapes] == [2, 1, 1, 1]
    single = Predictor(model, preprocessing)
    for image, mask in zip(images, masks, strict=True):
        np.testing.assert_array_equal(mask, single.predict(image))


def test_images_are_not_all_read_before_the_first_are_predicted(preprocessing, make_image):
    model, read = Recorder(), []

    def images():
        for i in range(6):
            read.append((i, len(model.shapes)))
            yield make_image(5, 7)

    assert len(Predictor(model, preprocessing, batch_size=2).predict_batch(images())) == 6
    assert read == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 2)]  # each batch when the next one's first is there


def test_together_they_have_no_more_than_max_pixels(preprocessing, make_image):
    model = Recorder()
    images = [make_image(10, 10) for _ in range(5)]
    Predictor(model, preprocessing, max_pixels=250, batch_size=4).predict_batch(images)
    assert [shape[0] for shape in model.shapes] == [2, 2, 1]


def test_windows_go_through_the_network_together(preprocessing, make_image):
    model = Recorder()
    image = make_image(32, 80)
    predictor = Predictor(model, preprocessing, max_pixels=1000, window=(16, 16), batch_size=4, overlap=0)
    mask = predictor.predict(image)
    assert [shape[0] for shape in model.shapes] == [3, 2, 3, 2]  # 5 windows a row, 3 have 768 pixels
    np.testing.assert_array_equal(mask, Predictor(model, preprocessing).predict(image))


def test_a_mask_made_row_by_row_is_that_of_the_whole_logits(checkpoint, make_image):
    image = make_image(150, 130)
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu", max_pixels=1, window=(48, 64), overlap=0.4)
    np.testing.assert_array_equal(predictor.predict(image), predictor.logits(image).argmax(0).numpy())


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    window=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    overlap=st.floats(0, 0.8),
    batch_size=st.integers(1, 5),
)
def test_blended_rows_of_a_pointwise_function_are_its_values(size, window, overlap, batch_size):
    image = np.random.default_rng(0).random((*size, 2), dtype=np.float32)
    rows, blended = [], []
    for place, logits in blend_rows(
        image, lambda batch: torch.from_numpy(batch).permute(0, 3, 1, 2), window, overlap, batch_size
    ):
        rows += range(*place.indices(size[0]))
        blended.append(logits.clone())
    assert rows == list(range(size[0]))
    torch.testing.assert_close(
        torch.cat(blended, dim=1), torch.from_numpy(image).permute(2, 0, 1), atol=1e-5, rtol=1e-5
    )


def test_half_precision_gives_nearly_the_same_logits_and_not_the_same(checkpoint, make_image):
    image = make_image(64, 96)
    exact = Predictor.from_checkpoint(checkpoint, device="cpu").logits(image)
    half = Predictor.from_checkpoint(checkpoint, device="cpu", precision="bf16-mixed").logits(image)
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, atol=0.1 * exact.abs().max().item(), rtol=0)


def test_a_compiled_network_gives_the_same_mask(make_image):
    preprocessing = Preprocessing(class_names=("a", "b"), class_colors=((1, 2, 3), (4, 5, 6)))
    torch.manual_seed(0)
    model = nn.Conv2d(3, 2, 3, padding=1)
    image = make_image(20, 30)
    expected = Predictor(model, preprocessing).logits(image)
    torch.testing.assert_close(Predictor(model, preprocessing, compile=True).logits(image), expected)


def test_compiling_without_a_compiler_is_refused(preprocessing, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"compile: .*C\+\+ compiler"):
        Predictor(Recorder(), preprocessing, compile=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "precision: found 'fp8', expected one of: 32-true, bf16-mixed, 16-mixed"),
        ({"batch_size": 0}, "batch_size: found 0, expected at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(preprocessing, options, message):
    with pytest.raises(UserError, match=message):
        Predictor(Recorder(), preprocessing, **options)


def test_no_workers_at_all_are_refused():
    with pytest.raises(UserError, match="num_workers: found 0"):
        PredictConfig(checkpoint="c", input="i", output="o", num_workers=0)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_files_predicted_in_batches_have_the_masks_of_single_ones(checkpoint, make_image, tmp_path, batch_size):
    folder = tmp_path / "photos"
    folder.mkdir()
    images = {f"{i}.png": make_image(20, 30 if i < 5 else 40) for i in range(8)}
    for name, image in images.items():
        Image.fromarray(image).save(folder / name)
    (folder / "3b.png").write_bytes(b"nothing")
    report = predict_files(
        PredictConfig(
            checkpoint=str(checkpoint),
            input=str(folder),
            output=str(tmp_path / "out"),
            device="cpu",
            batch_size=batch_size,
            num_workers=3,
        )
    )
    assert [path.name for path in report.written] == list(images)
    assert [line.split(":")[0] for line in report.failed] == [str(folder / "3b.png")]
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    for path in report.written:
        agreement = (read_ids(path) == predictor.predict(images[path.name])).mean()
        assert agreement > 0.999  # sums over a batch are rounded in another order


class OneSize(nn.Module):
    """Takes images of 20 x 30 alone, as some transformers do, and with other images runs out of something else."""

    def __init__(self, other: Exception | None = None):
        super().__init__()
        self.network, self.other = nn.Conv2d(3, 4, 1), other

    def forward(self, x):
        if self.other is not None and not x.is_meta:
            raise self.other
        return self.network(x) + x.new_zeros(20, 30)


def test_an_image_of_a_size_that_the_network_does_not_take_is_named_by_its_size(preprocessing, make_image):
    predictor = Predictor(OneSize(), preprocessing)
    assert predictor.predict(make_image(20, 30)).shape == (20, 30)
    words = r"model: fails on images of 31 x 21 \(width x height\): The size of tensor a .*\(window, max_pixels\)"
    with pytest.raises(UserError, match=words):
        predictor.predict(make_image(21, 31))
    assert Predictor(OneSize(), preprocessing, max_pixels=600, window=(20, 30)).predict(make_image(21, 31)).shape == (
        21,
        31,
    )


@pytest.mark.parametrize("error", [RuntimeError("can't allocate memory"), torch.OutOfMemoryError(), TypeError("x")])
def test_what_is_no_matter_of_size_stays_what_it_is(preprocessing, make_image, error):
    with pytest.raises(type(error)) as raised:
        Predictor(OneSize(error), preprocessing).predict(make_image(20, 30))
    assert raised.value is error


@pytest.mark.parametrize("batch_size", [1, 4])
def test_images_of_a_size_that_the_network_does_not_take_are_reported_and_the_others_predicted(
    preprocessing, make_image, tmp_path, monkeypatch, batch_size
):
    monkeypatch.setattr(Predictor, "from_checkpoint", lambda *_, batch_size, **__: Predictor(OneSize(), preprocessing))
    monkeypatch.setattr("segnext_pafpn.inference.run.load_preprocessing", lambda _: preprocessing)
    (tmp_path / "in").mkdir()
    for i in range(5):
        Image.fromarray(make_image(20, 31 if i in (1, 2) else 30)).save(tmp_path / f"in/{i}.png")
    options = {"device": "cpu", "batch_size": batch_size}
    report = predict_files(
        PredictConfig(checkpoint="run", input=str(tmp_path / "in"), output=str(tmp_path / "out"), **options)
    )
    assert [path.name for path in report.written] == ["0.png", "3.png", "4.png"] and report.images == 3
    starts = [f"{tmp_path}/in/{i}.png: model: fails on images of 31 x 20 " for i in (1, 2)]
    assert [line.startswith(start) for line, start in zip(report.failed, starts, strict=True)] == [True, True]


def test_what_is_read_ahead_comes_in_order_with_its_errors():
    def read(item):
        if item == 2:
            raise UserError("two is broken")
        return 10 * item

    with ThreadPoolExecutor(3) as readers:
        found = list(read_ahead(range(6), read, readers, 2))
    assert [item for item, _ in found] == list(range(6))
    assert [content for _, content in found if not isinstance(content, UserError)] == [0, 10, 30, 40, 50]
    assert str(found[2][1]) == "two is broken"


def test_no_more_is_read_ahead_than_asked_for_and_nothing_after_the_end():
    begun, lock = [], threading.Lock()

    def read(item):
        with lock:
            begun.append(item)
        return item

    with ThreadPoolExecutor(1) as readers:
        results = read_ahead(range(100), read, readers, 3)
        assert next(results) == (0, 0)
        results.close()
    assert set(begun) <= {0, 1, 2, 3}
