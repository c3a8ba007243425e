"""MSCAN is the published encoder, and one that timm and smp can use."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import load_file

from segnext_pafpn.layers.convnext import DropPath
from segnext_pafpn.models import MSCAN, MSCAN_VARIANTS, MSCANEncoder

FIXTURE = Path(__file__).parent.parent / "fixtures/mscan_tiny.safetensors"


def encoder(depth: int = 5, in_channels: int = 3, output_stride: int = 32) -> MSCANEncoder:
    return smp.encoders.get_encoder(
        "mscan_tiny", in_channels=in_channels, depth=depth, weights=None, output_stride=output_stride
    ).eval()


def small_encoder() -> MSCANEncoder:
    return MSCANEncoder(widths=(8, 16, 24, 32), depths=(1, 1, 2, 1), mlp_ratios=(8, 8, 4, 4))


def test_computes_what_the_reference_computes():
    tensors = {name: tensor.double() for name, tensor in load_file(FIXTURE).items()}
    model = small_encoder().double().eval()
    weights = {n.removeprefix("mscan."): t for n, t in tensors.items() if n.startswith("mscan.")}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    with torch.no_grad():
        outputs = model(tensors["input"])[2:]
    assert len(outputs) == 4
    for i, output in enumerate(outputs):
        torch.testing.assert_close(output, tensors[f"out.{i}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "name, count",
    [
        ("mscan_tiny", 3_903_584),
        ("mscan_small", 13_450_176),
        ("mscan_base", 26_277_824),
        ("mscan_large", 44_636_864),
    ],
)
def test_sizes_are_those_of_the_paper(name, count):
    with torch.device("meta"):
        models = [timm.create_model(name, num_classes=0), smp.encoders.get_encoder(name, weights=None)]
    for model in models:
        assert isinstance(model, MSCAN)
        assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("depth, in_channels", [(3, 1), (3, 6), (4, 2), (4, 3), (5, 4), (5, 5)])
def test_encoder_keeps_what_it_declares(depth, in_channels):
    model = encoder(depth, in_channels)
    features = model(torch.randn(2, in_channels, 64, 96))
    assert [f.shape[1] for f in features] == list(model.out_channels) == [in_channels, 0, 32, 64, 160, 256][: depth + 1]
    assert [(f.shape[2], f.shape[3]) for f in features] == [(64 >> i, 96 >> i) for i in range(depth + 1)]
    assert model.output_stride == 2**depth


@pytest.mark.parametrize("depth", [2, 6])
def test_encoder_refuses_other_depths(depth):
    with pytest.raises(ValueError, match=f"MSCAN encoders have a depth of 3, 4 or 5, found {depth}"):
        encoder(depth)


@pytest.mark.parametrize("output_stride, steps", [(16, [1, 2]), (8, [2, 4])])
def test_dilation_keeps_the_resolution_and_the_values(output_stride, steps):
    coarse, fine = encoder().double(), encoder(output_stride=output_stride).double()
    for name, parameter in coarse.named_parameters():
        if "layer_scale" in name:
            torch.nn.init.constant_(parameter, 0.3)  # so that the blocks, too, have a say
    fine.load_state_dict(coarse.state_dict())
    x = torch.randn(1, 3, 128, 192, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = coarse(x)[-2:], fine(x)[-2:]
    assert found[-1].shape[-2:] == (128 // output_stride, 192 // output_stride)
    for a, b, step in zip(wanted, found, steps, strict=True):
        torch.testing.assert_close(b[..., ::step, ::step], a)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_encoder_can_be_scripted_and_exported():
    model, x = encoder(), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        wanted = model(x)
        for form in (torch.jit.script(model), torch.export.export(model, (x,), strict=True).module()):
            torch.testing.assert_close(list(form(x)), wanted, atol=1e-5, rtol=1e-5)


def test_encoder_compiles_without_a_break_and_learns_so():
    model = small_encoder().train()
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for height, width in ((64, 96), (96, 128)):
            compiled(torch.randn(2, 3, height, width))[-1].square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_shorter_encoders_can_be_scripted():
    features = torch.jit.script(encoder(depth=3))(torch.randn(1, 3, 64, 64))
    assert [f.shape[1] for f in features] == [3, 0, 32, 64]


def test_timm_gives_features_and_classes():
    features = timm.create_model("mscan_tiny", features_only=True, in_chans=2)
    outputs = features(torch.randn(1, 2, 64, 64))
    assert [f.shape[1] for f in outputs] == features.feature_info.channels() == [32, 64, 160, 256]
    assert [64 // f.shape[2] for f in outputs] == features.feature_info.reduction() == [4, 8, 16, 32]
    x = torch.randn(2, 3, 64, 64)
    classifier = timm.create_model("mscan_tiny", num_classes=7).eval()
    assert classifier(x).shape == (2, 7)
    assert classifier.forward_head(classifier.forward_features(x), pre_logits=True).shape == (2, 256)
    classifier.reset_classifier(3)
    assert classifier(x).shape == (2, 3) and classifier.get_classifier().out_features == 3
    pooled = timm.create_model("mscan_tiny", num_classes=0, global_pool="max").eval()
    torch.testing.assert_close(pooled(x), pooled.forward_features(x).amax(dim=(2, 3)))


def test_odd_sizes_round_up():
    features = encoder()(torch.randn(1, 3, 71, 33))
    assert [tuple(f.shape[-2:]) for f in features[2:]] == [(18, 9), (9, 5), (5, 3), (3, 2)]


@pytest.mark.parametrize("name", ["mscan_tiny", "tu-mscan_tiny"])
def test_gradients_reach_every_parameter_through_unet(name):
    torch.manual_seed(0)
    model = smp.Unet(name, encoder_weights=None, classes=2)
    for module in model.modules():
        if isinstance(module, DropPath):
            module.p = 0.0
    logits = model(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 2, 64, 64)
    logits.square().mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        if parameter.ndim > 1 or "layer_scale" in parameter_name:
            assert parameter.grad.abs().max() > 0, parameter_name


def test_blocks_start_near_identity_and_drop_more_often_the_deeper_they_are():
    model = MSCAN(**MSCAN_VARIANTS["mscan_tiny"])
    scales = {name for name, parameter in model.named_parameters() if (parameter == 0.01).all()}
    assert scales == model.no_weight_decay() and len(scales) == 2 * (3 + 3 + 5 + 2)
    rates = [module.p for module in model.modules() if isinstance(module, DropPath)]
    assert rates == sorted(rates) and rates[0] == 0.0 and rates[-1] == pytest.approx(0.1)


def test_sizes_that_make_no_mscan_are_refused():
    with pytest.raises(ValueError, match="4 widths"):
        MSCAN(widths=(8, 16, 24), depths=(1, 1, 1))
    with pytest.raises(ValueError, match="output_stride must be 8, 16 or 32, found 4"):
        MSCAN(**MSCAN_VARIANTS["mscan_tiny"], output_stride=4)
    for rate in (1.5, 1.0, -0.1):
        with pytest.raises(ValueError, match=f"drop_path_rate: found {rate}, expected 0 or more and less than 1"):
            MSCAN(**MSCAN_VARIANTS["mscan_tiny"], drop_path_rate=rate)


def test_checkpointing_changes_no_gradient_of_an_encoder(monkeypatch):
    torch.manual_seed(0)
    model, x = small_encoder().eval(), torch.randn(1, 3, 64, 64)
    calls, original = [], torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", lambda *a, **k: calls.append(1) or original(*a, **k))
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x)[-1].square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        assert len(calls) == (5 if enable else 0)  # the blocks
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("readout", ["ignore", "cat"])
@pytest.mark.filterwarnings("ignore:Encoder does not have prefix tokens")
def test_dpt_takes_it_as_timm_gives_it(readout):
    torch.manual_seed(0)
    small = dict(decoder_intermediate_channels=(8, 8, 8, 8), decoder_fusion_channels=8, decoder_readout=readout)
    model = smp.DPT("tu-mscan_tiny", encoder_weights=None, classes=2, **small).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 64, 96)).shape == (1, 2, 64, 96)
