"""Every decoder of smp takes our encoder, and our decoder the encoders of smp's and timm's families."""

import pytest
import segmentation_models_pytorch as smp
import torch

from segnext_pafpn import PAFPNeXt

DECODERS = {name: cls for name, cls in smp.MODEL_ARCHITECTURES_MAPPING.items() if "segnext_pafpn" not in cls.__module__}
WITHOUT_DPT = [name for name in DECODERS if name != "dpt"]

# One small member of each family; options where its constructor needs them for an image of 96x128, to which 65x97 is
# padded.
ENCODERS: dict[str, dict] = {
    "resnet18": {},
    "resnext50_32x4d": {},
    "se_resnext50_32x4d": {},
    "densenet121": {},
    "vgg11_bn": {},
    "efficientnet-b0": {},
    "timm-tf_efficientnet_lite0": {},
    "mobilenet_v2": {},
    "mobileone_s0": {},
    "mit_b0": {},
    "xception": {},
    "inceptionv4": {},
    "dpn68": {},
    "timm-skresnet18": {},
    "tu-elanext_nano": {},
    "tu-mobilenetv3_small_050": {},
    "tu-tf_efficientnetv2_b0": {},
    "tu-convnext_atto": {},
    "tu-swin_s3_tiny_224": {"img_size": (96, 128), "window_size": 4},
    "tu-regnetx_002": {},
    "tu-ghostnet_050": {},
    "tu-hrnet_w18_small": {},
    "tu-edgenext_xx_small": {},
    "tu-pvt_v2_b0": {},
    "tu-res2net50_48w_2s": {},
    "tu-mobilevit_xxs": {},
    "tu-fastvit_t8": {},
    "tu-poolformer_s12": {},
    "tu-vgg11": {},
    "tu-cspresnet50": {},
    "tu-dla34": {},
    "tu-nfnet_l0": {},
}


def without_gradient(module: torch.nn.Module) -> list[str]:
    """Parameters that the loss does not depend on, or whose gradient is not a number."""
    return [n for n, p in module.named_parameters() if p.grad is None or not p.grad.isfinite().all()]


@pytest.mark.parametrize("encoder_name", ["elanext_nano", "mscan_tiny"])
@pytest.mark.parametrize("decoder", WITHOUT_DPT)
def test_smps_decoders_learn_with_our_encoders(decoder, encoder_name):
    torch.manual_seed(0)
    model = smp.create_model(decoder, encoder_name, encoder_weights=None, classes=3)
    height, width = (128, 128) if decoder == "pan" else (64, 96)  # PAN halves the features of stride 16 three times
    logits = model(torch.randn(2, 3, height, width))
    assert logits.shape == (2, 3, height, width)
    assert logits.isfinite().all()
    logits.square().mean().backward()
    assert not without_gradient(model.encoder)
    largest = {n: p.grad.abs().max().item() for n, p in model.encoder.named_parameters() if p.ndim > 1}
    assert min(largest.values()) > 0, min(largest, key=largest.get)


def test_dpt_takes_our_encoder_as_timm_gives_it_and_no_other():
    """smp's DPT reads four levels through timm's ``forward_intermediates``, made for vision transformers."""
    with pytest.raises(ValueError, match="must start with 'tu-'"):
        smp.DPT("elanext_nano", encoder_weights=None)
    model = smp.DPT("tu-elanext_nano", encoder_weights=None, classes=3, decoder_readout="ignore")
    logits = model(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 3, 64, 96)
    logits.square().mean().backward()
    assert set(without_gradient(model.encoder)) == {"model.head.fc.weight", "model.head.fc.bias"}  # DPT leaves it


@pytest.mark.parametrize("name", ENCODERS)
def test_our_decoder_learns_with_every_family_of_encoders_at_odd_sizes(name):
    torch.manual_seed(0)
    small = dict(decoder_channels=16, head_channels=16)
    model = PAFPNeXt(name, classes=3, **small, **ENCODERS[name])
    logits = model(torch.randn(2, 3, 65, 97))
    assert logits.shape == (2, 3, 65, 97)
    assert logits.isfinite().all()
    logits.square().mean().backward()
    assert not without_gradient(model.decoder)
    trained = [p for p in model.encoder.parameters() if p.grad is not None]
    assert all(p.grad.isfinite().all() for p in trained)
    # layers behind the last feature (classifiers, late convolutions) stay in some of smp's and timm's encoders
    assert sum(p.numel() for p in trained) > 0.75 * sum(p.numel() for p in model.encoder.parameters())


@pytest.mark.parametrize("name", ["tu-convnext_atto", "mit_b0", "tu-pvt_v2_b0"])
def test_encoders_that_begin_at_stride_4_fill_the_pyramid_as_well(name):
    model = PAFPNeXt(name, classes=2, decoder_channels=16)
    assert model.decoder.levels == [2, 3, 4, 5]
