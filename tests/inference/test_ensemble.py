"""Several networks answer together, with test-time augmentation or without, and say how sure they are."""

from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from segnext_pafpn.cli import main
from segnext_pafpn.data.readers.files import read_ids, read_rgb
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models import PAFPNeXt
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.conftest import error_of

COLORS = ((0, 0, 0), (200, 0, 0))


def bundle(folder, preprocessing, seed, **options):
    torch.manual_seed(seed)
    model = PAFPNeXt(
        "elanext_nano", classes=len(preprocessing.class_names), in_channels=preprocessing.channels, **options
    )
    for parameter in model.parameters():  # large random weights, so that networks differ
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    save_bundle(model, preprocessing, folder)
    return str(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    preprocessing = Preprocessing(class_names=("no", "yes"), class_colors=COLORS)
    return [bundle(folder / f"fold{seed}/model", preprocessing, seed) for seed in (1, 2)]


def predictor(path, **options):
    return Predictor.from_checkpoint(path, device="cpu", **options)


@pytest.mark.parametrize("options", [{}, {"tta": "flips"}, {"max_pixels": 1000, "window": (32, 32)}])
def test_the_logits_of_several_are_the_mean_of_theirs(runs, make_image, options):
    image = make_image(40, 57)
    together = predictor(runs, **options)
    single = [predictor(run, **options).logits(image) for run in runs]
    assert not torch.allclose(*single, atol=0.1)
    torch.testing.assert_close(together.logits(image), (single[0] + single[1]) / 2, atol=1e-4, rtol=1e-4)
    labels = (single[0] + single[1]).argmax(0).numpy()
    assert (together.predict(image) == labels).mean() > 0.999


def test_each_normalises_by_its_own_numbers(tmp_path):
    """16-bit images of two channels, whose statistics each fold has found in other cases."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 4000, (37, 50, 2), dtype=np.uint16)
    folders = []
    for seed, (mean, std) in enumerate((((1000.0, 1500.0), (300.0, 200.0)), ((2500.0, 900.0), (700.0, 100.0)))):
        intensity = Intensity(method="zscore", channels=2, mean=mean, std=std)
        preprocessing = Preprocessing.of_images(intensity, ("no", "yes"), COLORS, image_size=(32, 64))
        folders.append(bundle(tmp_path / f"{seed}/model", preprocessing, seed))
    single = [predictor(folder).logits(image) for folder in folders]
    torch.testing.assert_close(predictor(folders).logits(image), sum(single) / 2, atol=1e-3, rtol=1e-3)


def test_thresholds_are_averaged_and_what_does_not_belong_together_is_refused(runs, tmp_path, capsys):
    preprocessing = Preprocessing(class_names=("no", "yes"), class_colors=COLORS)
    tuned = bundle(tmp_path / "tuned/model", replace(preprocessing, thresholds=(0.2,)), 3)
    assert predictor([runs[0], tuned]).preprocessing.thresholds == pytest.approx((0.35,))
    assert predictor(runs).preprocessing.thresholds is None
    other = bundle(tmp_path / "other/model", replace(preprocessing, class_names=("no", "perhaps")), 3)
    grey = Preprocessing.of_images(Intensity(method="rescale", channels=3), ("no", "yes"), COLORS, None)
    deep = bundle(tmp_path / "deep/model", grey, 3)
    for second, words in (
        (other, f"{other}: has class_names ('no', 'perhaps'), but {runs[0]} has ('no', 'yes')"),
        (deep, f"{deep}: of it and {runs[0]} only one takes 8-bit RGB"),
        (tmp_path / "nowhere", "nowhere: no such folder"),
        (tmp_path / "tunned", "tunned: no such folder. Did you mean 'tuned'?"),
        (runs[0], f"checkpoint: {runs[0]} is given 2 times"),
    ):
        arguments = ["--checkpoint", f"[{runs[0]}, {second}]", "-i", tmp_path, "-o", tmp_path / "masks"]
        assert words in error_of(capsys, "predict", *arguments)
    assert "checkpoint: is empty" in error_of(capsys, "predict", "--checkpoint", "[]", "-i", tmp_path, "-o", "masks")


def test_the_command_writes_masks_and_probabilities_of_several_runs(runs, folder, tmp_path, capsys):
    out = tmp_path / "masks"
    options = ["--save_probabilities", "true", "--tta", "flip", "--device", "cpu"]
    command = ["predict", "--checkpoint", f"[{', '.join(runs)}]", "-i", str(folder), "-o", str(out), *options]
    assert main(command) == 0
    together = predictor(runs, tta="flip")
    for name in ("a.png", "b.jpg"):
        image = read_rgb(folder / name)
        mask = read_ids(out / f"{name[0]}.png")
        with np.load(out / f"probabilities/{name[0]}.npz") as file:
            probabilities = file["probabilities"]
        assert probabilities.dtype == np.float16 and probabilities.shape == (2, *image.shape[:2])
        np.testing.assert_allclose(probabilities, together.logits(image).softmax(0), atol=1e-3)
        assert (probabilities.argmax(0) == mask).mean() > 0.99
    assert main(command) == 2  # nothing is replaced unless one says so
    assert main([*command, "--overwrite", "true"]) == 0
    said = capsys.readouterr().out
    assert f"2 masks are in {out}, by 2 runs, with tta flip, besides probabilities/ (" in said
    without = [word for word in command if word not in ("--save_probabilities", "true")]
    line = error_of(capsys, *without, "--overwrite", "true")
    assert f"{out}: 2 files of an earlier prediction would stay beside the new masks, {out}/probabilities/a.npz" in line
    assert "--save_probabilities true" in line
    assert "b.png: is called as an image is" in error_of(capsys, *command[:6], tmp_path / "b.png", *command[7:])


def test_networks_of_smp_that_need_padding_and_half_precision_go_together(tmp_path, make_image):
    preprocessing = Preprocessing(class_names=("no", "yes"), class_colors=COLORS)
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_bundle(smp.FPN("resnet18", encoder_weights=None, classes=2), preprocessing, tmp_path / f"{seed}/model")
        folders.append(tmp_path / f"{seed}/model")
    image = make_image(40, 57)
    single = [predictor(folder, precision="bf16-mixed").logits(image) for folder in folders]
    together = predictor(folders, precision="bf16-mixed").logits(image)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, (single[0] + single[1]) / 2, atol=1e-6, rtol=0)


def test_several_labels_per_pixel_have_a_threshold_and_a_probability_each(tmp_path, make_image):
    layers = Preprocessing(class_names=("a", "b"), class_colors=COLORS, multi_label=True)
    folders = [
        bundle(tmp_path / f"{seed}/model", replace(layers, thresholds=thresholds), seed)
        for seed, thresholds in ((1, (0.2, 0.4)), (2, None))
    ]
    image = make_image(33, 40)
    together = predictor(folders)
    assert together.preprocessing.thresholds == pytest.approx((0.35, 0.45))
    (answer,) = together.answers([image], probabilities=True)
    assert answer.mask.shape == answer.probabilities.shape == (2, 33, 40)
    expected = together.logits(image).sigmoid().numpy()
    np.testing.assert_allclose(answer.probabilities, expected, atol=1e-3)
    assert (answer.mask == (expected > np.float32([0.35, 0.45])[:, None, None])).mean() > 0.999


def test_probabilities_of_an_image_in_windows_are_of_the_whole_image(runs, make_image):
    image = make_image(40, 57)
    (answer,) = predictor(runs[0], max_pixels=1000, window=(32, 32)).answers([image], probabilities=True)
    windows = predictor(runs[0], max_pixels=1000, window=(32, 32))
    np.testing.assert_array_equal(answer.mask, windows.predict(image))
    np.testing.assert_allclose(answer.probabilities, windows.logits(image).softmax(0), atol=1e-3)


def test_a_mistyped_augmentation_is_named(runs, folder, tmp_path, capsys):
    arguments = ["--checkpoint", runs[0], "-i", folder, "-o", tmp_path / "out", "--tta", "flop"]
    assert "tta: 'flop' is not known. Did you mean 'flip'?" in error_of(capsys, "predict", *arguments)
