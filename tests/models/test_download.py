"""Pretrained weights that cannot be fetched are one line, and weights in a file need no network."""

import logging

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import load_bundle, save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import Preprocessing


def no_network(*_, **__):
    logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
    logging.getLogger("httpx").info("HTTP Request: HEAD")
    raise LocalEntryNotFoundError("An error happened while trying to locate the file on the Hub")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(smp.encoders, "hf_hub_download", no_network)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", no_network)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.INFO)  # as the command line has it
    yield
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
def test_without_network_one_line_says_what_to_do(offline, caplog, recwarn, name):
    before = logging.getLogger("huggingface_hub").level
    with pytest.raises(UserError, match="could not be fetched from the Hugging Face Hub. Train from scratch") as error:
        build_model(ModelConfig(arch="unet", encoder_name=name, encoder_weights="imagenet"), 2)
    assert "--model.encoder_weights null" in str(error.value) and "huggingface/hub" in str(error.value)
    assert ("{file: FILE.safetensors}" in str(error.value)) == name.startswith("tu-")
    assert not [record for record in caplog.records if record.name.startswith(("huggingface_hub", "httpx"))]
    assert not [warning for warning in recwarn if "timm universal" in str(warning.message)]
    assert logging.getLogger("huggingface_hub").level == before


def test_timms_weights_may_lie_in_a_file(offline, tmp_path):
    """As the line of the error says."""
    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=1000)
    save_file(network.state_dict(), tmp_path / "resnet10t.safetensors")
    overlay = {"pretrained_cfg_overlay": {"file": str(tmp_path / "resnet10t.safetensors")}}
    config = ModelConfig(encoder_name="tu-resnet10t", encoder_weights="imagenet", options=overlay)
    model = build_model(config, 2)
    torch.testing.assert_close(model.encoder.model.layer1[0].conv1.weight, network.layer1[0].conv1.weight)
    preprocessing = Preprocessing(class_names=("a", "b"), class_colors=((0, 0, 0), (9, 9, 9)))
    save_bundle(model, preprocessing, tmp_path / "model")
    (tmp_path / "resnet10t.safetensors").unlink()
    assert load_bundle(tmp_path / "model")[1] == preprocessing
