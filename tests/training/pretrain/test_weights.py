"""The encoder of a run in timm and in a segmentor."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import load_file

from segnext_pafpn.cli import main
from segnext_pafpn.errors import UserError
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.pretrained import load_encoder, save_encoder
from tests.conftest import SMALL_RUN, error_of
from tests.training.pretrain.conftest import settings


def test_a_segmentor_starts_from_the_encoder(finished, dataset, tmp_path, capsys):
    code = main([
        "train", "--weights", str(finished), "--data", str(dataset / "card.yaml"), "--output_dir", str(tmp_path),
        *SMALL_RUN, "--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--data.check=false",
        "--optim.lr=1e-12", "--optim.weight_decay=0", "--optim.warmup_steps=0", "--optim.ema_decay=null",
    ])  # fmt: skip
    assert code == 0
    stored = load_file(finished / "encoder.safetensors")
    encoder = load_bundle(tmp_path / "train")[0].encoder
    assert (
        f"the encoder's {len(stored) - 2} tensors taken from {finished}/encoder.safetensors" in capsys.readouterr().out
    )
    for name, parameter in encoder.named_parameters():
        assert torch.allclose(parameter, stored[name], atol=1e-6), name


@pytest.mark.parametrize(("name", "encoder"), [("elanext_nano", "tu-elanext_nano"), ("resnet18", "resnet18")])
def test_encoders_that_smp_wraps_or_names_otherwise_take_the_weights_too(tmp_path, name, encoder):
    torch.manual_seed(0)
    source = timm.create_model(name, num_classes=3)
    save_encoder(source, name, tmp_path / "encoder.safetensors")
    target = smp.Unet(encoder, encoder_weights=None).encoder.eval()
    count = load_encoder(target, tmp_path / "encoder.safetensors")
    assert count == len(target.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(target(x)[-1], source.eval().forward_features(x), atol=1e-5)


def test_another_encoder_is_refused_even_if_a_part_fits(tmp_path):
    save_encoder(timm.create_model("resnet18", num_classes=3), "resnet18", tmp_path / "encoder.safetensors")
    target = smp.Unet("resnet34", encoder_weights=None).encoder
    before = target.conv1.weight.clone()
    with pytest.raises(UserError, match=r"of the encoder's 216 tensors are not in it.*holds resnet18.*tu-resnet18"):
        load_encoder(target, tmp_path / "encoder.safetensors")
    assert torch.equal(before, target.conv1.weight)


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_weights_that_cannot_be_taken_get_one_line(capsys, images, dataset, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    fixed = {
        "train": ["--data", dataset / "card.yaml", "--data.check=false", *SMALL_RUN],
        "pretrain": settings(images, tmp_path),
    }[command]
    Path("empty").mkdir()
    text = error_of(capsys, command, *fixed, "--weights", "nowhere")
    assert "weights: nowhere: no such file or folder. Give the folder of a finished run" in text
    Path("nowhere2").mkdir()
    assert "weights: nowhere: no such file or folder. Did you mean 'nowhere2'?" in error_of(
        capsys, command, *fixed, "--weights", "nowhere"
    )
    assert "weights: empty: holds n" in error_of(capsys, command, *fixed, "--weights", "empty")
    Path("broken").mkdir()
    Path("broken/encoder.safetensors").write_bytes(b"\0" * 100)
    assert "broken/encoder.safetensors: cannot be read" in error_of(capsys, command, *fixed, "--weights", "broken")
    save_encoder(timm.create_model("elanext_tiny", num_classes=3), "elanext_tiny", Path("tiny/encoder.safetensors"))
    line = error_of(capsys, command, *fixed, "--weights", "tiny/encoder.safetensors")
    assert "It holds elanext_tiny: set model.encoder_name to elanext_tiny" in line
    assert not (tmp_path / "run").exists() and not (tmp_path / "runs").exists()


def test_a_classifier_of_other_classes_starts_from_the_encoder_alone(finished, tmp_path):
    target = timm.create_model("elanext_nano", num_classes=5)
    head = target.head.fc.weight.clone()
    load_encoder(target, finished / "encoder.safetensors", may_differ="head.fc")
    assert torch.equal(target.head.fc.weight, head)
    assert torch.equal(target.stem.conv.weight, load_file(finished / "encoder.safetensors")["stem.conv.weight"])
    with pytest.raises(UserError, match=r"head\.fc\.weight"):
        load_encoder(target, finished / "encoder.safetensors")
