"""Images that are not 8-bit RGB are normalised as numpy would by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.statistics import join, measure_image
from tests.data.deep_images import form, scene, write_deep, write_deep_card

RANDOM = np.random.default_rng(0)
VALUES = np.array([[0, 10], [100, 20], [1000, 30], [-50, 40]], np.float64)  # four pixels of two channels


def normalised(content, statistics_of=VALUES, values=VALUES):
    """What becomes of ``values`` once the numbers are found on ``statistics_of``, all of it foreground."""
    spec = form(channels=2, **content)
    image = statistics_of.astype(np.float32).reshape(2, 2, 2)
    measured = measure_image(image, np.ones((2, 2), np.uint8), 2, spec, 10**6)
    intensity = spec.intensity(join([measured], spec) if spec.needs_statistics else None)
    return intensity(values.astype(np.float32).reshape(2, 2, 2)).reshape(4, 2)


def by_hand(values):
    low, high = np.percentile(values, (0.5, 99.5), axis=0)
    clipped = np.clip(values, low, high)
    return {
        "none": values,
        "zscore": (values - values.mean(0)) / values.std(0),
        "rescale": (values - values.min(0)) / (values.max(0) - values.min(0)),
        "percentile": (clipped - low) / (high - low),
        "ct": (clipped - values.mean(0)) / values.std(0),
    }


@pytest.mark.parametrize("statistics", ["foreground", "all", "image"])
@pytest.mark.parametrize("method", ["none", "zscore", "rescale", "percentile", "ct"])
def test_each_way_of_normalising_is_numpys_by_hand(method, statistics):
    result = normalised({"normalize": method, "statistics": statistics})
    np.testing.assert_allclose(result, by_hand(VALUES)[method], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("statistics", ["all", "image"])
@pytest.mark.parametrize("method", ["zscore", "percentile", "ct"])
def test_a_window_cuts_before_anything_is_measured(method, statistics):
    cut = np.clip(VALUES, (-10, 15), (200, 35))
    result = normalised({"normalize": method, "window": [[-10, 200], [15, 35]], "statistics": statistics})
    np.testing.assert_allclose(result, by_hand(cut)[method], rtol=1e-5, atol=1e-6)


def test_a_window_alone_becomes_0_to_1():
    intensity = form(channels=1, window=[-160, 240]).intensity()
    image = np.array([-1000, -160, 40, 240, 3000], np.int16).reshape(1, 5, 1)
    np.testing.assert_allclose(intensity(image).ravel(), [0, 0, 0.5, 1, 1])


def test_the_numbers_of_the_train_split_are_those_of_its_foreground(tmp_path):
    card = load_card(str(write_deep(tmp_path, "npy5")))
    for statistics in ("foreground", "all"):
        image = {"channels": 5, "normalize": "ct", "statistics": statistics}
        card = load_card(str(write_deep_card(tmp_path, image, images="images/{split}", masks="masks/{split}")))
        found = check_split(card, build_reader(card), "train").statistics
        pairs = [scene(i, 5) for i in range(3)]
        chosen = np.concatenate([i[m > 0] if statistics == "foreground" else i.reshape(-1, 5) for i, m in pairs])
        chosen = chosen.astype(np.float32)
        np.testing.assert_allclose(found.mean, chosen.mean(0, dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(found.std, chosen.std(0, dtype=np.float64), rtol=1e-6)
        low, high = np.percentile(chosen, (0.5, 99.5), axis=0)
        np.testing.assert_allclose((found.percentile_low, found.percentile_high), (low, high), rtol=1e-6)
        every = np.concatenate([i.reshape(-1, 5) for i, _ in pairs]).astype(np.float32)
        np.testing.assert_array_equal((found.lowest, found.highest), (every.min(0), every.max(0)))


def test_few_picked_pixels_still_give_percentiles_near_the_true_ones(tmp_path):
    values = RANDOM.normal(100, 20, (400, 500, 1)).astype(np.float32)
    ones = np.ones((400, 500), np.uint8)
    part = measure_image(values, ones, 2, form(channels=1), 5000)
    assert len(part.picked) <= 5000
    found = join([part, part], form(channels=1))
    np.testing.assert_allclose(found.percentile_low, 100 - 2.576 * 20, atol=3)
    np.testing.assert_allclose(found.mean, values.mean(), rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (1, 30, 1), elements=st.floats(-1e6, 1e6, width=32)),
    st.sampled_from(["rescale", "percentile"]),
    st.one_of(st.none(), st.tuples(st.integers(-1000, 0), st.integers(1, 1000))),
)
def test_rescaling_is_monotone_and_bounded(image, method, window):
    content = {"channels": 1, "normalize": method, "statistics": "image"}
    result = form(**content, **({"window": list(window)} if window else {})).intensity()(image)
    assert result.min() >= 0 and result.max() <= 1
    order = np.argsort(image.ravel(), kind="stable")
    assert (np.diff(result.ravel()[order]) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (1, 30, 1), elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from(["zscore", "ct"]))
def test_zscores_are_monotone_and_finite(image, method):
    result = form(channels=1, normalize=method, statistics="image").intensity()(image)
    assert np.isfinite(result).all()
    assert (np.diff(result.ravel()[np.argsort(image.ravel(), kind="stable")]) >= 0).all()


@pytest.mark.parametrize("method", ["zscore", "ct", "percentile", "rescale"])
def test_a_spread_that_float32_cannot_divide_by_is_none(method):
    image = np.zeros((1, 30, 1), np.float32)
    image[0, 0] = 1e-45
    assert np.abs(form(channels=1, normalize=method, statistics="image").intensity()(image)).max() <= 1e-45


@pytest.mark.parametrize("method", ["zscore", "ct", "percentile", "rescale"])
@pytest.mark.parametrize("value", [0, 0.1, -1234.5, 1e6])
def test_a_constant_image_becomes_zeros(method, value):
    image = np.full((9, 13, 2), value, np.float32)
    result = form(channels=2, normalize=method, statistics="image").intensity()(image)
    np.testing.assert_allclose(result, 0, atol=1e-6 * max(1, abs(value)))


def test_a_channel_that_is_constant_over_the_split_is_warned_of(tmp_path):
    card = load_card(str(write_deep(tmp_path, "npy5")))
    for path in (tmp_path / "images/train").iterdir():
        image = np.load(path)
        image[..., 3] = 7
        np.save(path, image)
    found = check_split(card, build_reader(card), "train", details=True)
    assert [line for line in found.warnings if "channel 4 of the images is 7 in every pixel" in line]
    assert found.problems == []
