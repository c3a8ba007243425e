"""The slices of a single stack, divided into splits like pictures: ISBI 2012 as its owners give it out."""

import re
from pathlib import Path

import numpy as np
import pytest

from segnext_pafpn.cli import main
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.conftest import SMALL_RUN
from tests.data.test_volumes import scans
from tests.data.volumes import save_stack

README = (Path(__file__).parents[2] / "datasets/README.md").read_text()


@pytest.fixture
def stack(tmp_path):
    """The two stacks of 30 pictures and the card of datasets/README.md; each slice is marked by its number."""
    random = np.random.default_rng(0)
    volume = random.integers(50, 200, (30, 48, 48)).astype(np.uint8)
    volume[:, 0, 0] = np.arange(30)
    save_stack(tmp_path / "isbi2012/train-volume.tif", volume)
    save_stack(tmp_path / "isbi2012/train-labels.tif", np.where(volume > 90, 255, 0).astype(np.uint8))
    (text,) = re.findall(r"```yaml\n# isbi-stack.yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "isbi-stack.yaml").write_text(text)
    return tmp_path / "isbi-stack.yaml", volume


def test_each_fold_holds_out_other_slices_of_the_one_stack(stack):
    card, volume = stack
    held_out = []
    for fold in range(5):
        reader = build_reader(load_card(str(card)), layout={"fold": fold})
        train, val = (reader.list_samples(split).samples for split in ("train", "val"))
        assert (len(train), len(val)) == (24, 6) and not {s.name for s in train} & {s.name for s in val}
        held_out += [int(reader.read_image(sample)[0, 0, 0]) for sample in val]
        for sample in val:
            number = sample.slice
            assert np.array_equal(reader.read_image(sample)[..., 0], volume[number])
            assert np.array_equal(reader.read_mask(sample), np.where(volume[number] > 90, 255, 0))
    assert sorted(held_out) == list(range(30))


def test_the_stack_passes_the_check_and_two_steps_are_trained(stack, tmp_path):
    card, _ = stack
    loaded = load_card(str(card))
    assert check_split(loaded, build_reader(loaded), "train").problems == []
    steps = ["--data.crop_size=[32, 32]", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    arguments = ["train", "--data", str(card), "--output_dir", str(tmp_path), "--name", "run", *SMALL_RUN, *steps]
    assert main(arguments) == 0
    assert (tmp_path / "run/metrics_val.json").is_file()


def test_what_min_foreground_leaves_out_of_train_moves_no_slice_between_the_splits(tmp_path):
    card = scans(tmp_path, divide="slices", folds=3)
    parts = {}
    for least in (0, 1):
        reader = build_reader(load_card(str(card)), layout={"min_foreground": least})
        parts[least] = {s: {x.name for x in reader.list_samples(s).samples} for s in ("train", "val")}
    assert parts[0]["val"] == parts[1]["val"] and parts[1]["train"] < parts[0]["train"]
    assert len(parts[0]["train"] | parts[0]["val"]) == 4 * 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"divide": "slice"}, "layout.divide: 'slice' is not known. Did you mean 'slices'"),
        ({"divide": "slices", "folds": 0}, "layout.divide: slices are divided by folds, val_fraction or test_fraction"),
    ],
)
def test_divisions_that_cannot_be_are_refused(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        build_reader(load_card(str(scans(tmp_path, count=2))), layout=options)
