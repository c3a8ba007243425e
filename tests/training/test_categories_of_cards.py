"""Which shipped cards have categories, and what is said of those that have none."""

import numpy as np
import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.fields import Picture
from segnext_pafpn.training.fields import build_metrics
from tests.data.layouts import build
from tests.test_cli import make_camvid

OF_CAMVID = {
    "ceiling": ["Sky"],
    "fixed objects": ["Building", "Pole", "Pavement", "Tree", "SignSymbol", "Fence"],
    "road": ["Road"],
    "moving objects": ["Car", "Pedestrian", "Bicyclist"],
}


def metric_of(card, root):
    return build_metrics(["categories"], SegmentationDataModule(DataConfig(card=card, root=str(root))), "val")[0]


@pytest.mark.parametrize("name", ["camvid", "camvid-rgb"])
def test_both_camvid_cards_are_scored_by_their_owners_categories(tmp_path, name):
    rows = load_card(name).classes
    assert {c: [row.name for row in rows if row.category == c] for c in OF_CAMVID} == OF_CAMVID
    make_camvid(tmp_path) if name == "camvid" else build(name, tmp_path)
    metric = metric_of(name, tmp_path if name == "camvid" else tmp_path / name)
    truth = np.repeat(np.arange(11), 4).reshape(4, 11)
    prediction = truth.copy()
    prediction[truth == 8] = 9  # a car taken for a pedestrian: no error of categories
    prediction[truth == 0] = 1  # sky taken for a building
    metric.add(Picture(name="a", prediction=prediction, truth=truth))
    found = {row["name"]: row["IoU"] for row in metric.report().values["per_category"]}
    assert found == {
        "ceiling": 0,
        "fixed objects": pytest.approx(100 * 24 / 28, abs=1e-3),
        "road": 100,
        "moving objects": 100,
    }


def test_a_card_without_categories_is_told_in_one_line(tmp_path):
    build("ade20k", tmp_path)
    with pytest.raises(UserError) as caught:
        metric_of("ade20k", tmp_path / "ade20k")
    line = str(caught.value)
    assert line.startswith("--metrics categories: card 'ade20k' has no category for 150 of 150 classes ('wall' first).")
    assert line.endswith("ade20k.yaml, or leave this metric out.") and "\n" not in line
