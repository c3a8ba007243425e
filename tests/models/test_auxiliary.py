"""Auxiliary heads (YOLOv7, arXiv 2207.02696, section 4.2): extra logits for training, nothing for inference."""

import pytest
import torch
from torch import nn

from segnext_pafpn import PAFPNeXt


@pytest.fixture
def model() -> PAFPNeXt:
    torch.manual_seed(0)
    return PAFPNeXt("elanext_nano", decoder_channels=16, head_channels=16, classes=3, auxiliary_heads=True)


def count_calls(model: PAFPNeXt) -> list[nn.Module]:
    calls = []
    for head in model.auxiliary_heads:
        head.register_forward_hook(lambda module, *_: calls.append(module))
    return calls


def test_training_gets_the_logits_of_n3_n4_and_n5_beside_the_networks(model):
    calls = count_calls(model)
    logits, auxiliary = model.train().forward_auxiliary(torch.randn(2, 3, 70, 64))
    assert logits.shape == (2, 3, 70, 64)
    assert [a.shape for a in auxiliary] == [logits.shape] * 3
    assert calls == list(model.auxiliary_heads)
    assert not any(torch.equal(a, logits) for a in auxiliary)


@torch.no_grad()
def test_prediction_never_meets_them(model):
    calls = count_calls(model.eval())
    x = torch.randn(2, 3, 64, 64)
    before = model(x)
    for head in model.auxiliary_heads:
        nn.init.constant_(head.weight, float("nan"))
    assert torch.equal(model(x), before)
    assert torch.equal(model.fuse()(x), model(x)) and model(x).isfinite().all()
    assert not calls


@torch.no_grad()
def test_they_leave_the_networks_own_logits_as_they_are(model):
    x = torch.randn(2, 3, 64, 64)
    plain = PAFPNeXt("elanext_nano", decoder_channels=16, head_channels=16, classes=3)
    missing = plain.load_state_dict(model.state_dict(), strict=False)
    assert {key.split(".")[0] for key in missing.unexpected_keys} == {"auxiliary_heads"} and not missing.missing_keys
    assert torch.equal(plain.eval()(x), model.eval()(x))
    assert torch.equal(model(x), model.forward_auxiliary(x)[0])


def test_without_them_there_is_nothing_to_ask_for():
    plain = PAFPNeXt("elanext_nano", decoder_channels=16, head_channels=16, classes=3)
    assert len(plain.auxiliary_heads) == 0
    assert not any(key.startswith("auxiliary") for key in plain.state_dict())
    with pytest.raises(RuntimeError, match=r"without auxiliary heads; build it with auxiliary_heads=True\."):
        plain.forward_auxiliary(torch.randn(1, 3, 64, 64))


def test_each_head_teaches_its_own_level(model):
    _, auxiliary = model.train().forward_auxiliary(torch.randn(2, 3, 64, 64))
    auxiliary[2].square().mean().backward()
    assert model.auxiliary_heads[2].weight.grad.abs().max() > 0
    assert model.auxiliary_heads[0].weight.grad is None
    assert model.encoder.stages[3][0][1].weight.grad.abs().max() > 0
    assert model.segmentation_head[0].weight.grad is None
