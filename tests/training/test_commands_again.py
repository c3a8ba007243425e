"""The commands on a run's page, for every way in which a run is scored."""

from pathlib import Path

import pytest

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.training.commands_again import commands_again

RUN = Path("/runs/a b")
VAL = "segnext-pafpn val --checkpoint '/runs/a b'"


@pytest.fixture
def scored(monkeypatch):
    """The commands after and before those that train and predict, by how the run was scored."""

    def commands(split="val", own=True, tta="none", metrics=(), is_tuned=False):
        monkeypatch.setattr("segnext_pafpn.training.commands_again.is_runs_own", lambda folder, config: own)
        config = DataConfig(card="/data/card.yaml", root="/data/my root", layout={"fold": 1})
        first, *between, last = commands_again(RUN, config, split, tta=tta, metrics=metrics, is_tuned=is_tuned)
        assert first == "segnext-pafpn train --config '/runs/a b/config.yaml' --name 'a b-again'"
        option = "" if tta == "none" else f" --tta {tta}"
        assert last == f"segnext-pafpn predict --checkpoint '/runs/a b' -i IMAGES -o MASKS{option}"
        return between

    return commands


def test_a_run_is_scored_by_one_command(scored):
    assert scored() == [f"{VAL} --split val --report"]
    assert scored(tta="flip", metrics=("medical", "streets")) == [
        f"{VAL} --split val --report --metrics medical streets --tta flip"
    ]


def test_other_data_are_named(scored):
    data = " --data.card /data/card.yaml --data.layout '{fold: 1}' --data.root '/data/my root'"
    assert scored("test", own=False) == [f"{VAL}{data} --split test --report"]


def test_thresholds_are_tuned_on_the_validation_split_without_augmentation_first_if_need_be(scored):
    assert scored(is_tuned=True) == [f"{VAL} --split val --report --tune-threshold"]
    tuning = f"{VAL} --split val --tune-threshold"
    assert scored(is_tuned=True, tta="flip") == [tuning, f"{VAL} --split val --report --tta flip"]
    assert scored("test", is_tuned=True) == [tuning, f"{VAL} --split test --report"]
