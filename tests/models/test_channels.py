"""Networks for images of other than three channels, and the folder they are saved in."""

import json

import pytest
import torch

from segnext_pafpn.errors import UserError
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import load_bundle, load_preprocessing, save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import Preprocessing

CLASSES = {"class_names": ("no", "yes"), "class_colors": ((0, 0, 0), (9, 9, 9)), "image_size": None}
SEVEN = Intensity(method="ct", channels=7, low=(0.0,) * 7, high=(9.0,) * 7, mean=(4.0,) * 7, std=(2.0,) * 7)


@pytest.mark.parametrize("arch", ["pafpnext", "unet"])
@pytest.mark.parametrize("channels", [1, 7])
def test_a_network_takes_as_many_channels_as_it_was_built_for(arch, channels):
    model = build_model(ModelConfig(arch=arch, encoder_name="elanext_nano"), 2, channels).eval()
    assert model(torch.zeros(1, channels, 64, 64)).shape == (1, 2, 64, 64)
    assert model.encoder.stem.conv.in_channels == channels


@pytest.mark.parametrize(("channels", "expected"), [(1, [6.0]), (2, [1.5, 3.0]), (4, [0.75, 1.5, 2.25, 0.75])])
def test_pretrained_colours_are_spread_over_the_channels_as_smp_does(channels, expected):
    """smp sums the colours for one channel, and otherwise repeats them, scaled by 3 over the number of channels."""
    encoder = build_model(ModelConfig(encoder_name="elanext_nano"), 2).encoder
    weight = encoder.stem.conv.weight
    with torch.no_grad():
        weight.copy_(torch.tensor([1.0, 2.0, 3.0])[None, :, None, None].expand_as(weight))
    encoder.set_in_channels(channels, pretrained=True)
    assert encoder.stem.conv.weight[0, :, 0, 0].tolist() == pytest.approx(expected)


def test_channels_are_no_option_of_an_architecture():
    with pytest.raises(UserError, match="channels follow from the card"):
        build_model(ModelConfig(encoder_name="elanext_nano", options={"in_channels": 4}), 2)


def test_a_bundle_keeps_channels_and_numbers(tmp_path):
    model = build_model(ModelConfig(encoder_name="elanext_nano"), 2, 7)
    preprocessing = Preprocessing.of_images(SEVEN, **CLASSES)
    save_bundle(model, preprocessing, tmp_path / "model")
    loaded, again = load_bundle(tmp_path)
    assert again == load_preprocessing(tmp_path) == preprocessing
    assert again.channels == 7 and loaded.encoder.stem.conv.in_channels == 7
    text = (tmp_path / "model/README.md").read_text()
    assert "images of 7 channel(s)" in text and "cut to 0 to 9" in text and "`ct`" in text


def test_a_bundle_of_8_bit_rgb_says_what_it_said_before(tmp_path):
    preprocessing = Preprocessing.of_images(None, **CLASSES)
    assert preprocessing == Preprocessing(**CLASSES) and preprocessing.channels == 3
    save_bundle(build_model(ModelConfig(encoder_name="elanext_nano"), 2), preprocessing, tmp_path / "model")
    values = json.loads((tmp_path / "model/preprocessing.json").read_text())
    del values["intensity"]  # as folders from before this key have it
    (tmp_path / "model/preprocessing.json").write_text(json.dumps(values))
    assert load_bundle(tmp_path)[1] == preprocessing


def test_numbers_of_another_network_are_refused(tmp_path):
    model = build_model(ModelConfig(encoder_name="elanext_nano"), 2, 3)
    save_bundle(model, Preprocessing.of_images(SEVEN, **CLASSES), tmp_path / "model")
    with pytest.raises(UserError, match="is for images of 7 channels, the network takes 3"):
        load_bundle(tmp_path)


def test_more_classes_than_a_mask_can_tell_apart_are_refused():
    """Else the 257th would be the first again; where each class has a mask of its own, there is room for any number."""
    many = {"class_names": tuple(map(str, range(255))), "class_colors": ((0, 0, 0),) * 255}
    with pytest.raises(UserError, match="class_names: found 255 names, expected at most 254: masks have 8 bits"):
        Preprocessing(**many)
    assert Preprocessing(**many, multi_label=True).channels == 3
    assert Preprocessing(**{name: values[1:] for name, values in many.items()}).channels == 3
