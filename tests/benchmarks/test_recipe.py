"""Recipes beside each other: every one names settings that there are, and is trained by them."""

import pytest
import yaml

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.training.config import TrainConfig
from tests.benchmarks.conftest import small_config
from tests.conftest import write_dataset


def test_every_recipe_is_a_configuration_of_its_own():
    from recipe import RECIPES, with_settings

    base = TrainConfig(data=DataConfig(card="camvid"))
    recipes = [with_settings(base, settings) for settings in RECIPES.values()]
    assert recipes[0] == base
    assert all(a != b for i, a in enumerate(recipes) for b in recipes[:i])


def test_a_setting_that_is_not_there_is_refused():
    from recipe import with_settings

    with pytest.raises(AssertionError, match="OptimConfig has no setting rate"):
        with_settings(TrainConfig(), {"optim.rate": 1.0})


def test_a_recipe_is_trained_by_its_settings_once(run, tmp_path):
    card = write_dataset(tmp_path / "data")
    options = ["--config", small_config(tmp_path, card=str(card)), "--root", tmp_path / "data", "--epochs", 1]
    options += ["--precision", "32-true", "--network", "PAFPNeXt elanext_nano", "--runs", tmp_path / "runs"]
    first = run("recipe", *options, "--only", "as shipped")["rows"]
    rows = run("recipe", *options, "--only", "as shipped", "learning rate 0.002")["rows"]
    assert rows[0] == first[0] and [row["settings"] for row in rows] == [{}, {"optim.lr": 2e-3}]
    configs = [yaml.safe_load(path.read_text()) for path in sorted((tmp_path / "runs").glob("*/config.yaml"))]
    assert sorted(config["optim"]["lr"] for config in configs) == [1e-3, 2e-3]
