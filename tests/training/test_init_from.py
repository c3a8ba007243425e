"""A run that starts from weights learned elsewhere, from the command line."""

import re

import timm
import yaml
from safetensors.torch import save_file

from segnext_pafpn.cli import main
from tests.conftest import SMALL_RUN, error_of


def test_a_run_starts_from_weights_and_goes_on_without_their_file(dataset, tmp_path, capsys):
    file = tmp_path / "pico.safetensors"
    save_file(timm.create_model("convnext_pico", pretrained=False).state_dict(), file)
    source = f"timm:convnext_pico@{file}"
    arguments = ["--data", str(dataset / "card.yaml"), "--name", "run", "--output_dir", str(tmp_path), *SMALL_RUN]
    assert main(["train", *arguments, "--model.init_from", source, "--trainer.max_epochs", "1"]) == 0
    said = capsys.readouterr().out
    assert len(re.findall(rf"^init_from {re.escape(source)}: \d+ tensors with ", said, re.MULTILINE)) == 1
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["init_from"] == source
    file.unlink()
    assert main(["train", "--resume", str(tmp_path / "run"), "--trainer.max_epochs", "2"]) == 0
    assert "tensors" not in capsys.readouterr().out
    said = error_of(capsys, "train", *arguments, "--name", "other", "--model.init_from", source)
    assert said.splitlines()[-1].startswith(f"error: model.init_from: {file}: no such file.")
    assert not (tmp_path / "other").exists()
