"""Several labels per pixel, from training to scores, pages and predicted files."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.evaluation.medical import case_scores
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.training.config import OptimConfig
from segnext_pafpn.training.loss_config import LossConfig
from tests.strict_html import read_page
from tests.training.eyes import NAMES, truth_of, write_eyes
from tests.training.field_runs import logits_of, write_png
from tests.training.small_runs import small_run


@pytest.fixture(scope="module")
def eyes(tmp_path_factory) -> tuple[Path, Path]:
    card = write_eyes(tmp_path_factory.mktemp("eyes"))
    runs = tmp_path_factory.mktemp("runs")
    optim = OptimConfig(lr=3e-3, warmup_steps=1, ema_decay=None)
    loss = LossConfig(mode="sigmoid", boundary=0.01)
    return card, small_run(card, runs, epochs=12, loss=loss, optim=optim)


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
    layout |= {"masks": "out/{class}/{name}.png"}
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


def test_runs_of_several_labels_are_compared(eyes, capsys, tmp_path):
    card, run = eyes
    assert main(["val", "--checkpoint", str(run), "--trainer.accelerator=cpu", "--data.num_workers=0"]) == 0
    capsys.readouterr()
    again = shutil.copytree(run, tmp_path / "again")
    assert main(["compare", str(run), str(again), "--resamples", "200"]) == 0
    out = capsys.readouterr().out
    assert "blood vessel" in out and "mIoU +0.00 points" in out


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
