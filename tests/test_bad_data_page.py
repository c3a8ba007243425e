"""docs/bad-data.md: every kind of bad data on the page has the tests that it names; and what a run loses by one."""

import re
import subprocess
import sys
from pathlib import Path

import torch

from tests.conftest import SMALL_RUN, run_cli

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/bad-data.md").read_text()


def test_every_kind_on_the_page_has_its_tests():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "`test_" in line]
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert len(rows) >= 40
    for row in rows:
        assert set(re.findall(r"`(test_\w+)`", row)) <= there, row


def test_a_file_that_breaks_during_a_run_is_named_and_nothing_is_lost(dataset, tmp_path):
    options = [
        "--data", str(dataset / "card.yaml"), "--output_dir", str(tmp_path), "--name", "run", *SMALL_RUN,
        "--trainer.max_epochs=1000", "--trainer.limit_val_batches=1", "--optim.ema_decay=null",
    ]  # fmt: skip
    broken = dataset / "images/train/t3.png"
    whole = broken.read_bytes()
    command = [sys.executable, "-m", "segnext_pafpn.cli", "train", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch   2"):
                break
        broken.write_bytes(whole[:200])
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.strip().splitlines()[-1].startswith(f"error: {broken}: cannot be decoded (")
    assert f"The run goes on with: segnext-pafpn train --resume {tmp_path}/run" in output
    assert (tmp_path / "run/model/model.safetensors").is_file()

    broken.write_bytes(whole)
    done = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=False)["epoch"] + 1
    resumed = run_cli("train", "--resume", tmp_path / "run", "--trainer.max_epochs", done + 1)
    assert done >= 2 and resumed.returncode == 0, resumed.stderr
    assert f"epoch {done + 1:3}" in resumed.stdout and "epoch   1 " not in resumed.stdout
