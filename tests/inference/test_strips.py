"""Windows that are finished row by row give what windows blended over the whole image gave."""

import numpy as np
import pytest
import torch

from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.windows import window_shares, window_starts
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.models.preprocessing import Preprocessing

NAMES = ("wall", "floor", "door", "lamp")
COLORS = ((1, 2, 3),) * 4


@torch.inference_mode()
def blended_as_a_whole(predictor: Predictor, image: np.ndarray) -> torch.Tensor:
    """Logits (K, H, W), all windows added into one array of the image's size, rows of windows first."""
    starts, shares = [], []
    for length, window in zip(image.shape[:2], predictor.window, strict=True):
        starts.append(window_starts(length, min(window, length), predictor.overlap))
        shares.append(window_shares(length, min(window, length), starts[-1]))
    blended = torch.zeros(4, *image.shape[:2])
    for top, row_share in zip(starts[0], shares[0], strict=True):
        for left, column_share in zip(starts[1], shares[1], strict=True):
            rows, columns = slice(top, top + len(row_share)), slice(left, left + len(column_share))
            blended[:, rows, columns] += predictor._forward(image[None, rows, columns])[0] * torch.outer(
                row_share, column_share
            )
    return blended


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("size", [(150, 131), (64, 200), (200, 40)])
def test_logits_and_labels_are_those_of_the_whole_array_but_for_rounding(checkpoint, make_image, size, overlap):
    image = make_image(*size)
    predictor = Predictor.from_checkpoint(checkpoint, "cpu", max_pixels=1000, window=(64, 48), overlap=overlap)
    expected = blended_as_a_whole(predictor, image)
    torch.testing.assert_close(predictor.logits(image), expected, atol=1e-6, rtol=1e-5)
    np.testing.assert_array_equal(predictor.predict(image), expected.argmax(dim=0).numpy())


def test_layers_are_those_of_the_whole_array(checkpoint, make_image):
    model, _ = load_bundle(checkpoint)
    preprocessing = Preprocessing(class_names=NAMES, class_colors=COLORS, multi_label=True, thresholds=(0.5,) * 4)
    image = make_image(150, 131)
    predictor = Predictor(model, preprocessing, "cpu", max_pixels=1000, window=(64, 48))
    expected = blended_as_a_whole(predictor, image).sigmoid() > 0.5
    assert predictor.predict(image).shape == (4, 150, 131)
    np.testing.assert_array_equal(predictor.predict(image), expected.numpy())


def test_a_strip_is_no_higher_than_a_window_and_together_they_are_the_image(checkpoint, make_image):
    predictor = Predictor.from_checkpoint(checkpoint, "cpu", max_pixels=1000, window=(64, 48))
    with torch.inference_mode():
        rows = [(rows.start, rows.stop, logits.shape) for rows, logits in predictor._rows(make_image(150, 131))]
    assert [begin for begin, _, _ in rows] == [0, *(end for _, end, _ in rows[:-1])] and rows[-1][1] == 150
    assert all(shape == (4, end - begin, 131) and end - begin <= 64 for begin, end, shape in rows)


def test_windows_of_a_resized_image_are_labelled_in_its_own_size(checkpoint, make_image):
    model, _ = load_bundle(checkpoint)
    preprocessing = Preprocessing(class_names=NAMES, class_colors=COLORS, image_size=(100, 90))
    image = make_image(150, 131)
    predictor = Predictor(model, preprocessing, "cpu", max_pixels=1000, window=(64, 48))
    np.testing.assert_array_equal(predictor.predict(image), predictor.logits(image).argmax(dim=0).numpy())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_of_equal_logits_the_first_class_is_taken_as_argmax_does(layout):
    logits = torch.randint(0, 3, (2, 5, 40, 60), generator=torch.Generator().manual_seed(0)).float()
    logits[0, 3, 0, 0] = float("nan")
    logits = logits.contiguous(memory_format=layout)
    found = Decision().classes(logits)
    assert found.dtype == torch.int64 and torch.equal(found, logits.argmax(dim=1))
    assert torch.equal(found[1], (logits[1] == logits[1].amax(dim=0)).int().argmax(dim=0))
