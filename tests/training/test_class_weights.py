"""Class weights computed from the training split, end to end."""

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.run import fit
from tests.conftest import write_card
from tests.training.small_runs import small_config


def test_a_run_saves_the_class_weights_that_it_computed(dataset, tmp_path):
    trainer = TrainerConfig(accelerator="cpu", max_epochs=1, limit_train_batches=2)
    config = small_config(dataset, tmp_path, epochs=1, loss=LossConfig(class_weights="inverse"), trainer=trainer)
    fit(config)
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["loss"]["class_weights"]
    masks = [np.asarray(Image.open(path)) for path in sorted((dataset / "masks" / "train").glob("*.png"))]
    counts = np.bincount(np.stack(masks).ravel(), minlength=8)[:8]
    assert counts.all() and config.loss.class_weights == "inverse"
    np.testing.assert_allclose(saved, (1 / counts) / (1 / counts).mean(), rtol=1e-5)


def test_a_mask_that_cannot_be_counted_stops_the_run_before_it_writes_anything(dataset, tmp_path):
    write_card(dataset, classes=[{"name": "sky", "ids": [0]}, {"name": "building", "ids": [1]}])
    with pytest.raises(UserError, match="are not in the card"):
        fit(small_config(dataset, tmp_path, epochs=1, loss=LossConfig(class_weights="inverse")))
    assert not (tmp_path / "run").exists()
