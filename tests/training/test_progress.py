"""What a run says of itself while it goes on."""

import logging
import re
import sys

import pytest

from segnext_pafpn.training import engine
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.progress import ProgressLines
from segnext_pafpn.training.run import fit
from tests.training.small_runs import small_config


def lines_of(caplog, monkeypatch, config, interval: float | None, resume: bool = False) -> list[str]:
    monkeypatch.setattr(engine, "ProgressLines", lambda folder, **_: ProgressLines(folder, interval))
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="segnext_pafpn.training.progress"):
        fit(config, resume=resume)
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
