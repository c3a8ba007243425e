"""What cannot be built, or cannot take an image, is one line that says why."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import get_preprocessing_fn, get_preprocessing_params

from segnext_pafpn import PAFPNeXt, SegNeXt
from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model

SWIN, VIT = "tu-swin_tiny_patch4_window7_224", "tu-vit_tiny_patch16_224"
SMALL = {"decoder_channels": 16, "head_channels": 16}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decoder_channels": -4}, "decoder_channels: found -4, expected a whole number of at least 1."),
        ({"head_channels": 0}, "head_channels: found 0, expected a whole number"),
        ({"decoder_depth": 1.5}, "decoder_depth: found 1.5, expected a whole number"),
        ({"decoder_expansion": True}, "decoder_expansion: found True, expected a whole number"),
        ({"decoder_kernel_size": 4}, "decoder_kernel_size: found 4, expected an odd number of at least 1."),
        ({"decoder_kernel_size": -3}, "decoder_kernel_size: found -3, expected an odd number"),
        ({"decoder_dilations": []}, "decoder_dilations: found [], expected whole numbers of at least 1"),
        ({"decoder_dilations": [3, 0]}, "decoder_dilations: found [3, 0], expected whole numbers"),
        ({"decoder_dilations": 3}, "decoder_dilations: found 3, expected whole numbers"),
        ({"head_dropout": 1.5}, "head_dropout: found 1.5, expected a share of 0 to 1."),
        ({"decoder_norm": "instance"}, "norm: 'instance' is not known"),
    ],
)
def test_numbers_that_cannot_be_are_named(options, words):
    with pytest.raises(ValueError) as error:
        PAFPNeXt("elanext_nano", **options)
    assert words in str(error.value) and not isinstance(error.value, UserError)
    with pytest.raises(UserError) as error:
        build_model(ModelConfig(encoder_name="elanext_nano", options=options), 3)
    assert str(error.value).startswith("model: pafpnext with encoder elanext_nano: ") and words in str(error.value)


@pytest.mark.parametrize("network", [PAFPNeXt, SegNeXt])
@pytest.mark.parametrize("number", ["classes", "in_channels"])
def test_no_class_and_no_channel_are_refused(network, number):
    with pytest.raises(ValueError, match=f"{number}: found 0"):
        network("elanext_nano", **{number: 0})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decoder_channels": -4}, "decoder_channels: found -4, expected a whole number of at least 1."),
        ({"decoder_rank": 0}, "decoder_rank: found 0, expected a whole number"),
        ({"decoder_rank": 1.5}, "decoder_rank: found 1.5, expected a whole number"),
        ({"decoder_dropout": -0.1}, "decoder_dropout: found -0.1, expected a share of 0 to 1."),
    ],
)
def test_numbers_that_cannot_be_are_named_by_segnext_too(options, words):
    with pytest.raises(ValueError, match=words):
        SegNeXt("elanext_nano", **options)


@pytest.mark.parametrize("network", [PAFPNeXt, SegNeXt])
def test_arguments_that_nobody_takes_are_named(network):
    with pytest.raises(TypeError, match="encoder 'elanext_nano' takes no argument 'kernel_size', 'decoder_chanels'"):
        network("elanext_nano", kernel_size=3, decoder_chanels=8)
    with pytest.raises(TypeError, match="unexpected keyword argument 'decoder_chanels'"):
        network("tu-elanext_nano", decoder_chanels=8)


@pytest.mark.parametrize(
    ("network", "whole", "share"),
    [
        (PAFPNeXt, {"decoder_kernel_size": 3, "decoder_expansion": 2}, "head_dropout"),
        (SegNeXt, {"decoder_rank": 4}, "decoder_dropout"),
    ],
)
def test_numbers_of_numpy_are_numbers_and_are_saved_as_such(tmp_path, network, whole, share):
    whole = {"classes": 3, "decoder_channels": 16, **whole}
    options = {name: np.int64(value) for name, value in whole.items()}
    model = network("elanext_nano", **options, **{share: np.float32(0.25)}).eval()
    assert model.config.items() >= {**whole, share: 0.25}.items()
    model.save_pretrained(tmp_path)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(smp.from_pretrained(tmp_path).eval()(x), model(x))


@pytest.mark.parametrize(("network", "share"), [(PAFPNeXt, "head_dropout"), (SegNeXt, "decoder_dropout")])
def test_what_is_no_number_or_one_that_cannot_be_is_refused_of_numpy_too(network, share):
    for found in (np.True_, np.int64(0), np.float64(3), "3", None):
        with pytest.raises(ValueError, match="classes: found .*, expected a whole number"):
            network("elanext_nano", classes=found)
    for found in (np.True_, np.float32(1.5), "0.1", float("nan")):
        with pytest.raises(ValueError, match=f"{share}: found .*, expected a share of 0 to 1"):
            network("elanext_nano", **{share: found})


def test_a_kernels_side_can_be_a_number_of_numpy():
    assert timm.create_model("elanext_nano", kernel_size=np.int64(3)).stages[0][1].dw.kernel_size == (3, 3)


@pytest.mark.parametrize("output_stride", [8, 16, None])
def test_an_output_stride_at_which_the_pyramid_does_not_halve_is_refused(output_stride):
    words = f"output_stride: found {output_stride}, expected 32, since PAFPNeXt's pyramid halves"
    with pytest.raises(ValueError, match=words):
        PAFPNeXt("tu-elanext_nano", output_stride=output_stride)
    assert PAFPNeXt("tu-elanext_nano", output_stride=32, **SMALL).encoder.output_stride == 32


@pytest.mark.parametrize("network", [PAFPNeXt, SegNeXt])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "elanext_tny",
            "'elanext_tny' is not an encoder of segnext_pafpn or smp. Did you mean 'elanext_tiny'? "
            "For a model of timm write tu-NAME.",
        ),
        ("qqq", "'qqq' is not an encoder of segnext_pafpn or smp. For a model of timm write tu-NAME."),
        ("tu-elanext_tny", "timm has no model 'elanext_tny'. Did you mean 'elanext_tiny'?"),
    ],
)
def test_an_unknown_encoder_is_named_with_the_nearest_known(network, name, words):
    with pytest.raises(ValueError) as error:
        network(name)
    assert str(error.value) == words


def test_unknown_weights_are_named_by_smp():
    with pytest.raises(KeyError, match="Wrong pretrained weights `imagenet21` for encoder `resnet18`"):
        PAFPNeXt("resnet18", encoder_weights="imagenet21")


@pytest.mark.parametrize("network", [PAFPNeXt, SegNeXt])
def test_an_encoder_without_a_pyramid_is_refused(network):
    with pytest.raises(ValueError, match=rf"'{VIT}' has no pyramid of levels at strides 4, 8, 16 and 32"):
        network(VIT)


def test_an_encoder_of_one_image_size_says_so_and_what_to_give():
    network = PAFPNeXt(SWIN, classes=2, **SMALL).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 224, 224)).shape == (1, 2, 224, 224)
        words = rf"'{SWIN}' takes images of 224x224 alone, found 96x128 .* img_size=\(96, 128\).*strict_img_size"
        with pytest.raises(ValueError, match=words):
            network(torch.randn(1, 3, 90, 128))
        for given in ({"img_size": (96, 128)}, {"strict_img_size": False}):
            network = PAFPNeXt(SWIN, classes=2, **SMALL, **given).eval()
            assert network(torch.randn(1, 3, 90, 128)).shape == (1, 2, 90, 128)


@pytest.mark.parametrize("name", ["elanext_tiny", "mscan_tiny", "article"])
@pytest.mark.parametrize("pretrained", ["imagenet", None])
def test_an_encoder_without_weights_has_no_preprocessing_but_says_which_to_take(name, pretrained):
    for ask in (get_preprocessing_params, get_preprocessing_fn):
        with pytest.raises(ValueError, match=rf"'{name}' has no pretrained weights, and so no preprocessing .*0\.485"):
            ask(name, pretrained=pretrained)
    assert list(smp.encoders.encoders[name]["pretrained_settings"].keys()) == []


@pytest.mark.parametrize("encoder", ["elanext_nano", "resnet18"])
def test_pan_takes_images_of_128_pixels_and_more_of_any_encoder(encoder):
    """As docs/networks.md says."""
    network = smp.PAN(encoder, encoder_weights=None, classes=2).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 128, 128)).shape == (1, 2, 128, 128)
        with pytest.raises(RuntimeError, match="Output size is too small"):
            network(torch.randn(1, 3, 96, 128))
