"""Predicting images that are not 8-bit RGB."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.inputs import find_inputs, read_input
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.prepared import prepare
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.data.deep_images import save_any

CLASSES = {"class_names": ("no", "yes"), "class_colors": ((0, 0, 0), (9, 9, 9))}
RANDOM = np.random.default_rng(0)


class Echo(torch.nn.Module):
    """Logits are the first two channels, or the only one twice, so that what the network is given can be seen."""

    def forward(self, x):
        return x[:, [0, min(1, x.shape[1] - 1)]]


def predictor(intensity, **options):
    preprocessing = Preprocessing.of_images(intensity, image_size=options.pop("image_size", None), **CLASSES)
    return Predictor(Echo(), preprocessing, **options)


def test_the_network_is_given_what_the_recorded_numbers_make_of_the_image():
    numbers = {"low": (0.0, 10.0), "high": (100.0, 50.0), "mean": (50.0, 20.0), "std": (25.0, 10.0)}
    image = RANDOM.integers(0, 200, (12, 20, 2)).astype(np.uint16)
    logits = predictor(Intensity(method="ct", channels=2, **numbers)).logits(image)
    expected = (np.clip(image.astype(float), (0, 10), (100, 50)) - (50, 20)) / (25, 10)
    np.testing.assert_allclose(logits.permute(1, 2, 0), expected, atol=1e-5)


def test_images_of_many_channels_are_resized_channel_by_channel():
    image = RANDOM.integers(0, 200, (40, 60, 10)).astype(np.uint16)
    intensity = Intensity(method="none", channels=10, mean=(0.0,) * 10, std=(1.0,) * 10)
    preprocessing = Preprocessing.of_images(intensity, image_size=(20, 30), **CLASSES)
    prepared = prepare(image, preprocessing)
    channels = np.moveaxis(np.float32(image), 2, 0)
    expected = [cv2.resize(channel, (30, 20), interpolation=cv2.INTER_AREA) for channel in channels]
    np.testing.assert_allclose(np.moveaxis(prepared.image, 2, 0), expected, rtol=1e-6)


def test_an_image_in_windows_is_normalised_as_a_whole():
    """Else each window would have a mean of its own."""
    own = Intensity(method="zscore", channels=2)
    image = np.linspace(-1000, 1000, 64 * 48 * 2).reshape(64, 48, 2).astype(np.float32)
    whole = predictor(own).logits(image)
    windows = predictor(own, max_pixels=1000, window=(32, 32)).logits(image)
    np.testing.assert_allclose(windows, whole, atol=1e-4)
    expected = (image - image.mean((0, 1), dtype=np.float64)) / image.std((0, 1), dtype=np.float64)
    np.testing.assert_allclose(whole.permute(1, 2, 0), expected, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_images_are_resized_after_they_are_normalised(channels):
    own = Intensity(method="rescale", channels=channels)
    image = RANDOM.normal(-300, 50, (24, 40, channels)).astype(np.float32)
    logits = predictor(own, image_size=(12, 20)).logits(image)
    assert logits.shape[1:] == (24, 40) and float(logits.min()) >= 0 and float(logits.max()) <= 1


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="has 3 channels, the model was trained on 2"):
        predictor(Intensity(method="zscore", channels=2)).predict(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="expected uint8"):
        predictor(None).predict(np.zeros((8, 8, 3), np.uint16))


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("I;16", 1), ("F", 1), ("P", 3), ("LA", 2), ("RGBA", 4)]
)
def test_a_picture_of_pillows_has_the_values_of_its_file(tmp_path, mode, channels):
    grey = Image.fromarray(RANDOM.integers(0, 256, (12, 20), dtype=np.uint8))
    colors = Image.fromarray(RANDOM.integers(0, 256, (12, 20, 3), dtype=np.uint8))
    picture = colors.quantize(16) if mode == "P" else grey.convert(mode)
    path = tmp_path / f"a.{'tif' if mode == 'F' else 'png'}"
    picture.save(path)
    model = predictor(Intensity(method="none", channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels))
    expected = model.logits(path)
    values = np.asarray(picture.convert({"1": "L", "P": "RGB"}.get(mode, mode)))
    assert float(expected.max()) == values.reshape(12, 20, -1)[..., :2].max()
    with Image.open(path) as opened:
        assert torch.equal(model.logits(opened), expected)


def test_a_picture_of_pillows_that_it_would_cut_to_8_bits_is_refused(tmp_path):
    """Its mode says RGB; the path and the array keep the 16 bits."""
    deep = RANDOM.integers(256, 65536, (8, 9, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    model = predictor(Intensity(method="none", channels=3, mean=(0.0,) * 3, std=(1.0,) * 3))
    assert torch.equal(model.logits(tmp_path / "deep.png"), model.logits(deep))
    words = "the picture: has colours of 16 bits, of which Pillow leaves 8. Give the path of its file"
    with Image.open(tmp_path / "deep.png") as opened, pytest.raises(UserError, match=words):
        model.logits(opened)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_an_image_with_values_that_are_no_numbers_is_refused(tmp_path, value):
    """Of each such value all logits would be NaN, and the mask background throughout; float32 has no 1e300."""
    image = RANDOM.normal(size=(8, 9, 2))
    image[3, 4, 1] = value
    np.save(tmp_path / "a.npy", image)
    model = predictor(Intensity(method="zscore", channels=2))
    words = r"1 values are NaN or infinite \(first at x 4, y 3, channel 2\), expected numbers"
    for same, name in ((image, "the image"), (tmp_path / "a.npy", "a.npy")):
        with pytest.raises(UserError, match=f"{name}: {words}"):
            model.predict(same)


def test_files_of_one_image_are_found_by_their_name(tmp_path):
    preprocessing = Preprocessing.of_images(Intensity(method="none", channels=2), image_size=None, **CLASSES)
    for name in ("a", "b"):
        for c in range(2):
            save_any(tmp_path / f"t{c}/{name}_{c}.png", np.full((4, 5), 100 * c + 1, np.uint16))
    patterns = [f"{tmp_path}/t0/{{name}}_0.png", f"{tmp_path}/t1/{{name}}_1.*"]
    found = find_inputs(patterns, preprocessing)
    names = {name: [path.name for path in files] for name, files in found.items()}
    assert names == {"a": ["a_0.png", "a_1.png"], "b": ["b_0.png", "b_1.png"]}
    assert read_input(found["a"], preprocessing)[0, 0].tolist() == [1, 101]
    (tmp_path / "t1/b_1.png").unlink()
    with pytest.raises(UserError, match="b_1.* no such file, but another channel of it is there"):
        find_inputs(patterns, preprocessing)
    for name in ("a_b-c", "a-b_c"):  # the fields that come of them are joined again
        for c in range(2):
            save_any(tmp_path / f"twice/{name}_{c}.png", np.ones((4, 5), np.uint16))
    with pytest.raises(UserError, match=r"the masks of both would be named a_b_c\.png"):
        find_inputs([f"{tmp_path}/twice/{{case}}-{{name}}_{c}.png" for c in range(2)], preprocessing)
    with pytest.raises(UserError, match="expected a pattern with {name}"):
        find_inputs([str(tmp_path / "t0"), str(tmp_path / "t1")], preprocessing)


@pytest.mark.parametrize(
    ("array", "words"), [(np.zeros((4, 5, 3)), "has 3 channels"), (np.full((4, 5, 2), np.nan), "NaN")]
)
def test_a_file_that_is_not_like_those_of_the_training_is_named(tmp_path, array, words):
    preprocessing = Preprocessing.of_images(Intensity(method="zscore", channels=2), image_size=None, **CLASSES)
    save_any(tmp_path / "a.npy", array.astype(np.float32))
    with pytest.raises(UserError, match=words) as raised:
        read_input((tmp_path / "a.npy",), preprocessing)
    assert str(raised.value).startswith(f"{tmp_path / 'a.npy'}: ") and "card" not in str(raised.value)
