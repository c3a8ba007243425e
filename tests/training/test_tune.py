"""val --tune-threshold: the best threshold on val, kept with the model, and never chosen on test."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from lightning.pytorch.strategies import SingleDeviceStrategy

from segnext_pafpn.cli import main
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models.bundle import load_bundle, load_preprocessing, save_preprocessing
from segnext_pafpn.models.describe import describe_masks
from tests.strict_html import read_page
from tests.training.field_runs import discs, logits_of, picture_of, write_png
from tests.training.small_runs import small_run


@pytest.fixture(scope="module")
def polyps(tmp_path_factory) -> tuple[Path, Path]:
    """A card of two classes with splits train, val and test, and a run over it."""
    root = tmp_path_factory.mktemp("polyps")
    for split, count in (("train", 6), ("val", 5), ("test", 3)):
        for i in range(count):
            layers = discs(100 * len(split) + ord(split[0]) + i, (32, 48), 1)
            write_png(root / f"images/{split}/{i}.png", picture_of(layers, i))
            mask = layers[0].astype(np.uint8)
            mask[:, :3] = 255
            write_png(root / f"masks/{split}/{i}.png", mask)
    card = root / "polyps.yaml"
    content = {"classes": [{"name": "none"}, {"name": "polyp"}], "root": ".", "layout": {"reader": "folder"}}
    card.write_text(yaml.safe_dump(content))
    return card, small_run(card, tmp_path_factory.mktemp("runs"), epochs=1)


def val(run: Path, *options: str) -> int:
    fast = ["--trainer.accelerator=cpu", "--data.num_workers=0", "--data.val_batch_size=1"]
    return main(["val", "--checkpoint", str(run), *fast, *options])


def dice_of(probabilities: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    said, true = (probabilities > np.float32(threshold)) & (truth != 255), truth == 1
    return 2 * (said & true).sum() / (said.sum() + true.sum())


def test_the_threshold_is_the_best_of_all_and_is_used_from_then_on(polyps, capsys):
    card, run = polyps
    data, samples, logits = logits_of(run, card)
    truth = np.stack([data.read_truth(sample) for sample in samples])
    probabilities = np.stack([each.softmax(0)[1].numpy() for each in logits])
    tried = {step / 1000: dice_of(probabilities, truth, step / 1000) for step in range(1, 1000)}
    assert val(run, "--tune-threshold") == 0
    assert "polyp" in capsys.readouterr().out
    preprocessing = load_bundle(run)[1]
    (threshold,) = preprocessing.thresholds
    assert tried[threshold] == max(tried.values()) > tried[0.5]
    assert preprocessing.thresholds_from == "split 'val' of card 'polyps'"
    (row,) = json.loads((run / "thresholds.json").read_text())["per_class"]
    assert row == {
        "name": "polyp",
        "threshold": threshold,
        "Dice_at_0.5": pytest.approx(100 * tried[0.5], abs=1e-3),
        "Dice": pytest.approx(100 * tried[threshold], abs=1e-3),
    }
    # the same command has scored with it
    values = json.loads((run / "metrics_val.json").read_text())
    assert values["per_class"][1]["Dice"] == row["Dice"] and values["thresholds"] == [threshold]
    # so does a later val, of another split,
    assert val(run, "--split", "test", "--report") == 0
    page = read_page(run / "metrics_test.html").text
    tune = f"segnext-pafpn val --checkpoint {run} --split val --tune-threshold"
    assert f"{tune}\nsegnext-pafpn val --checkpoint {run} --split test --report\n" in page
    assert val(run, "--report", "--tune-threshold") == 0
    page = read_page(run / "metrics_val.html").text
    assert f"Threshold of the probability: polyp {threshold:g}; tuned on split 'val' of card 'polyps'." in page
    assert "--split val --report --tune-threshold\n" in page
    data, samples, logits = logits_of(run, card, "test")
    expected = dice_of(
        np.stack([each.softmax(0)[1].numpy() for each in logits]),
        np.stack([data.read_truth(sample) for sample in samples]),
        threshold,
    )
    values = json.loads((run / "metrics_test.json").read_text())
    assert values["per_class"][1]["Dice"] == pytest.approx(100 * expected, abs=1e-3)
    # and what the model's own page says
    decides = describe_masks(preprocessing)
    assert f"{threshold:g}" in decides and decides in (run / "model/README.md").read_text()
    # and predict
    predictor = Predictor.from_checkpoint(run, device="cpu")
    image = data.reader.read_image(samples[0])
    decided = predictor.logits(image).softmax(0)[1].numpy() > np.float32(threshold)
    np.testing.assert_array_equal(predictor.predict(image), decided)
    assert (decided != (predictor.logits(image).argmax(0).numpy() == 1)).any()


@pytest.mark.parametrize(
    "options",
    [
        ["--split", "test"],
        ["--split", "train"],
        ["--data.val_split", "test"],
        ["--data.val_split=test", "--split=val"],
    ],
)
def test_nothing_is_tuned_on_another_split_than_val(polyps, capsys, options):
    _, run = polyps
    before = (run / "model/preprocessing.json").read_bytes()
    assert val(run, "--tune-threshold", *options) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "--tune-threshold: found split" in lines[0] and "never test" in lines[0]
    assert (run / "model/preprocessing.json").read_bytes() == before


def test_nothing_is_tuned_on_a_part_of_the_split(polyps, capsys):
    _, run = polyps
    before = (run / "model/preprocessing.json").read_bytes()
    assert val(run, "--tune-threshold", "--trainer.limit_val_batches=1") == 2
    assert "is for the whole split, found trainer.limit_val_batches: 1" in capsys.readouterr().err
    assert (run / "model/preprocessing.json").read_bytes() == before


def test_processes_wait_for_the_thresholds_before_they_score_with_them(polyps, monkeypatch):
    """One process stands for several here: that it comes to a barrier, and with the thresholds written."""
    _, run = polyps
    save_preprocessing(replace(load_preprocessing(run), thresholds=None), run / "model")
    there = {}

    def barrier(self: SingleDeviceStrategy, name: str | None = None) -> None:
        there[name] = load_preprocessing(run).thresholds is not None

    monkeypatch.setattr(SingleDeviceStrategy, "barrier", barrier)
    assert val(run, "--tune-threshold") == 0
    assert there["thresholds are written"]


def test_a_run_with_nothing_left_to_train_keeps_its_thresholds(polyps):
    _, run = polyps
    assert val(run, "--tune-threshold") == 0
    before = {name: (run / name).read_bytes() for name in ("model/preprocessing.json", "thresholds.json")}
    scored = json.loads((run / "metrics_val.json").read_text())
    assert main(["train", "--resume", str(run)]) == 0
    assert {name: (run / name).read_bytes() for name in before} == before
    again = json.loads((run / "metrics_val.json").read_text())
    assert again["thresholds"] == scored["thresholds"] and again["per_class"] == scored["per_class"]


def test_scores_of_other_thresholds_are_removed(polyps, capsys):
    _, run = polyps
    for words in (["--split", "test"], ["--tune-threshold"]):
        save_preprocessing(replace(load_preprocessing(run), thresholds=(0.123,)), run / "model")
        assert val(run, *words) == 0
    assert not (run / "metrics_test.json").exists()
    said = capsys.readouterr().out.replace("\n", " ")
    assert "removed, as they were of the thresholds before: metrics_test.csv, metrics_test.json" in said
    assert val(run, "--split", "test") == val(run, "--tune-threshold") == 0 and (run / "metrics_test.json").is_file()


def test_a_metric_that_cannot_be_given_stops_the_tuning_too(polyps, capsys):
    _, run = polyps
    before = (run / "model/preprocessing.json").read_bytes()
    assert val(run, "--tune-threshold", "--metrics", "segments") == 2
    assert "does not say which class divides cells" in capsys.readouterr().err
    assert (run / "model/preprocessing.json").read_bytes() == before


def test_more_than_two_classes_have_no_threshold(tmp_path, capsys):
    for split in ("train", "val"):
        for i in range(2):
            layers = discs(i, (32, 48), 2)
            write_png(tmp_path / f"images/{split}/{i}.png", picture_of(layers, i))
            write_png(tmp_path / f"masks/{split}/{i}.png", layers.sum(axis=0).astype(np.uint8))
    card = tmp_path / "three.yaml"
    rows = [{"name": name} for name in ("a", "b", "c")]
    card.write_text(yaml.safe_dump({"classes": rows, "root": ".", "layout": {"reader": "folder"}}))
    run = small_run(card, tmp_path, epochs=1)
    capsys.readouterr()
    assert val(run, "--tune-threshold") == 2
    assert "is for two classes, or for multi_label: true, found the 3 classes" in capsys.readouterr().err
