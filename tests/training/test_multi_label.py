"""Several labels per pixel, from mask files through training to scores, pages and predicted files."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.datamodule import DataConfig, SegmentationDataModule
from segnext_pafpn.data.focus import CropFocus
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.medical import case_scores
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.training.losses import LossConfig
from segnext_pafpn.training.optim import OptimConfig
from segnext_pafpn.training.run import fit
from tests.strict_html import read_page
from tests.training.field_runs import discs, logits_of, picture_of, small_run, write_png
from tests.training.test_run import small_config

NAMES = ("disc", "cup", "blood vessel")
SUFFIXES = {"disc": "_d", "cup": "_c", "blood vessel": "_b"}


def write_eyes(root: Path, **changes) -> Path:
    """Discs that overlap, a file for each class; the picture v3 has no file of the last."""
    for split, count in (("train", 6), ("val", 5)):
        for i in range(count):
            layers = discs(100 * len(split) + i, (32, 48), 3)
            write_png(root / f"images/{split}/{split[0]}{i}.png", picture_of(layers, i))
            for layer, suffix in zip(layers, SUFFIXES.values(), strict=True):
                if (split, i, suffix) != ("val", 3, "_b"):
                    path = root / f"masks/{split}/{split[0]}{i}{suffix}.png"
                    write_png(path, (255 * layer).astype(np.uint8))
    content = {
        "multi_label": True,
        "classes": [{"name": name, "color": [200, 50 * k, 100]} for k, name in enumerate(NAMES)],
        "root": ".",
        "layout": {"reader": "folder", "mask_format": "files", "class_suffixes": SUFFIXES, "allow_missing": True},
        **changes,
    }
    card = root / "eyes.yaml"
    card.write_text(yaml.safe_dump(content))
    return card


@pytest.fixture(scope="module")
def eyes(tmp_path_factory) -> tuple[Path, Path]:
    card = write_eyes(tmp_path_factory.mktemp("eyes"))
    runs = tmp_path_factory.mktemp("runs")
    optim = OptimConfig(lr=3e-3, warmup_steps=1, ema_decay=None)
    loss = LossConfig(mode="sigmoid", boundary=0.01)
    return card, small_run(card, runs, epochs=12, loss=loss, optim=optim)


def truth_of(card: Path, name: str) -> np.ndarray:
    """(3, H, W) of 0 and 1, read without the package."""
    paths = [card.parent / f"masks/val/{name}{suffix}.png" for suffix in SUFFIXES.values()]
    shape = np.array(Image.open(paths[0])).shape
    return np.stack([np.array(Image.open(p)) // 255 if p.is_file() else np.zeros(shape, np.uint8) for p in paths])


def test_classes_that_overlap_are_all_read(eyes):
    card, _ = eyes
    data = SegmentationDataModule(DataConfig(card=str(card), num_workers=0))
    (batch,) = data.eval_dataloader("val")
    assert batch["mask"].shape == (5, 3, 32, 48) and batch["mask"].dtype == torch.uint8
    for label, mask in zip(batch["name"], batch["mask"].numpy(), strict=True):
        np.testing.assert_array_equal(mask, truth_of(card, Path(label).stem))
    assert (batch["mask"].sum(dim=1) > 1).any() and (batch["mask"].sum(dim=1) == 0).any()
    report = check_split(data.card, data.reader, "val")
    assert report.problems == [] and report.pixels[:3].tolist() == batch["mask"].sum(dim=(0, 2, 3)).tolist()
    assert report.pictures.tolist() == [5, 5, 4]


def test_augmentation_moves_all_layers_and_the_picture_together(eyes):
    """A layer brightens its own channel, so picture and layers can be compared after turns, zooms and crops."""
    card, _ = eyes
    augment = {"rotate90": 1.0, "vertical_flip": 0.5, "color": 0.0, "scale": (0.8, 1.5)}
    config = DataConfig(card=str(card), crop_size=(40, 40), batch_size=6, num_workers=0)
    config.augment = replace(config.augment, **augment)
    (batch,) = SegmentationDataModule(config).train_dataloader()
    assert batch["mask"].shape == (6, 3, 40, 40) and (batch["mask"] == 255).any()
    known = batch["mask"] != 255
    assert bool((known.all(dim=1) == known.any(dim=1)).all())  # what lies outside does so for all
    agree = (batch["image"] > 120) == (batch["mask"] == 1)
    assert float(agree[known].float().mean()) > 0.97  # rims are blurred by the zoom


def test_crops_are_laid_around_the_first_class_too(eyes):
    """It is no background; crops of 8x8 laid around one of the classes nearly always hold it."""
    card, _ = eyes
    config = DataConfig(card=str(card), crop_size=(8, 8), batch_size=6, samples_per_epoch=60, num_workers=0)
    config.augment = replace(config.augment, scale=(1, 1), color=0.0)
    held = {}
    for probability in (0.0, 1.0):
        config.crop_focus = CropFocus(probability=probability)
        batches = SegmentationDataModule(config).train_dataloader()
        held[probability] = torch.cat([(batch["mask"] == 1).flatten(2).any(dim=2) for batch in batches]).float()
    assert held[1.0].any(dim=1).all() and not held[0.0].any(dim=1).all()
    assert (held[1.0].mean(dim=0) > 1.3 * held[0.0].mean(dim=0)).all()


def test_scores_are_those_counted_by_hand(eyes):
    card, run = eyes
    _, samples, logits = logits_of(run, card)
    truth = np.stack([truth_of(card, sample.name) for sample in samples])
    said = np.stack([each.sigmoid().numpy() > 0.5 for each in logits])
    values = json.loads((run / "metrics_val.json").read_text())
    for k, row in enumerate(values["per_class"]):
        both, either = (said[:, k] & (truth[:, k] == 1)).sum(), (said[:, k] | (truth[:, k] == 1)).sum()
        assert row["name"] == NAMES[k] and row["truth_pixels"] == truth[:, k].sum()
        assert row["IoU"] == pytest.approx(100 * both / either, abs=0.02)  # a batch may round near-ties otherwise
        assert row["Dice"] == pytest.approx(200 * both / (both + either), abs=0.02)
    assert values["mIoU"] == pytest.approx(np.mean([row["IoU"] for row in values["per_class"]]), abs=1e-3)
    assert values["aAcc"] == pytest.approx(100 * (said == (truth == 1)).mean(), abs=0.02)
    assert values["mIoU"] > 20  # it has learnt something
    rows = list(csv.DictReader((run / "metrics_val_confusion.csv").open()))
    for k, row in enumerate(rows):
        cells = [int(row[key]) for key in ("true_negative", "false_positive", "false_negative", "true_positive")]
        assert row["class"] == NAMES[k] and sum(cells) == 5 * 32 * 48
        assert cells[2] + cells[3] == truth[:, k].sum()


def test_the_run_has_its_pictures_and_its_page(eyes):
    card, run = eyes
    page = read_page(run / "metrics_val.html")
    assert len(page.images) == 1 + 5 * 4 and "both" in page.text and "blood vessel" in page.text
    assert Image.open(run / "predictions.png").width > 1000
    preprocessing = load_bundle(run)[1]
    assert preprocessing.multi_label and preprocessing.thresholds is None


def test_predicted_files_are_a_mask_for_each_class_and_can_be_read_as_such(eyes, tmp_path):
    card, run = eyes
    arguments = ["--checkpoint", str(run), "-i", str(card.parent / "images/val"), "-o", str(tmp_path / "out")]
    assert main(["predict", *arguments, "--device=cpu", "--color=true", "--overlay=true"]) == 0
    predictor = Predictor.from_checkpoint(run, device="cpu")
    image = np.array(Image.open(card.parent / "images/val/v0.png"))
    expected = predictor.predict(image)
    assert expected.shape == (3, 32, 48) and expected.max() == 1
    for k, folder in enumerate(("disc", "cup", "blood_vessel")):
        mask = np.array(Image.open(tmp_path / f"out/{folder}/v0.png"))
        np.testing.assert_array_equal(mask, 255 * expected[k])
    color = np.array(Image.open(tmp_path / "out/color/v0.png"))
    count = expected.sum(axis=0)
    assert {0, 1, 2} <= set(count.ravel().tolist())
    assert (color[count == 0] == 0).all()
    for red, green, blue, *held in zip(*color[count > 0].T, *expected[:, count > 0], strict=True):
        greens = [50 * k for k in range(3) if held[k]]
        assert (red, green, blue) == (200, sum(greens) // len(greens), 100)  # the mean of the pixel's classes
    # as the masks of a card
    (tmp_path / "images").symlink_to(card.parent / "images/val")
    again = yaml.safe_load(card.read_text())
    layout = {"reader": "folder", "mask_format": "files", "images": "images/{name}.*", "val_fraction": 0.5}
    layout |= {"masks": "out/{class}/{name}.png", "class_suffixes": {name: name.replace(" ", "_") for name in NAMES}}
    layout |= {"threshold": 127}  # a mask may be all black
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump({**again, "layout": layout}))
    data = SegmentationDataModule(DataConfig(card=str(path)))
    (sample,) = [s for split in ("train", "val") for s in data.samples(split) if s.name == "v0"]
    np.testing.assert_array_equal(data.read_truth(sample), expected)


def test_each_class_gets_its_threshold_and_all_that_follows_uses_it(eyes, capsys):
    card, run = eyes
    common = ["val", "--checkpoint", str(run), "--trainer.accelerator=cpu", "--data.num_workers=0"]
    before = json.loads((run / "metrics_val.json").read_text())["mDice"]
    saved = (run / "model/preprocessing.json").read_bytes()
    try:
        assert main([*common, "--data.val_batch_size=1", "--tune-threshold", "--metrics", "medical"]) == 0
        out = capsys.readouterr().out
        found = json.loads((run / "thresholds.json").read_text())
        thresholds = [row["threshold"] for row in found["per_class"]]
        values = json.loads((run / "metrics_val.json").read_text())
        assert values["thresholds"] == thresholds and values["mDice"] >= before
        assert "Thresholds" in out and f"{thresholds[0]:g}" in out
        for row, tuned in zip(values["per_class"], found["per_class"], strict=True):
            assert row["Dice"] == pytest.approx(tuned["Dice"], abs=1e-4) and tuned["Dice"] >= tuned["Dice_at_0.5"]
        predictor = Predictor.from_checkpoint(run, device="cpu")
        image = np.array(Image.open(card.parent / "images/val/v0.png"))
        limits = np.array(thresholds, np.float32)[:, None, None]
        np.testing.assert_array_equal(predictor.predict(image), predictor.logits(image).sigmoid().numpy() > limits)
        # the cases of the field are decided by the same thresholds
        _, samples, logits = logits_of(run, card)
        rows = list(csv.DictReader((run / "metrics_val_medical.csv").open()))
        assert len(rows) == 15
        for row in rows:
            i, k = [s.name for s in samples].index(row["case"]), NAMES.index(row["structure"])
            probability = logits[i][k].sigmoid().numpy()
            truth = truth_of(card, row["case"])[k]
            expected = case_scores(probability > limits[k], truth, None, probability)
            assert float(row["dice"]) == pytest.approx(expected.dice, abs=1e-5)
            if np.isnan(expected.auc):
                assert row["auc"] == ""
            else:
                assert float(row["auc"]) == pytest.approx(expected.auc, abs=1e-5)
    finally:
        (run / "model/preprocessing.json").write_bytes(saved)


def test_runs_of_several_labels_are_compared(eyes, capsys):
    card, run = eyes
    assert main(["val", "--checkpoint", str(run), "--trainer.accelerator=cpu", "--data.num_workers=0"]) == 0
    capsys.readouterr()
    assert main(["compare", str(run), str(run), "--resamples", "200"]) == 0
    out = capsys.readouterr().out
    assert "blood vessel" in out and "mIoU +0.00 points" in out


def test_the_check_and_the_samples_know_several_labels(eyes, tmp_path, capsys):
    card, _ = eyes
    assert main(["check", "--data", str(card), "--html", str(tmp_path / "c.html")]) == 0
    assert "cup" in capsys.readouterr().out
    assert main(["samples", "--data", str(card), "--split", "val", "--count", "2", "-o", str(tmp_path / "s")]) == 0
    mask = np.array(Image.open(tmp_path / "s/masks/blood_vessel/v1.png"))
    np.testing.assert_array_equal(mask // 255, truth_of(card, "v1")[2])


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
    (block,) = [part for part in text.split("```yaml\n")[1:] if "multi_label" in part]
    (tmp_path / "eyes.yaml").write_text(block.split("```")[0])
    layers = discs(3, (32, 48), 2)
    write_png(tmp_path / "eyes/images/val/a.jpg", picture_of(layers, 1))
    write_png(tmp_path / "eyes/masks/val/a_disc.png", (255 * layers[0]).astype(np.uint8))
    data = SegmentationDataModule(DataConfig(card=str(tmp_path / "eyes.yaml")))
    (sample,) = data.samples("val")
    np.testing.assert_array_equal(data.read_truth(sample), [layers[0], np.zeros((32, 48))])


def test_one_class_alone_can_be_trained(tmp_path):
    """Yes or no for each pixel, by one sigmoid."""
    card = write_eyes(tmp_path / "eyes")
    content = yaml.safe_load(card.read_text())
    content["classes"] = content["classes"][:1]
    content["layout"]["class_suffixes"] = {"disc": "_d"}
    card.write_text(yaml.safe_dump(content))
    run = small_run(card, tmp_path, epochs=1, loss=LossConfig(mode="sigmoid"))
    assert json.loads((run / "metrics_val.json").read_text())["num_classes"] == 1
    assert Predictor.from_checkpoint(run, device="cpu").predict(np.zeros((32, 48, 3), np.uint8)).shape == (1, 32, 48)


def test_pictures_of_another_depth_are_normalised_by_the_pixels_of_any_class(tmp_path):
    card = write_eyes(tmp_path, image={"channels": 1, "normalize": "zscore"})
    values = []
    for path in sorted(tmp_path.glob("images/*/*.png")):
        grey = np.array(Image.open(path)).astype(np.uint16).sum(axis=2, dtype=np.uint16) * 50
        write_png(path, grey)
        if path.parent.name == "train":
            masks = [np.array(Image.open(p)) > 0 for p in tmp_path.glob(f"masks/train/{path.stem}_*.png")]
            assert len(masks) == 3
            values.append(grey[np.any(masks, axis=0)])
    assert main(["check", "--data", str(card), "--html", str(tmp_path / "check.html")]) == 0
    assert "mean and deviation (of any class)" in (tmp_path / "check.html").read_text()
    run = small_run(card, tmp_path, epochs=1, loss=LossConfig(mode="sigmoid"))
    preprocessing = load_bundle(run)[1]
    assert preprocessing.multi_label and preprocessing.channels == 1
    assert preprocessing.intensity.mean == pytest.approx([np.concatenate(values).mean()])
    assert preprocessing.intensity.std == pytest.approx([np.concatenate(values).std()])
    arguments = ["--checkpoint", str(run), "-i", str(tmp_path / "images/val"), "-o", str(tmp_path / "out")]
    assert main(["predict", *arguments, "--device=cpu", "--overlay=true"]) == 0
    assert np.array(Image.open(tmp_path / "out/cup/v0.png")).shape == (32, 48)
    assert np.array(Image.open(tmp_path / "out/overlay/v0.png")).shape == (32, 48, 3)


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


def test_a_model_of_several_labels_is_not_scored_on_single_ones(eyes, tmp_path, capsys):
    card, run = eyes
    single = write_eyes(tmp_path, multi_label=False)
    arguments = ["val", "--checkpoint", str(run), "--data.card", str(single), "--trainer.accelerator=cpu"]
    assert main(arguments) == 2
    assert "the model was trained with multi_label: true; the card 'eyes' has false" in capsys.readouterr().err


def test_metrics_of_one_class_per_pixel_are_refused(eyes, capsys):
    _, run = eyes
    assert main(["val", "--checkpoint", str(run), "--metrics", "segments", "--trainer.accelerator=cpu"]) == 2
    assert "--metrics segments: is for one class per pixel" in capsys.readouterr().err
