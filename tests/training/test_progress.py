"""What a run says of itself while it goes on."""

import logging
import re
import sys

import pytest

from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.training import engine
from segnext_pafpn.training.config import OptimConfig, TrainerConfig
from segnext_pafpn.training.progress import ProgressLines
from segnext_pafpn.training.run import fit
from tests.training.small_runs import go_on, small_config

pytestmark = pytest.mark.usefixtures("one_thread")


def lines_of(caplog, monkeypatch, config, interval: float | None, resume: bool = False) -> list[str]:
    monkeypatch.setattr(engine, "ProgressLines", lambda folder, **_: ProgressLines(folder, interval))
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="segnext_pafpn.training.progress"):
        go_on(config) if resume else fit(config)
    return [record.message for record in caplog.records if record.name == "segnext_pafpn.training.progress"]


def test_a_silent_run_says_how_it_starts_and_how_far_it_is(dataset, tmp_path, caplog, monkeypatch):
    config = small_config(dataset, tmp_path, 2)
    first, *rest = lines_of(caplog, monkeypatch, config, interval=0)
    assert first.startswith(f"{tmp_path}/run: trains on 1 x CPU, precision 32-true, from 6 pictures; epoch 1 to 2, 3 ")
    found = [re.match(r"epoch +(\d)  step (\d)/6  loss \d", line).groups() for line in rest]
    assert found == [(str(1 + step // 3), str(1 + step)) for step in range(6)]
    (first,) = lines_of(caplog, monkeypatch, small_config(dataset, tmp_path, 3), interval=None, resume=True)
    assert "epoch 3 to 3, 3 steps each, 9 in all" in first


BARS = [((2, -1), {"Epoch 1/2", "Epoch 2/2"}), ((-1, 6), {"Epoch 1", "Epoch 2"})]


@pytest.mark.parametrize(("limits", "shown"), BARS)
def test_the_bar_counts_epochs_from_one(dataset, tmp_path, monkeypatch, capsys, limits, shown):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    trainer = TrainerConfig(accelerator="cpu", max_epochs=limits[0], max_steps=limits[1])
    fit(small_config(dataset, tmp_path, 2, trainer=trainer))
    assert set(re.findall(r"Epoch \d+(?:/-?\d+)?", capsys.readouterr().out)) == shown


def test_epochs_without_an_evaluation_have_their_line_too(dataset, tmp_path, caplog):
    trainer = TrainerConfig(accelerator="cpu", max_epochs=3, check_val_every_n_epoch=2)
    with caplog.at_level(logging.INFO, logger="segnext_pafpn.training.callbacks"):
        fit(small_config(dataset, tmp_path, 3, trainer=trainer))
    lines = [record.message for record in caplog.records if record.name == "segnext_pafpn.training.callbacks"]
    assert [re.match(r"epoch +(\d)  step (\d)/9  loss \d\.\d{3}  (val loss)?", line).groups() for line in lines] == [
        ("1", "3", None), ("2", "6", "val loss"), ("3", "9", None),
    ]  # fmt: skip


def test_a_warmup_that_is_shortened_is_told_when_training_starts(dataset, tmp_path, caplog):
    optim = OptimConfig(warmup_steps=50, ema_decay=None)
    with caplog.at_level(logging.INFO):
        with pytest.raises(UserError):
            fit(small_config(dataset, tmp_path, 4, optim=optim, model=ModelConfig(encoder_name="tu-swin_s3_tiny_224")))
        assert "warmup" not in caplog.text
        fit(small_config(dataset, tmp_path, 4, optim=optim))
    assert (
        "optim.warmup_steps: 50 is more than half of the run's 12 steps, so that it warms up for a tenth of them, 1."
        in caplog.text
    )
