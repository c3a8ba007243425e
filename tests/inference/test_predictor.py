from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from segnext_pafpn import PAFPNeXt
from segnext_pafpn.data.transforms import apply_transform, eval_transform
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.device import choose_device
from segnext_pafpn.inference.export import export_model
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models.bundle import load_bundle, save_bundle
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.inference.pointwise import Pointwise, sized


@pytest.mark.parametrize("size", [(1, 1), (33, 57), (300, 41)])
def test_every_size_comes_out_as_it_went_in(checkpoint, make_image, size):
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    image = make_image(*size)
    assert predictor.logits(image).shape == (4, *size)
    mask = predictor.predict(image)
    assert mask.shape == size
    assert mask.dtype == np.uint8
    assert mask.max() < 4


def test_logits_are_those_of_the_bare_model_on_the_normalised_image(checkpoint, make_image):
    model, preprocessing = load_bundle(checkpoint)
    image = make_image(40, 64)
    x = (image / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    with torch.no_grad():
        expected = model(torch.from_numpy(x).float().permute(2, 0, 1)[None])[0]
    for fuse in (False, True):
        logits = Predictor.from_checkpoint(checkpoint, device="cpu", fuse=fuse).logits(image)
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(50, 70), (16, 200), (97, 16), (5, 300)])
def test_windows_of_a_pointwise_model_agree_with_the_whole_image(preprocessing, make_image, size):
    image = make_image(*size)
    whole = Predictor(Pointwise(), preprocessing).logits(image)
    model = Pointwise()
    windows = Predictor(model, preprocessing, max_pixels=64, window=(16, 24), overlap=0.3).logits(image)
    assert len(model.sizes) > 1
    assert set(model.sizes) == {(min(16, size[0]), min(24, size[1]))}
    torch.testing.assert_close(windows, whole, atol=1e-4, rtol=0)


def test_windows_begin_above_max_pixels(preprocessing, make_image):
    model = Pointwise()
    predictor = Predictor(model, preprocessing, max_pixels=600, window=(16, 16))
    predictor.predict(make_image(20, 30))
    assert model.sizes == [(20, 30)]
    predictor.predict(make_image(20, 31))
    assert set(model.sizes[1:]) == {(16, 16)}


def test_windows_of_a_network_agree_nearly_everywhere_with_the_whole_image(checkpoint, make_image):
    image = make_image(96, 160)
    whole = Predictor.from_checkpoint(checkpoint, device="cpu").predict(image)
    windows = Predictor.from_checkpoint(checkpoint, device="cpu", max_pixels=1, window=(64, 96)).predict(image)
    assert (windows == whole).mean() > 0.95


def test_the_network_sees_an_image_resized_as_in_training(make_image):
    image = make_image(40, 60)
    resized, _ = apply_transform(eval_transform((15, 20)), image, np.zeros((40, 60), np.uint8))
    expected = Predictor(Pointwise(3), sized(None)).logits(resized)
    model = Pointwise(3)
    logits = Predictor(model, sized((15, 20))).logits(image)
    assert model.sizes == [(15, 20)]
    assert logits.shape == (3, 40, 60)
    torch.testing.assert_close(
        logits, nn.functional.interpolate(expected[None], size=(40, 60), mode="bilinear", align_corners=False)[0]
    )


def test_a_resized_image_is_what_max_pixels_counts(make_image):
    model = Pointwise(3)
    predictor = Predictor(model, sized((30, 30)), max_pixels=400, window=(20, 20))
    assert predictor.predict(make_image(10, 11)).shape == (10, 11)
    assert set(model.sizes) == {(20, 20)}


@pytest.mark.parametrize("architecture", [smp.Unet, smp.FPN])
def test_a_model_of_smp_takes_odd_sizes(tmp_path, make_image, architecture):
    torch.manual_seed(0)
    save_bundle(architecture("resnet18", encoder_weights=None, classes=3), sized(None), tmp_path)
    predictor = Predictor.from_checkpoint(tmp_path, device="cpu")
    for size in ((45, 31), (1, 1)):
        assert predictor.predict(make_image(*size)).shape == size


def test_padding_repeats_the_border_and_is_cropped(make_image):
    torch.manual_seed(0)
    model = smp.FPN("resnet18", encoder_weights=None, classes=3).eval()
    image = make_image(30, 60)
    padded = np.pad(image, ((0, 2), (0, 4), (0, 0)), mode="edge")
    logits = [Predictor(model, sized(None)).logits(picture)[:, :30, :60] for picture in (image, padded)]
    torch.testing.assert_close(*logits)


def test_a_second_head_for_image_labels_is_left_out(make_image):
    model = smp.FPN("resnet18", encoder_weights=None, classes=3, aux_params={"classes": 2})
    assert Predictor(model, sized(None)).logits(make_image(32, 32)).shape == (3, 32, 32)


def test_one_logit_is_a_background_and_a_foreground(make_image):
    preprocessing = Preprocessing(class_names=("crack",), class_colors=((9, 8, 7),))
    predictor = Predictor(Pointwise(1), preprocessing)
    image = make_image(12, 14)
    mask = predictor.predict(image)
    assert set(np.unique(mask)) == {0, 1}
    np.testing.assert_array_equal(mask == 1, predictor.logits(image)[0].sigmoid().numpy() > 0.5)
    assert predictor.class_colors == ((0, 0, 0), (9, 8, 7))


@pytest.mark.parametrize("arguments", [{"overlap": 0.95}, {"overlap": -0.1}, {"overlap": float("nan")}])
def test_an_overlap_out_of_range_is_refused(preprocessing, arguments):
    with pytest.raises(UserError, match=r"overlap: found .*0 to 0\.9"):
        Predictor(Pointwise(), preprocessing, **arguments)


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta"])
def test_a_device_that_cannot_be_used_is_named(name):
    with pytest.raises(UserError, match=f"device: '{name}' cannot be used.*cpu"):
        choose_device(name)


def test_auto_chooses_a_device_that_works():
    assert torch.zeros(1, device=choose_device("auto")).item() == 0


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_mask_that_becomes_large_is_decided_strip_by_strip(make_image, multi_label):
    preprocessing = replace(sized((24, 40)), multi_label=multi_label)
    whole = Predictor(Pointwise(3), preprocessing)
    strips = Predictor(Pointwise(3), preprocessing, max_pixels=24 * 40 + 1)
    image = make_image(111, 70)
    calls = []
    decide = strips._decide
    strips._decide = lambda logits: calls.append(logits.shape) or decide(logits)
    (found,) = strips.answers([image], probabilities=True)
    (expected,) = whole.answers([image], probabilities=True)
    assert len(calls) == 9 and max(shape[-2] * shape[-1] for shape in calls) <= 24 * 40 + 1
    assert found.mask.shape == expected.mask.shape and np.mean(found.mask == expected.mask) > 0.999
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=2e-3)


def test_a_network_of_other_classes_is_refused(make_image):
    with pytest.raises(UserError, match="model: gives 4 logits for each pixel, expected as many as class_names .*, 3"):
        Predictor(Pointwise(classes=4), sized(None)).predict(make_image(8, 9))


@pytest.mark.parametrize("architecture", [PAFPNeXt, smp.Unet])
def test_a_network_that_gives_no_logits_is_refused(architecture):
    model = architecture("elanext_nano", encoder_weights=None, classes=3, activation="sigmoid")
    with pytest.raises(UserError, match="model: has the activation Sigmoid behind its logits"):
        Predictor(model, sized(None))
    labels = {"classes": 2, "activation": "sigmoid"}
    Predictor(architecture("elanext_nano", encoder_weights=None, classes=3, aux_params=labels), sized(None))


def test_a_folder_of_a_network_that_gives_no_logits_is_neither_written_nor_read(tmp_path):
    """Nor predicted with in company, nor exported: of probabilities both would make probabilities once more."""
    model = PAFPNeXt("elanext_nano", classes=3, activation="sigmoid")
    with pytest.raises(UserError, match="model: has the activation Sigmoid behind its logits"):
        save_bundle(model, sized(None), tmp_path / "none")
    assert not (tmp_path / "none").exists()
    runs = [tmp_path / name for name in "ab"]
    for run in runs:
        save_bundle(PAFPNeXt("elanext_nano", classes=3), sized(None), run)
        model.save_pretrained(run)  # as others may have written it
    words = "a: has the activation Sigmoid behind its logits"
    for read in (lambda: Predictor.from_checkpoint(runs), lambda: export_model(runs[0], tmp_path / "network.ts")):
        with pytest.raises(UserError, match=words):
            read()


def test_a_window_may_be_given_by_its_side(preprocessing, make_image):
    image = make_image(50, 70)
    square, side = (Predictor(Pointwise(), preprocessing, max_pixels=100, window=w) for w in ((32, 32), 32))
    assert torch.equal(side.logits(image), square.logits(image))


@pytest.mark.parametrize("window", [128.0, "128", (64,), (64, 1.5)])
def test_a_window_of_no_whole_pixels_is_refused(checkpoint, window):
    with pytest.raises(UserError, match="window: found"):
        Predictor.from_checkpoint(checkpoint, device="cpu", window=window)
