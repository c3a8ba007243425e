"""Every network alike: declared channels and strides are true, any size works, gradients reach every parameter."""

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import segnext_pafpn
from segnext_pafpn import PAFPNeXt
from segnext_pafpn.layers import ConvNeXtBlock
from segnext_pafpn.models import ELANEXT_VARIANTS

ENCODERS = list(ELANEXT_VARIANTS)


@pytest.fixture(scope="module")
def small_model() -> PAFPNeXt:
    torch.manual_seed(0)
    return PAFPNeXt("elanext_nano", decoder_channels=16, head_channels=16, classes=3).eval()


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_encoder_keeps_what_it_declares(name, depth):
    encoder = smp.encoders.get_encoder(name, in_channels=4, depth=depth, weights=None).eval()
    features = encoder(torch.randn(1, 4, 64, 96))
    assert [f.shape[1] for f in features] == list(encoder.out_channels)
    assert [(f.shape[2], f.shape[3]) for f in features] == [(64 >> i, 96 >> i) for i in range(depth + 1)]
    assert len(features) == depth + 1


@pytest.mark.parametrize("output_stride", [8, 16])
def test_encoder_keeps_resolution_at_a_smaller_output_stride(output_stride):
    encoder = smp.encoders.get_encoder("elanext_nano", weights=None, output_stride=output_stride).eval()
    deepest = encoder(torch.randn(1, 3, 64, 96))[-1]
    assert deepest.shape[-2:] == (64 // output_stride, 96 // output_stride)


def test_encoder_refuses_other_depths():
    with pytest.raises(ValueError, match="3, 4 or 5"):
        smp.encoders.get_encoder("elanext_nano", depth=6, weights=None)


@pytest.mark.parametrize("name", ENCODERS)
def test_timm_gives_features_and_classes(name):
    features = timm.create_model(name, features_only=True)
    outputs = features(torch.randn(1, 3, 64, 64))
    assert [f.shape[1] for f in outputs] == features.feature_info.channels()
    assert [64 // f.shape[2] for f in outputs] == features.feature_info.reduction() == [2, 4, 8, 16, 32]
    classifier = timm.create_model(name, num_classes=7)
    assert classifier(torch.randn(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize("encoder", ["elanext_tiny", "tu-elanext_tiny"])
def test_smp_decoders_take_the_encoder(encoder):
    model = smp.Unet(encoder, encoder_weights=None, classes=2)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 2, 64, 64)
    dilated = smp.DeepLabV3Plus("elanext_nano", encoder_weights=None, classes=2)
    assert dilated(torch.randn(2, 3, 64, 64)).shape == (2, 2, 64, 64)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "mit_b0", "tu-convnext_atto"])
def test_pafpnext_takes_encoders_of_smp_and_timm(encoder):
    model = smp.create_model("pafpnext", encoder, encoder_weights=None, classes=11)
    assert isinstance(model, PAFPNeXt)
    assert model(torch.randn(2, 3, 70, 64)).shape == (2, 11, 70, 64)


def test_missing_pretrained_weights_are_explained():
    with pytest.raises(ValueError, match="'elanext_tiny' has no pretrained weights yet. Pass encoder_weights=None"):
        smp.Unet("elanext_tiny")


@settings(max_examples=25, deadline=None)
@given(height=st.integers(33, 300), width=st.integers(33, 300))
def test_logits_have_the_size_of_the_image(small_model, height, width):
    with torch.no_grad():
        assert small_model(torch.zeros(1, 3, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("side", [1, 2, 31, 32])
def test_tiny_images_work_too(small_model, side):
    with torch.no_grad():
        assert small_model(torch.zeros(1, 3, side, 3)).shape == (1, 3, side, 3)


def test_padding_leaves_a_divisible_image_alone(small_model):
    x = torch.randn(1, 3, 64, 96)
    assert small_model._pad(x).shape == x.shape


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_reach_every_parameter(name):
    model = PAFPNeXt(name, classes=5, auxiliary_heads=True)
    logits, auxiliary = model.forward_auxiliary(torch.randn(2, 3, 64, 64))
    assert [a.shape for a in auxiliary] == [logits.shape] * 3
    (logits.square().mean() + sum(a.square().mean() for a in auxiliary)).backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing
    zero = [n for n, p in model.named_parameters() if p.ndim > 1 and p.grad.abs().max() == 0]
    assert not zero


def test_fused_network_computes_the_same():
    torch.manual_seed(0)
    model = PAFPNeXt("elanext_nano", decoder_channels=32, classes=4)
    x = torch.randn(2, 3, 64, 96)
    for _ in range(3):
        model(x)  # so that BatchNorm has statistics of its own
    model.eval()
    with torch.no_grad():
        before = model(x)
        after = model.fuse()(x)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def test_fuse_is_refused_in_training_mode(small_model):
    with pytest.raises(RuntimeError, match="inference"):
        PAFPNeXt("elanext_nano").train().fuse()


def test_save_and_load_round_trip(tmp_path, small_model):
    small_model.save_pretrained(tmp_path)
    x = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        for load in (PAFPNeXt.from_pretrained, smp.from_pretrained):
            loaded = load(tmp_path).eval()
            assert isinstance(loaded, PAFPNeXt)
            assert torch.equal(loaded(x), small_model(x))


def test_freezing_the_encoder_leaves_the_decoder_learning():
    model = PAFPNeXt("elanext_nano", decoder_channels=16)
    model.freeze_encoder()
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert all(p.requires_grad for p in model.decoder.parameters())
    model.train()
    assert not any(m.training for m in model.encoder.modules() if isinstance(m, nn.BatchNorm2d))


def test_image_labels_come_beside_the_masks():
    model = PAFPNeXt("elanext_nano", classes=3, aux_params={"classes": 6})
    masks, labels = model(torch.randn(2, 3, 64, 64))
    assert masks.shape == (2, 3, 64, 64) and labels.shape == (2, 6)


def test_networks_learn_a_batch_by_heart():
    torch.manual_seed(0)
    model = PAFPNeXt("elanext_nano", decoder_channels=32, head_channels=32, head_dropout=0.0, classes=3)
    x = torch.randn(2, 3, 64, 64)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 1).long()
    y = torch.nn.functional.interpolate(y[:, None, ::8, ::8].float(), size=64).long()[:, 0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    first = None
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = first or loss.item()
    assert loss.item() < 0.5 * first


def test_version_is_told():
    assert segnext_pafpn.__version__.count(".") == 2


@pytest.mark.parametrize("arch", ["pafpnext", "segnext", "article"])
def test_the_activation_comes_after_the_logits_are_at_full_size(arch):
    torch.manual_seed(0)
    model = smp.create_model(
        arch,
        {"segnext": "mscan_tiny", "article": "article"}.get(arch, "elanext_nano"),
        encoder_weights=None,
        classes=4,
        activation="argmax2d",
    ).eval()
    x = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        labels = model(x)
        model.activation = torch.nn.Identity()
        assert torch.equal(labels, model(x).argmax(dim=1))


def test_the_pyramid_and_the_encoder_may_be_narrower_inside_their_blocks():
    model = PAFPNeXt("tu-elanext_nano", decoder_channels=16, head_channels=16, decoder_expansion=2, expansion=3)
    for part, expansion in ((model.encoder, 3), (model.decoder, 2)):
        blocks = [module for module in part.modules() if isinstance(module, ConvNeXtBlock)]
        assert len(blocks) > 5
        assert {block.pw1.out_channels / block.dw.out_channels for block in blocks} == {expansion}
