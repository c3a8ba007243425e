"""YOLOv7's SPPCSPC and RepConv (arXiv 2207.02696) against tests/fixtures/yolov7_blocks.safetensors.

The fixture holds weights, inputs and outputs of the paper's reference implementation, in evaluation mode.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from segnext_pafpn.layers import SPPCSPC, ConvNeXtBlock, RepConv

FIXTURE = Path(__file__).parent.parent / "fixtures" / "yolov7_blocks.safetensors"

# the fixture's names and ours
SPPCSPC_NAMES = {
    "cv1": "conv_in.0",
    "cv3": "conv_in.1",
    "cv4": "conv_in.2",
    "cv5": "conv_pyramid.0",
    "cv6": "conv_pyramid.1",
    "cv2": "shortcut",
    "cv7": "conv_out",
}
REP_CONV_NAMES = {
    "rbr_dense.0": "conv3",
    "rbr_dense.1": "norm3",
    "rbr_1x1.0": "conv1",
    "rbr_1x1.1": "norm1",
    "rbr_identity": "norm0",
}


@pytest.fixture(scope="module")
def reference() -> dict[str, torch.Tensor]:
    return load_file(FIXTURE)


def load(block: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Load every weight; the fixture lacks BatchNorm's step counters alone."""
    result = block.load_state_dict(state, strict=False)
    assert not result.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in result.missing_keys)


@pytest.fixture
def rep_conv(reference) -> RepConv:
    block = RepConv(8, 8, act="silu").eval()
    names = {f"repconv.{theirs}": ours for theirs, ours in REP_CONV_NAMES.items()}
    state = {key: value for key, value in reference.items() if key.startswith("repconv.")}
    load(block, {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()})
    return block


@pytest.fixture
def sppcspc(reference) -> SPPCSPC:
    block = SPPCSPC(8, 8, hidden_channels=8, pyramid="max_pool", block="conv", act="silu").eval()
    state = {}
    for key, value in reference.items():
        if key.startswith("sppcspc."):
            _, conv, rest = key.split(".", 2)
            state[f"{SPPCSPC_NAMES[conv]}.{rest.replace('bn.', 'norm.')}"] = value
    load(block, state)
    return block


@torch.no_grad()
def test_sppcspc_equals_yolov7s_before_and_after_folding(reference, sppcspc):
    x, y = reference["sppcspc_input"], reference["sppcspc_output"]
    assert (sppcspc(x) - y).abs().max() < 1e-5
    for layer in sppcspc.modules():
        if hasattr(layer, "fuse"):
            layer.fuse()
    assert (sppcspc(x) - y).abs().max() < 1e-5


@torch.no_grad()
def test_rep_conv_equals_yolov7s_before_and_after_folding(reference, rep_conv):
    x, y = reference["repconv_input"], reference["repconv_output"]
    assert (rep_conv(x) - y).abs().max() < 1e-5
    rep_conv.fuse()
    assert (rep_conv(x) - y).abs().max() < 1e-5


def test_rep_convs_folded_kernel_equals_yolov7s(reference, rep_conv):
    kernel, bias = rep_conv.folded_kernel()
    assert (kernel - reference["repconv_folded_weight"]).abs().max() < 1e-5
    assert (bias - reference["repconv_folded_bias"]).abs().max() < 1e-5


def test_the_networks_own_sppcspc_keeps_its_parameter_names():
    """Checkpoints of earlier versions name their weights so."""
    conv = ("conv.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
    parts = {part: conv for part in ("conv_in", "conv_pyramid", "shortcut", "conv_out")}
    block = ("dw.weight", "dw.bias", *conv[1:], "pw1.weight", "pw1.bias", "pw2.weight", "pw2.bias")
    parts |= {f"pyramid.{i}": block for i in range(3)}
    expected = {f"{part}.{name}" for part, names in parts.items() for name in names}
    found = {key for key in SPPCSPC(6, 8).state_dict() if not key.endswith("num_batches_tracked")}
    assert found == expected


@pytest.mark.parametrize("block", ["convnext", "conv"])
@pytest.mark.parametrize("pyramid", ["dilated", "max_pool"])
def test_the_pyramid_is_one_argument(pyramid, block):
    sppcspc = SPPCSPC(6, 8, pyramid=pyramid, block=block)
    y = sppcspc(torch.randn(2, 6, 15, 14))
    assert y.shape == (2, 8, 15, 14)
    y.square().sum().backward()
    assert all(p.grad is not None for p in sppcspc.parameters())
    assert len(sppcspc.pyramid) == 3
    assert isinstance(sppcspc.pyramid[0], ConvNeXtBlock) == ((pyramid, block) == ("dilated", "convnext"))
    assert (sum(1 for _ in sppcspc.pyramid.parameters()) == 0) == (pyramid == "max_pool")


@pytest.mark.parametrize("pyramid", ["dilated", "max_pool"])
def test_the_widest_level_sees_13_pixels(pyramid):
    torch.manual_seed(0)
    sppcspc = SPPCSPC(1, 2, pyramid=pyramid, act=None).eval()
    torch.nn.init.ones_(sppcspc.conv_in.conv.weight)  # a max-pool passes on what is brighter alone
    x = torch.zeros(1, 1, 31, 31)
    with torch.no_grad():
        before = sppcspc(x)
        x[0, 0, 15, 15] = 5.0
        changed = (sppcspc(x) - before).abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (changed.min(), changed.max()) == (15 - 6, 15 + 6)


def test_what_sppcspc_cannot_be_is_said():
    with pytest.raises(ValueError, match="dilated or max_pool, and convnext or conv"):
        SPPCSPC(4, 4, pyramid="maxpool")
    with pytest.raises(ValueError, match="no LayerScale without"):
        SPPCSPC(4, 4, pyramid="max_pool", layer_scale=1e-6)
