"""Cards on the data of their owners, where somebody has them: beside the checkout, or where SEGNEXT_PAFPN_DATA says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from tests.conftest import SMALL_RUN

DATA = Path(os.environ.get("SEGNEXT_PAFPN_DATA", Path(__file__).parents[2] / "shared/data"))
# the card's folder, and how many pictures its splits have at least
CARDS = {
    "camvid": ("camvid", {"train": 367, "val": 101, "test": 233}),
    "isbi2012": ("isbi2012", {"train": 24, "val": 6}),
    "isbi2012-folds": ("isbi2012", {"train": 24, "val": 6}),
    "ade20k": ("ade20k_sample", {"val": 3}),
}


def folder_of(name: str) -> Path:
    folder = DATA / CARDS[name][0]
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: the owners' data are not part of the project")
    return folder


@pytest.mark.parametrize("name", CARDS)
def test_the_owners_files_fit_their_card(name):
    card = load_card(name)
    reader = build_reader(card, str(folder_of(name)))
    for split, count in CARDS[name][1].items():
        report = check_split(card, reader, split)
        assert report.problems == [] and report.num_samples >= count
        labelled = report.pixels[:-1]
        assert (labelled > 0).all() if name != "ade20k" else (labelled > 0).sum() > 5


@pytest.mark.parametrize("name", CARDS)
def test_two_steps_are_trained_from_the_owners_files(name, tmp_path):
    split = "train" if "train" in CARDS[name][1] else "val"
    arguments = [
        "train", "--data", name, "--data.root", str(folder_of(name)), "--data.train_split", split, "--name", "run",
        *SMALL_RUN, "--data.val_batch_size=1", "--data.samples_per_epoch=4", "--trainer.max_epochs=1",
        "--trainer.limit_val_batches=1", "--data.check=false",
    ]  # fmt: skip
    code = f"from segnext_pafpn.cli import main; assert main({arguments!r}) == 0"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / "runs/run/metrics_val.json").is_file()
