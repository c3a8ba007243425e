"""check, train, val and predict on images that are not 8-bit RGB, by the command line's own functions."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import load_bundle, save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.evaluate import evaluate
from tests.conftest import SMALL_RUN
from tests.data.deep_images import KINDS, write_deep
from tests.training.small_runs import two_steps

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = ["--data.samples_per_epoch=4"]


@pytest.fixture(scope="module", params=[*KINDS, "files"])
def finished(request, tmp_path_factory) -> tuple[str, Path, Path]:
    """The kind of images, their card, and a run of two steps on them."""
    root = tmp_path_factory.mktemp(request.param)
    card = write_deep(root, request.param)
    return request.param, card, two_steps(card, root, *FEW)


def test_two_steps_are_trained_from_every_kind_of_file(finished):
    kind, card, run = finished
    model, preprocessing = load_bundle(run)
    assert preprocessing.channels == load_card(str(card)).image.channels == model.encoder.stem.conv.in_channels
    assert preprocessing.mean == preprocessing.std == ()
    assert (run / "predictions.png").is_file() and (run / "metrics_val.html").is_file()


def test_what_the_run_records_is_what_the_bundle_holds(finished):
    kind, card, run = finished
    recorded = yaml.safe_load((run / "config.yaml").read_text())["data"]["intensity"]
    intensity = json.loads((run / "model/preprocessing.json").read_text())["intensity"]
    assert recorded == intensity
    assert recorded["method"] == load_card(str(card)).image.normalize
    assert (recorded["mean"] is None) == (kind == "npy5")  # measured on each image by itself
    text = (run / "model/README.md").read_text()
    assert f"{recorded['channels']} channel(s)" in text and (kind == "npy5" or f"{tuple(recorded['mean'])}" in text)


def test_val_scores_with_the_recorded_numbers(finished, tmp_path):
    """The card's data change, the numbers do not: a val of the same pictures gives the same score."""
    kind, card, run = finished
    first = json.loads((run / "metrics_val.json").read_text())
    kept = card.read_text()
    if kind in ("png16", "rgb16"):
        for path in (card.parent / "images/train").iterdir():
            path.rename(path.with_suffix(".hidden"))
    try:
        assert main(["val", "--checkpoint", str(run), "--trainer.accelerator=cpu", "--data.num_workers=0"]) == 0
    finally:
        for path in (card.parent / "images/train").glob("*.hidden"):
            path.rename(path.with_suffix(".png"))
    assert card.read_text() == kept
    second = json.loads((run / "metrics_val.json").read_text())
    assert second["mIoU"] == pytest.approx(first["mIoU"], abs=1e-6)


def test_predict_writes_masks_and_overlays_for_every_kind(finished, tmp_path):
    kind, card, run = finished
    folder = card.parent / "images/val"
    names = "[" + ", ".join(f"'{folder}/{{name}}_t{c}.tif'" for c in range(2)) + "]"
    arguments = ["predict", "--checkpoint", str(run), "-i", names if kind == "files" else str(folder)]
    assert main([*arguments, "-o", str(tmp_path), "--overlay=true", "--device=cpu"]) == 0
    reader = build_reader(load_card(str(card)))
    predictor = Predictor.from_checkpoint(run, device="cpu")
    for sample in reader.list_samples("val").samples:
        written = np.asarray(Image.open(tmp_path / f"{sample.name}.png"))
        np.testing.assert_array_equal(written, predictor.predict(reader.read_image(sample)))
        assert np.asarray(Image.open(tmp_path / "overlay" / f"{sample.name}.png")).std() > 0


def test_check_shows_the_numbers_that_training_takes(finished, tmp_path, capsys):
    kind, card, run = finished
    report = tmp_path / "report.json"
    assert main(["check", "--data", str(card), "--json", str(report), "--html", str(tmp_path / "page.html")]) == 0
    assert "channel 1: lowest to highest" in capsys.readouterr().out
    statistics = json.loads(report.read_text())["splits"][0]["image_statistics"]
    recorded = yaml.safe_load((run / "config.yaml").read_text())["data"]["intensity"]
    if kind in ("rgb16", "files"):
        assert recorded["mean"] == statistics["mean"] and recorded["std"] == statistics["std"]
    if kind in ("png16", "tiff32"):
        assert recorded["low"] == statistics["percentile_low"] and recorded["high"] == statistics["percentile_high"]
    assert "channel 1: lowest to highest" in (tmp_path / "page.html").read_text()


def test_samples_are_the_files_themselves_which_the_model_takes(finished, tmp_path, capsys):
    kind, card, run = finished
    assert main(["samples", "--data", str(card), "-o", str(tmp_path)]) == 0
    originals = sorted((card.parent / "images/val").iterdir())
    copies = sorted((tmp_path / "images").iterdir())
    assert [path.read_bytes() for path in copies] == [path.read_bytes() for path in originals]
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["p0.png", "p1.png"]
    said = capsys.readouterr().out
    patterns = f"['{tmp_path}/images/{{name}}_0000.tif', '{tmp_path}/images/{{name}}_0001.tif']"
    assert (f'predict takes them as -i "{patterns}"' in said) == (kind == "files")
    source = patterns if kind == "files" else str(tmp_path / "images")
    output = ["-o", str(tmp_path / "out"), "--device=cpu"]
    assert main(["predict", "--checkpoint", str(run), "-i", source, *output]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p0.png", "p1.png"]


def test_a_resumed_run_keeps_its_numbers_when_the_data_change(tmp_path):
    card = write_deep(tmp_path, "files")
    run = two_steps(card, tmp_path, *FEW)
    before = yaml.safe_load((run / "config.yaml").read_text())["data"]["intensity"]
    write_deep(tmp_path, "files", train=2)  # p2 stays
    for path in (tmp_path / "images/train").glob("p2*"):
        path.unlink()
    (tmp_path / "masks/train/p2.png").unlink()
    assert main(["train", "--resume", str(run), "--trainer.max_epochs=2"]) == 0
    after = yaml.safe_load((run / "config.yaml").read_text())["data"]["intensity"]
    assert before == after
    assert load_bundle(run)[1].intensity.mean == tuple(before["mean"])


def test_a_model_of_8_bit_rgb_is_not_scored_on_other_images(tmp_path):
    card = write_deep(tmp_path, "rgb16")
    preprocessing = Preprocessing(class_names=("tissue", "lesion"), class_colors=((40, 40, 40), (220, 60, 60)))
    save_bundle(build_model(ModelConfig(encoder_name="elanext_nano"), 2), preprocessing, tmp_path / "model")
    with pytest.raises(UserError, match="trained on 8-bit RGB; card 'card' says image.normalize: zscore"):
        evaluate(str(tmp_path), DataConfig(card=str(card)), "val", TrainerConfig(accelerator="cpu"))


def test_a_train_split_without_foreground_cannot_be_measured(tmp_path, capsys):
    card = write_deep(tmp_path, "tiff32")
    for path in (tmp_path / "masks/train").iterdir():
        Image.fromarray(np.zeros((40, 56), np.uint8)).save(path)
    assert main(["train", "--data", str(card), "--output_dir", str(tmp_path), *SMALL_RUN]) == 2
    assert "no foreground to measure. Set image.statistics: all" in capsys.readouterr().err
