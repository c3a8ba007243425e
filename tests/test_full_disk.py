"""A disk that is full, or may not be written, is one line that names the file, and nothing is left half written."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import segmentation_models_pytorch as smp
import torch

from segnext_pafpn import cli
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.export import export_model
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.models.pretrained import save_encoder
from segnext_pafpn.training.checkpoints import WholeCheckpoints
from tests.conftest import SMALL_RUN, error_of, write_image_folder
from tests.training.pretrain.conftest import settings
from tests.training.small_runs import two_steps

pytestmark = pytest.mark.usefixtures("one_thread")
FULL = "cannot be written (File too large). Free some space, or name another place for the output."


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, which the system refuses as it refuses what the disk has no room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_is_whole_or_not_there(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    writer = WholeCheckpoints()
    writer.save_checkpoint({"epoch": 1}, path)
    with no_file_above(10_000), pytest.raises(UserError, match=r"last\.ckpt: cannot be written"):
        writer.save_checkpoint({"weight": torch.zeros(10_000)}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1} and list(path.parent.iterdir()) == [path]


def test_a_run_that_fills_the_disk_goes_on_when_there_is_room(capsys, dataset, tmp_path):
    run = two_steps(dataset / "card.yaml", tmp_path)
    before = (run / "checkpoints/last.ckpt").read_bytes()
    with no_file_above(100_000):
        line = error_of(capsys, "train", "--resume", run, "--trainer.max_epochs=2")
    assert line in [f"error: {run}/checkpoints/{name}.ckpt: {FULL}" for name in ("best", "last")]
    assert (run / "checkpoints/last.ckpt").read_bytes() == before
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert cli.main(["train", "--resume", str(run), "--trainer.max_epochs=2"]) == 0


def test_a_pretraining_that_fills_the_disk_names_its_checkpoint(capsys, tmp_path):
    images = tmp_path / "images"
    write_image_folder(images)
    with no_file_above(100_000):
        line = error_of(capsys, "pretrain", *settings(images, tmp_path))
    assert line == f"error: {tmp_path}/run/checkpoints/best.ckpt: {FULL}"
    assert not any((tmp_path / "run/checkpoints").iterdir())


def test_safetensors_that_do_not_fit_are_named(tmp_path):
    model = build_model(ModelConfig(encoder_name="elanext_nano"), 2, 3)
    preprocessing = Preprocessing(class_names=("a", "b"), class_colors=((0, 0, 0), (1, 1, 1)))
    with no_file_above(100_000):
        with pytest.raises(UserError, match=r"model/model\.safetensors: cannot be written \(File too large\)\. Free"):
            save_bundle(model, preprocessing, tmp_path / "model")
        with pytest.raises(UserError, match=r"encoder\.safetensors: cannot be written \(File too large\)\. Free"):
            save_encoder(model.encoder, "elanext_nano", tmp_path / "encoder.safetensors")
    assert not any(tmp_path.iterdir())


def test_an_export_that_does_not_fit_is_named_for_what_it_is(tmp_path):
    model = smp.FPN("resnet18", encoder_weights=None, classes=2)
    preprocessing = Preprocessing(class_names=("a", "b"), class_colors=((0, 0, 0), (1, 1, 1)))
    save_bundle(model, preprocessing, tmp_path / "model")
    for name in ("network.ts", "network.pt2", "network.onnx"):
        refused = pytest.raises(UserError, match=rf"{name}: cannot be written \(File too large\)")
        with no_file_above(100_000), refused:
            export_model(tmp_path / "model", tmp_path / name, size=(64, 64))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_outputs_of_other_commands_are_named(capsys, dataset, tmp_path):
    card = ("--data", dataset / "card.yaml")
    with no_file_above(1000):
        for line, name in (
            (error_of(capsys, "samples", *card, "--split", "val", "-o", tmp_path / "out"), "out/images/v0.png"),
            (error_of(capsys, "check", *card, *SMALL_RUN, "--json", tmp_path / "a.json"), "a.json"),
            (error_of(capsys, "check", *card, *SMALL_RUN, "--html", tmp_path / "a.html"), "a.html"),
        ):
            assert line.startswith(f"error: {tmp_path / name}: cannot be written (") and "another place" in line
    assert not [*tmp_path.glob("*.json"), *tmp_path.glob("*.html"), *tmp_path.glob("out/*/*")]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b"), "a/b: cannot be written (No space left on device)."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "output: cannot be written (No space left on device)."),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: cannot be read or written (Permission"),
    ],
)
def test_what_the_system_refuses_is_one_line(capsys, monkeypatch, error, words):
    def refuse(argv):
        raise error

    monkeypatch.setattr(cli, "load_command", lambda name: refuse)
    assert error_of(capsys, "doctor").startswith(f"error: {words}")


def test_an_error_that_is_none_of_the_systems_is_shown_in_full(monkeypatch):
    def fail(argv):
        raise OSError("a mistake of ours")

    monkeypatch.setattr(cli, "load_command", lambda name: fail)
    with pytest.raises(OSError, match="of ours"):
        cli.main(["doctor"])
