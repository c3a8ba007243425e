"""What a run leaves behind: a page, scores image by image, and a model even if it was killed."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from segnext_pafpn.cli import main
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.readers.files import read_rgb
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.per_image import load_images
from segnext_pafpn.files import write_atomic, write_folder_atomic
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.run import PredictConfig, predict_files
from segnext_pafpn.models.bundle import load_bundle, save_bundle
from segnext_pafpn.training.config import TrainConfig, TrainerConfig
from segnext_pafpn.training.evaluate import evaluate
from segnext_pafpn.training.run import fit
from tests.conftest import SMALL_RUN, error_of, write_dataset
from tests.strict_html import read_page
from tests.training.small_runs import small_config


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    """A data set, and two runs over it that differ in their seed."""
    root = tmp_path_factory.mktemp("data")
    write_dataset(root, val=10, large=6)
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("one", "two")):
        fit(small_config(root, folder, epochs=2, name=name, seed=seed))
    return root, folder


def test_the_images_of_a_run_add_up_to_its_confusion_matrix(runs):
    _, folder = runs
    images = load_images(folder / "one/metrics_val_images.npz")
    assert sorted(images.names) == sorted(f"v{i}" for i in range(10))
    rows = list(csv.reader((folder / "one/metrics_val_confusion.csv").open()))[1:]
    assert images.matrices.sum(axis=0).tolist() == [[int(v) for v in row[1:]] for row in rows]
    assert [int(m.sum()) for m in images.matrices] == [48 * 64] * 6 + [40 * 56] * 4


def test_the_list_of_images_begins_with_the_worst(runs):
    _, folder = runs
    rows = list(csv.DictReader((folder / "one/metrics_val_images.csv").open()))
    scores = [float(row["mIoU"]) for row in rows]
    assert len(rows) == 10 and scores == sorted(scores) and scores[0] < scores[-1]
    assert rows[0]["worst_class"] in load_images(folder / "one/metrics_val_images.npz").class_names


def test_training_leaves_a_page_with_four_worst_and_four_best_pictures(runs):
    _, folder = runs
    page = read_page(folder / "one/metrics_val.html")
    assert len(page.images) == 1 + 8 * 4  # the curves, and image, truth, prediction and errors of each
    assert {"Training", "Worst pictures", "Best pictures", "Lowest scores", "Configuration"} <= set(page.headings)
    score = json.loads((folder / "one/metrics_val.json").read_text())["mIoU"]
    for words in (f"{score:.2f}", "encoder_name: elanext_nano", "segnext-pafpn val --checkpoint", "torch"):
        assert words in page.text


def test_the_pictures_on_the_page_are_what_was_scored(runs, monkeypatch):
    """The predictions on the page, counted anew, are the matrices that chose them."""
    root, folder = runs
    from segnext_pafpn.training import report as module

    drawn = []
    monkeypatch.setattr(module, "write_run_page", lambda report, path: drawn.append(report))
    evaluate(str(folder / "one"), DataConfig(card=str(root / "card.yaml"), num_workers=0), "val",
             TrainerConfig(accelerator="cpu"), report=True)  # fmt: skip
    report = drawn[0]
    images = report.images
    for row in (*report.worst, *report.best):
        matrix = np.zeros((8, 8), int)
        np.add.at(matrix, (row.truth.ravel(), row.prediction.ravel()), 1)
        found = images.matrices[images.names.index(row.name)]
        assert np.abs(matrix - found).sum() <= 4, row.name  # a tie may fall otherwise in a batch of another size
    miou = dict(zip(images.names, images.miou(), strict=True))
    assert [row.name for row in report.worst] == [images.names[i] for i in images.worst_first()[:4]]
    assert max(miou[row.name] for row in report.worst) <= min(miou[row.name] for row in report.best)


def test_val_writes_a_page_when_asked_and_not_otherwise(runs):
    _, folder = runs
    arguments = ["val", "--checkpoint", str(folder / "two"), "--trainer.accelerator=cpu", "--split=train"]
    assert main(arguments) == 0
    assert not (folder / "two/metrics_train.html").exists()
    assert len(load_images(folder / "two/metrics_train_images.npz").names) == 6
    assert main([*arguments, "--report"]) == 0
    read_page(folder / "two/metrics_train.html")


def test_scores_with_test_time_augmentation_are_those_of_predict_and_lie_beside_the_others(runs, tmp_path, capsys):
    root, folder = runs
    run = shutil.copytree(folder / "two", tmp_path / "run")
    network, preprocessing = load_bundle(run)
    torch.manual_seed(0)
    for parameter in network.parameters():  # large random weights, so that classes differ from pixel to pixel
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    save_bundle(network, preprocessing, run / "model")
    before = (run / "metrics_val.json").read_bytes()
    assert main(["val", "--checkpoint", str(run), "--trainer.accelerator=cpu", "--tta", "flip", "--report"]) == 0
    assert (run / "metrics_val.json").read_bytes() == before
    assert json.loads((run / "metrics_val_flip.json").read_text())["tta"] == "flip"
    page = (run / "metrics_val_flip.html").read_text()
    assert "With test-time augmentation: flip." in page
    assert page.count("--report --tta flip") == page.count("-o MASKS --tta flip") == 1
    images = load_images(run / "metrics_val_flip_images.npz")
    plain, flipped = (Predictor.from_checkpoint(run, device="cpu", tta=tta, fuse=False) for tta in ("none", "flip"))
    scored = images.matrices.sum(axis=1)
    pictures = [read_rgb(root / f"images/val/{name}.png") for name in images.names]
    found, other = (
        np.stack([np.bincount(one.predict(picture).ravel(), minlength=8) for picture in pictures])
        for one in (flipped, plain)
    )
    assert np.abs(found - scored).max() <= 2 < np.abs(other - scored).max()
    part = ["val", "--checkpoint", str(run), "--tta", "flip", "--trainer.limit_val_batches=1"]
    assert main([*part, "--trainer.accelerator=cpu"]) == 0 and (run / "metrics_val_flip_partial.json").is_file()
    shutil.copytree(run, tmp_path / "again")
    assert main(["compare", str(run), str(tmp_path / "again"), "--tta", "flip", "--resamples", "100"]) == 0
    words = "metrics_val_flips_images.npz: no such file, expected the scores of every image. Write it with: "
    words += f"segnext-pafpn val --checkpoint {run} --split val --tta flips"
    assert words in error_of(capsys, "compare", run, tmp_path / "again", "--tta", "flips")


def test_a_mistyped_augmentation_is_told_before_thresholds_are_tuned(runs, capsys):
    _, folder = runs
    for tta, words in (("flop", "tta: 'flop' is not known"), ("flip", "--tta: thresholds are tuned for the network")):
        options = ["--tta", tta] + (["--tune-threshold"] if tta == "flip" else [])
        assert words in error_of(capsys, "val", "--checkpoint", folder / "one", *options)


def test_two_runs_are_compared(runs, capsys, tmp_path):
    _, folder = runs
    names = [str(folder / "one"), str(folder / "two")]
    assert main(["compare", *names, "--resamples", "300", "--json", str(tmp_path / "c.json")]) == 0
    out = capsys.readouterr().out
    assert "building" in out and "95 % interval" in out and "paired bootstrap of 10 images" in out
    values = json.loads((tmp_path / "c.json").read_text())
    scores = [json.loads((folder / name / "metrics_val.json").read_text())["mIoU"] for name in ("one", "two")]
    assert values["mIoU"] == pytest.approx(scores, abs=1e-3)
    low, high = values["interval_95"]
    assert low <= values["difference"] <= high


@pytest.mark.parametrize(
    ("second", "options", "words"),
    [
        ("nowhere", [], "nowhere: no such folder"),
        ("two", ["--split", "test"], "one/metrics_test_images.npz: no such file"),
        ("two", ["--resamples", "7"], "--resamples: must be at least 100, found 7."),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(runs, capsys, second, options, words):
    _, folder = runs
    assert main(["compare", str(folder / "one"), str(folder / second), *options]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and words in lines[0]


def test_a_run_on_other_pictures_is_not_compared(runs, capsys):
    root, folder = runs
    copy = folder / "three"
    copy.mkdir()
    images = load_images(folder / "one/metrics_val_images.npz")
    from segnext_pafpn.evaluation.per_image import ImageMatrices, save_images

    fewer = ImageMatrices(images.names[1:], images.matrices[1:], images.class_names, "val")
    save_images(fewer, copy / "metrics_val_images.npz")
    assert main(["compare", str(folder / "one"), str(copy)]) == 2
    assert "scored on 10 images, the second on 9" in capsys.readouterr().err


def test_a_run_that_is_killed_leaves_a_model_that_predicts(dataset, tmp_path):
    command = [
        sys.executable, "-m", "segnext_pafpn.cli", "train", "--data", str(dataset / "card.yaml"),
        "--output_dir", str(tmp_path), "--name", "killed", *SMALL_RUN, "--trainer.max_epochs=5000",
        "--data.check=false",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as run:
        for line in run.stdout:
            if line.startswith("epoch   2"):  # the first evaluation is over, and what follows it
                break
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    folder = tmp_path / "killed"
    assert not (folder / "metrics_val.json").exists()
    config = PredictConfig(checkpoint=str(folder), input=str(dataset / "images/val"), output=str(tmp_path / "out"))
    report = predict_files(config)
    assert len(report.written) == 5 and report.failed == []

    saved = load_bundle(folder)[0].state_dict()
    best = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    assert "best so far" in (folder / "model/README.md").read_text()
    if best["epoch"] == 0:  # else it was killed between the checkpoint and the model
        assert all(torch.equal(value, best["state_dict"][f"model.{key}"]) for key, value in saved.items())


def test_the_model_is_written_when_the_score_improves_and_only_then(dataset, tmp_path, monkeypatch):
    from segnext_pafpn.training import callbacks

    written = []
    original = callbacks.save_bundle
    monkeypatch.setattr(
        callbacks,
        "save_bundle",
        lambda network, preprocessing, folder, metrics: (
            written.append(metrics["best so far"]),
            original(network, preprocessing, folder, metrics),
        ),
    )
    config: TrainConfig = small_config(dataset, tmp_path, epochs=3)
    fit(config)
    rows = [float(r["val/mIoU"]) for r in csv.DictReader((tmp_path / "run/metrics.csv").open()) if r["val/mIoU"]]
    records = [v for i, v in enumerate(rows) if v > max(rows[:i], default=-1)]
    assert written == [f"mIoU {100 * value:.2f} %" for value in records]


def test_a_folder_is_never_seen_half_written(tmp_path):
    target = tmp_path / "model"
    with write_folder_atomic(target) as folder:
        (folder / "a").write_text("old")
        assert not target.exists()
    with pytest.raises(UserError, match="the disk is full"), write_folder_atomic(target) as folder:
        (folder / "a").write_text("ne")
        raise OSError("the disk is full")
    assert (target / "a").read_text() == "old"
    with write_folder_atomic(target) as folder:
        (folder / "a").write_text("new")
    assert (target / "a").read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o755 and (target / "a").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(("umask", "folder_mode"), [(0o077, 0o700), (0o022, 0o755), (0o002, 0o775)])
def test_who_may_read_what_is_written_is_said_by_the_umask(tmp_path, umask, folder_mode):
    before = os.umask(umask)
    try:
        with write_folder_atomic(tmp_path / "model") as temporary:
            (temporary / "a").write_text("1")
            save_file({"a": torch.zeros(3)}, temporary / "model.safetensors")  # has a mode of its own
        with write_atomic(tmp_path / "encoder.safetensors") as temporary:
            save_file({"a": torch.zeros(3)}, temporary)
    finally:
        os.umask(before)
    paths = ("model", "model/a", "model/model.safetensors", "encoder.safetensors")
    modes = [(tmp_path / path).stat().st_mode & 0o777 for path in paths]
    assert modes == [folder_mode, *[folder_mode & 0o666] * 3]


def test_the_report_is_quick_enough_to_be_written_after_every_training(runs):
    root, folder = runs
    from segnext_pafpn.training import report as module

    seconds = []
    original = module.write_run_page

    def timed(report, path):
        start = time.perf_counter()
        original(report, path)
        seconds.append(time.perf_counter() - start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_run_page", timed)
        data = DataConfig(card=str(root / "card.yaml"), num_workers=0)
        evaluate(str(folder / "one"), data, "val", TrainerConfig(accelerator="cpu"), report=True)
    assert 0 < seconds[0] < 5
