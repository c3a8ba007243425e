"""Crops around rare classes, repeated pictures and caches, by the command line's own functions."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.cache import RamCache
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.measure import train_split
from segnext_pafpn.training.sampling import settle_sampling
from tests.conftest import SMALL_RUN
from tests.data.deep_images import write_deep
from tests.training.small_runs import small_config, two_steps

pytestmark = pytest.mark.usefixtures("one_thread")
RARE = ["--data.crop_focus.probability=0.5", "--data.crop_focus.classes=rare", "--data.repeat_threshold=1"]


def data_of(run: Path) -> dict:
    """The ``data`` of the run's resolved configuration."""
    return yaml.safe_load((run / "config.yaml").read_text())["data"]


def shares(dataset: Path) -> np.ndarray:
    masks = [np.asarray(Image.open(path)) for path in sorted((dataset / "masks/train").iterdir())]
    return np.array([np.bincount(mask.ravel(), minlength=8) for mask in masks])


@pytest.mark.parametrize("check", ["true", "false"])
def test_a_run_saves_the_weights_of_rare_classes_and_goes_on_with_them(dataset, tmp_path, check):
    data = data_of(two_steps(dataset / "card.yaml", tmp_path, *RARE, f"--data.check={check}"))
    counts = shares(dataset).sum(axis=0)
    assert counts.all()
    found = list(data["crop_focus"]["classes"].values())
    np.testing.assert_allclose(found, (1 / counts) / (1 / counts).sum(), rtol=1e-5)
    assert data["repeat_threshold"] == 1
    if check == "false":
        return
    assert main(["train", "--resume", str(tmp_path / "run"), "--trainer.max_epochs=2"]) == 0
    assert data_of(tmp_path / "run")["crop_focus"] == data["crop_focus"]


def test_factors_of_the_pictures_reach_the_sampler(dataset, tmp_path):
    Image.fromarray(np.full((48, 64), 2, np.uint8)).save(dataset / "masks/train/t3.png")  # holds one class alone
    config = small_config(dataset, tmp_path, epochs=1)
    config.data.repeat_threshold = 1.0
    data = SegmentationDataModule(config.data)
    settle_sampling(config, data, train_split(data))
    held = shares(dataset) > 0
    expected = np.where(held, held.mean(axis=0) ** -0.5, 1).max(axis=1)
    np.testing.assert_allclose(data.train_dataloader().sampler.factors, expected)
    assert expected[3] < expected.max()


@pytest.mark.parametrize("focus", ["[pole, car]", "{pole: 3, car: 0.5}"])
def test_two_steps_with_crops_around_classes(dataset, tmp_path, focus):
    options = ["--data.crop_focus.probability=1", f"--data.crop_focus.classes={focus}"]
    data = data_of(two_steps(dataset / "card.yaml", tmp_path, *options))
    assert data["crop_focus"] == {"probability": 1.0, "classes": yaml.safe_load(focus)}


def test_two_steps_from_images_that_are_not_8_bit_rgb(tmp_path):
    options = [*RARE, "--data.samples_per_epoch=4", "--data.cache=ram"]
    data = data_of(two_steps(write_deep(tmp_path, "npy5"), tmp_path, *options))
    assert set(data["crop_focus"]["classes"]) == {"tissue", "lesion"}


def test_two_steps_with_a_cache_in_memory(dataset, tmp_path, monkeypatch):
    filled = []
    fill = RamCache.fill
    monkeypatch.setattr(RamCache, "fill", lambda self, track: filled.append(len(self.samples)) or fill(self, track))
    two_steps(dataset / "card.yaml", tmp_path, "--data.cache=ram", "--data.num_workers=1")
    assert filled == [11]


def test_two_steps_with_a_cache_on_the_disk_and_a_score_from_it(dataset, tmp_path):
    folder = tmp_path / "cache"
    two_steps(dataset / "card.yaml", tmp_path, "--data.cache=disk", f"--data.cache_dir={folder}")
    assert len(list(folder.rglob("*.image.npy"))) == 4 + 5  # two batches of two, and all of val
    assert main(["val", "--checkpoint", str(tmp_path / "run"), "--trainer.accelerator=cpu"]) == 0


@pytest.mark.parametrize(
    "option, message",
    [
        ("crop_focus.probability=2", "data.crop_focus.probability: must be from 0 to 1, found 2.0"),
        ("crop_focus.probability=often", "data.crop_focus.probability: expected a number, found often"),
        ("crop_focus.classes=rar", "found 'rar'. Did you mean 'rare'?"),
        ("crop_focus.classes=[pol]", "'pol' is no class of the card. Did you mean 'pole'?"),
        ("crop_focus.classes={pole: -1}", "weights must be 0 or more"),
        ("repeat_threshold=0", "data.repeat_threshold: must be more than 0 and at most 1, found 0.0"),
        ("cache=rum", "data.cache: expected none, ram or disk, found rum. Did you mean 'ram'?"),
        ("cache=disk", "data.cache: disk needs data.cache_dir"),
    ],
)
def test_a_bad_value_gives_one_clear_line(dataset, tmp_path, capsys, option, message):
    arguments = ["train", "--data", str(dataset / "card.yaml"), "--output_dir", str(tmp_path), *SMALL_RUN]
    assert main([*arguments, f"--data.{option}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert not (tmp_path / "train").exists()


def test_none_of_it_is_on_unless_asked_for():
    data = TrainConfig().data
    assert (data.crop_focus.probability, data.repeat_threshold, data.cache) == (0, None, "none")
