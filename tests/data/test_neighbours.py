"""Slices whose neighbours come along as channels are measured, listed and shown as the one slice that they are."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

from segnext_pafpn.cli import main
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.check.table import statistics_rows
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.intensity import Intensity, viewable
from segnext_pafpn.training import pictures
from tests.data.scans import scans


def checked(root, neighbours, **image):
    """The card as readers fit it, and what the check finds in its train split."""
    card = load_card(str(scans(root, neighbours=neighbours)))
    card = replace(card, image=replace(card.image, **image))
    reader = build_reader(card)
    card = reader.fitted(card)
    return card, check_split(card, reader, "train", details=True)


@pytest.mark.parametrize("image", [{}, {"statistics": "all"}, {"window": ((-450.0,), (-50.0,))}])
def test_neighbours_have_the_numbers_of_the_slice_between_them(tmp_path, image):
    alone = asdict(checked(tmp_path, 0, **image)[1].statistics)
    card, report = checked(tmp_path, 2, **image)
    assert card.image.channels == 5
    assert asdict(report.statistics) == {name: values * 5 for name, values in alone.items()}


def test_the_table_has_one_channel_of_a_slice_and_says_that_its_neighbours_are_alike(tmp_path):
    card, report = checked(tmp_path, 1)
    names = [row[0] for row in statistics_rows(card, [report])]
    assert len(names) == 3 and all(name.startswith("channel 1 of each slice, its neighbours alike: ") for name in names)


def test_a_channel_that_is_constant_is_warned_of_once(tmp_path):
    _, report = checked(tmp_path, 1, window=((-9000.0,), (-8000.0,)))
    assert len(report.warnings) == 1 and "channel 1 of the images is -8000 in every pixel" in report.warnings[0]


def test_the_slice_between_its_neighbours_is_what_is_seen():
    image = np.random.default_rng(0).normal(size=(8, 9, 6)).astype(np.float32)
    assert np.array_equal(viewable(image, neighbours=1), viewable(image[..., 2:4]))
    limits = {"low": (-2.0,) * 2 + (-1.0,) * 2 + (-2.0,) * 2, "high": (2.0,) * 2 + (1.0,) * 2 + (2.0,) * 2}
    alone = Intensity(method="rescale", channels=2, low=(-1.0, -1.0), high=(1.0, 1.0))
    all_six = Intensity(method="rescale", channels=6, **limits)
    assert np.array_equal(viewable(image, all_six, neighbours=1), viewable(image[..., 2:4], alone))


def test_pictures_of_data_and_of_runs_show_the_slice_in_grey(tmp_path, monkeypatch):
    path = scans(tmp_path / "data", neighbours=1)
    seen = []
    monkeypatch.setattr("segnext_pafpn.page.picture", lambda pixels, width, photo: seen.append((pixels, photo)) or "")
    assert main(["check", "--data", str(path), "--html", str(tmp_path / "check.html")]) == 0
    photos = [pixels for pixels, photo in seen if photo]
    assert photos and all((pixels == pixels[..., :1]).all() for pixels in photos)

    data = SegmentationDataModule(DataConfig(card=str(path)))
    predictor = SimpleNamespace(
        predict=lambda image: np.zeros(image.shape[:2], np.uint8), preprocessing=SimpleNamespace(intensity=None)
    )
    rows = []
    monkeypatch.setattr(pictures.Predictor, "from_checkpoint", lambda *_, **__: predictor)
    monkeypatch.setattr(pictures, "picture_sheet", lambda drawn, *_: rows.extend(drawn))
    pictures.draw_sheet(tmp_path, data, "val", "cpu")
    assert len(rows) == 4 and all((row.image == row.image[..., :1]).all() for row in rows)
