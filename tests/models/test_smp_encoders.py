"""ELANeXt keeps smp's contract for encoders: depths, image channels, output strides, TorchScript, export.

Strict export traces as torch.compile does, which is tried on the whole network.
"""

import pytest
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder

from segnext_pafpn.models import ELANEXT_VARIANTS

NAMES = list(ELANEXT_VARIANTS)
SIZES = [(1, 3, 64, 96), (2, 3, 96, 65)]


@pytest.fixture(scope="module")
def nano() -> torch.nn.Module:
    torch.manual_seed(0)
    return get_encoder("elanext_nano", weights=None).eval()


def strides_of(features: list[torch.Tensor]) -> list[tuple[int, int]]:
    """Height and width of the image, the first feature, over those of each."""
    height, width = features[0].shape[-2:]
    return [(height // f.shape[-2], width // f.shape[-1]) for f in features]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_features_have_the_declared_channels_and_strides_at_every_depth(name, depth):
    encoder = get_encoder(name, depth=depth, weights=None)
    features = encoder(torch.randn(2, 3, 64, 96))
    assert strides_of(features) == [(2**i, 2**i) for i in range(depth + 1)]
    assert [f.shape[1] for f in features] == encoder.out_channels == [3, *ELANEXT_VARIANTS[name]["widths"][:depth]]
    assert encoder.output_stride == 2**depth
    features[-1].mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize("channels", range(1, 7))
def test_images_have_one_to_six_channels(channels):
    encoder = get_encoder("elanext_nano", in_channels=channels, weights=None).eval()
    x = torch.randn(1, channels, 32, 32)
    with torch.no_grad():
        features = encoder(x)
    assert torch.equal(features[0], x)
    assert encoder.out_channels[0] == channels
    assert encoder.stem.conv.weight.shape[1] == channels


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_strides_end_at_the_output_stride(name, output_stride):
    encoder = get_encoder(name, weights=None, output_stride=output_stride).eval()
    with torch.no_grad():
        features = encoder(torch.randn(1, 3, 64, 96))
    assert strides_of(features) == [(min(2**i, output_stride),) * 2 for i in range(6)]
    assert encoder.output_stride == output_stride


def test_a_smaller_output_stride_takes_the_same_weights_and_dilates(nano):
    dense = get_encoder("elanext_nano", weights=None, output_stride=8).eval()
    dense.load_state_dict(nano.state_dict())
    rates = {m.dilation for m in dense.stages[-1].modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1}
    assert rates == {(4, 4)}
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(dense(x)[3], nano(x)[3])


@pytest.mark.parametrize("depth", [0, 2, 6])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=f"3, 4 or 5, found {depth}"):
        get_encoder("elanext_nano", depth=depth, weights=None)


def test_other_output_strides_are_refused(nano):
    with pytest.raises(ValueError, match="8, 16 or 32, found 4"):
        get_encoder("elanext_nano", output_stride=4, weights=None)
    with pytest.raises(ValueError, match="built for output_stride=32; for 16 build another"):
        nano.make_dilated(16)


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_of_timms_network_without_its_head(name):
    network = timm.create_model(name).eval()
    encoder = get_encoder(name, weights=None).eval()
    missing, unexpected = encoder.load_state_dict(network.state_dict(), strict=False)
    assert not missing
    assert set(unexpected) == {"head.fc.weight", "head.fc.bias"}
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x)[-1], network.forward_features(x))


def test_checkpointing_changes_no_gradient():
    torch.manual_seed(0)
    encoder = get_encoder("elanext_nano", weights=None).eval()
    x = torch.randn(1, 3, 64, 64)
    gradients = []
    for enable in (False, True):
        encoder.set_grad_checkpointing(enable)
        encoder.zero_grad()
        encoder(x)[-1].square().mean().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters()])
    assert_same(*gradients)


@pytest.mark.parametrize("name", NAMES)
def test_torchscript_computes_the_same(name):
    encoder = get_encoder(name, weights=None).eval()
    scripted = torch.jit.script(encoder)
    with torch.no_grad():
        for size in SIZES:
            x = torch.randn(size)
            assert_same(scripted(x), encoder(x))


def test_strict_export_computes_the_same_at_any_size_above_the_stride(nano):
    """At 32 pixels and below the deepest features have a side of 1, for which torch.export makes a graph of its own."""
    auto = torch.export.Dim.AUTO
    shapes = {"x": {0: auto, 2: auto, 3: auto}}
    exported = torch.export.export(nano, (torch.randn(2, 3, 65, 97),), dynamic_shapes=shapes, strict=True).module()
    with torch.no_grad():
        for size in SIZES:
            x = torch.randn(size)
            assert_same(exported(x), nano(x))
