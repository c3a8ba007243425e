"""A run that starts from weights learned elsewhere, from the command line."""

import re

import timm
import yaml
from safetensors.torch import save_file

from tests.conftest import SMALL_RUN, run_cli


def test_a_run_starts_from_weights_and_goes_on_without_their_file(dataset, tmp_path):
    file = tmp_path / "pico.safetensors"
    save_file(timm.create_model("convnext_pico", pretrained=False).state_dict(), file)
    source = f"timm:convnext_pico@{file}"
    arguments = ["--data", dataset / "card.yaml", "--name", "run", "--output_dir", tmp_path, *SMALL_RUN]
    started = run_cli("train", *arguments, "--model.init_from", source, "--trainer.max_epochs", 1)
    assert started.returncode == 0, started.stderr
    assert len(re.findall(rf"^init_from {re.escape(source)}: \d+ tensors with ", started.stdout, re.MULTILINE)) == 1
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["init_from"] == source
    file.unlink()
    resumed = run_cli("train", "--resume", tmp_path / "run", "--trainer.max_epochs", 2)
    assert resumed.returncode == 0, resumed.stderr
    assert "tensors" not in resumed.stdout
    refused = run_cli("train", *arguments, "--name", "other", "--model.init_from", source)
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1].startswith(f"error: model.init_from: {file}: no such file.")
    assert not (tmp_path / "other").exists()
