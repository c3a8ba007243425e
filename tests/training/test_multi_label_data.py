"""Several labels per pixel: reading, augmenting and checking their mask files; what contradicts them is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_data, check_split
from segnext_pafpn.data.check.page import write_check_page
from segnext_pafpn.data.check.table import class_share, ignored_share
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.focus import CropFocus
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.run import fit
from tests.strict_html import read_page
from tests.training.eyes import SUFFIXES, truth_of, write_eyes
from tests.training.field_runs import discs, picture_of, write_png
from tests.training.small_runs import small_config


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> Path:
    return write_eyes(tmp_path_factory.mktemp("eyes"))


def test_classes_that_overlap_are_all_read(card):
    data = SegmentationDataModule(DataConfig(card=str(card), num_workers=0))
    (batch,) = data.eval_dataloader("val")
    assert batch["mask"].shape == (5, 3, 32, 48) and batch["mask"].dtype == torch.uint8
    for label, mask in zip(batch["name"], batch["mask"].numpy(), strict=True):
        np.testing.assert_array_equal(mask, truth_of(card, Path(label).stem))
    assert (batch["mask"].sum(dim=1) > 1).any() and (batch["mask"].sum(dim=1) == 0).any()
    report = check_split(data.card, data.reader, "val")
    assert report.problems == [] and report.pixels[:3].tolist() == batch["mask"].sum(dim=(0, 2, 3)).tolist()
    assert report.pictures.tolist() == [5, 5, 4]


def test_augmentation_moves_all_layers_and_the_picture_together(card):
    """A layer brightens its own channel, so picture and layers can be compared after turns, zooms and crops."""
    augment = {"rotate90": 1.0, "vertical_flip": 0.5, "color": 0.0, "scale": (0.8, 1.5)}
    config = DataConfig(card=str(card), crop_size=(40, 40), batch_size=6, num_workers=0)
    config.augment = replace(config.augment, **augment)
    (batch,) = SegmentationDataModule(config).train_dataloader()
    assert batch["mask"].shape == (6, 3, 40, 40) and (batch["mask"] == 255).any()
    known = batch["mask"] != 255
    assert bool((known.all(dim=1) == known.any(dim=1)).all())  # what lies outside does so for all
    agree = (batch["image"] > 120) == (batch["mask"] == 1)
    assert float(agree[known].float().mean()) > 0.97  # rims are blurred by the zoom


def test_crops_are_laid_around_the_first_class_too(card):
    """It is no background; crops of 8x8 laid around one of the classes nearly always hold it."""
    config = DataConfig(card=str(card), crop_size=(8, 8), batch_size=6, samples_per_epoch=60, num_workers=0)
    config.augment = replace(config.augment, scale=(1, 1), color=0.0)
    held = {}
    for probability in (0.0, 1.0):
        config.crop_focus = CropFocus(probability=probability)
        batches = SegmentationDataModule(config).train_dataloader()
        held[probability] = torch.cat([(batch["mask"] == 1).flatten(2).any(dim=2) for batch in batches]).float()
    assert held[1.0].any(dim=1).all() and not held[0.0].any(dim=1).all()
    assert (held[1.0].mean(dim=0) > 1.3 * held[0.0].mean(dim=0)).all()


def test_the_check_and_the_samples_know_several_labels(card, tmp_path, capsys):
    assert main(["check", "--data", str(card), "--html", str(tmp_path / "c.html")]) == 0
    assert "cup" in capsys.readouterr().out
    assert main(["samples", "--data", str(card), "--split", "val", "--count", "2", "-o", str(tmp_path / "s")]) == 0
    mask = np.array(Image.open(tmp_path / "s/masks/blood_vessel/v1.png"))
    np.testing.assert_array_equal(mask // 255, truth_of(card, "v1")[2])


def test_the_check_says_which_share_of_the_labelled_pixels_each_class_covers(tmp_path):
    """A disc of 40 of 200 pixels, a cup in it of 10, and of one class nothing; a quarter does not count."""
    layers = np.zeros((3, 10, 20), np.uint8)
    layers[0, :4, :10], layers[1, :2, :5] = 255, 255
    for layer, suffix in zip(layers, SUFFIXES.values(), strict=True):
        write_png(tmp_path / f"masks/train/a{suffix}.png", layer)
    write_png(tmp_path / "images/train/a.png", np.zeros((10, 20, 3), np.uint8))
    write_png(tmp_path / "valid/train/a.png", np.repeat([[255] * 15 + [0] * 5], 10, axis=0).astype(np.uint8))
    layout = {"reader": "folder", "mask_format": "files", "valid": "valid/{split}"}
    layout["class_suffixes"] = SUFFIXES
    card = replace(load_card(str(write_eyes(tmp_path / "others"))), layout=layout, root=tmp_path)
    report = check_split(card, build_reader(card), "train", details=True)
    assert report.problems == [] and report.num_labelled == 150
    assert [class_share(report, i) for i in range(3)] == ["26.67", "6.67", "-"]
    assert ignored_share(report) == "25.00"
    write_check_page(check_data(card, [report], []), build_reader(card), tmp_path / "check.html")
    assert "26.67 %" in read_page(tmp_path / "check.html").text


def test_the_check_names_classes_whose_masks_are_all_black(tmp_path):
    card = write_eyes(tmp_path)
    data = SegmentationDataModule(DataConfig(card=str(card)))
    for number, suffix in enumerate(("_c", "_d", "_b")):
        for path in (tmp_path / "masks/val").glob(f"*{suffix}.png"):
            write_png(path, np.zeros((32, 48), np.uint8))
        report = check_split(data.card, data.reader, "val")
        if number == 0:
            assert report.warnings == ["split 'val': class 'cup' has no pixel: its masks are black or missing."]
            assert not report.problems
    assert report.problems == ["split 'val': every mask is black, so there is nothing to learn."]
    wrong = tmp_path / "masks/val/v2_c.png"
    write_png(wrong, np.zeros((30, 48), np.uint8))
    report = check_split(data.card, data.reader, "val")
    assert report.problems[0].startswith(f"{wrong}: the mask is 48x30, those of the classes before 48x32.")


def test_the_card_in_the_documentation_can_be_read(tmp_path):
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    blocks = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    (card,) = [block for block in blocks if "multi_label" in block]
    (tmp_path / "eyes.yaml").write_text(card)
    layers = discs(3, (32, 48), 2)
    write_png(tmp_path / "eyes/images/val/a.jpg", picture_of(layers, 1))
    write_png(tmp_path / "eyes/masks/val/a_disc.png", (255 * layers[0]).astype(np.uint8))
    data = SegmentationDataModule(DataConfig(card=str(tmp_path / "eyes.yaml")))
    (sample,) = data.samples("val")
    np.testing.assert_array_equal(data.read_truth(sample), [layers[0], np.zeros((32, 48))])


@pytest.mark.parametrize(
    ("changes", "loss", "words"),
    [
        (
            {},
            LossConfig(),
            "loss.mode: found softmax, but a pixel of card 'eyes' may be of several classes. Set --loss.",
        ),
        ({"multi_label": False}, LossConfig(mode="sigmoid"), "loss.mode: found sigmoid, but a pixel of card 'eyes' is"),
        ({}, LossConfig(mode="sigmoid", class_weights="inverse"), "loss.class_weights: 'inverse' is for one class"),
        (
            {"layout": {"reader": "folder", "mask_format": "files", "class_suffixes": {"cup": "_c"}}},
            LossConfig(mode="sigmoid"),
            "multi_label: true needs a mask file for each class",
        ),
        ({"layout": {"reader": "folder"}}, LossConfig(mode="sigmoid"), "multi_label: true needs a mask file for each"),
        ({"multi_label": "yes please"}, LossConfig(), "multi_label: expected true or false, found 'yes please'."),
        (
            {"classes": [{"name": "disc", "ids": [1]}]},
            LossConfig(mode="sigmoid"),
            "class 'disc' has ids, which mean nothing with multi_label: true",
        ),
    ],
)
def test_settings_that_contradict_the_card_are_refused(tmp_path, changes, loss, words):
    card = write_eyes(tmp_path, **changes)
    config = small_config(tmp_path, tmp_path / "runs", epochs=1, loss=loss)
    with pytest.raises(UserError) as error:
        fit(replace(config, data=replace(config.data, card=str(card))))
    assert words in str(error.value) and not (tmp_path / "runs").exists()
