"""Run a script of benchmarks/ on little data."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """The scripts of the folder are modules."""
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def run(monkeypatch, tmp_path) -> Callable[..., dict]:
    """Run a script's ``main`` with arguments; returns what it filed."""
    monkeypatch.chdir(tmp_path)

    def call(script: str, *arguments: object) -> dict:
        out = tmp_path / f"{script}.json"
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments), "--out", str(out)])
        __import__(script).main()
        return json.loads(out.read_text())

    return call


def small_config(folder: Path, **data: object) -> Path:
    path = folder / "small.yaml"
    config = {
        "name": "small",
        "data": {"crop_size": [32, 48], "batch_size": 2, "num_workers": 0, **data},
        "optim": {"warmup_steps": 1, "ema_decay": None},
        "trainer": {"accelerator": "cpu", "max_epochs": 1},
    }
    path.write_text(yaml.safe_dump(config))
    return path
