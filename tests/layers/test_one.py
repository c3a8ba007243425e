"""One, the block of the published network, against tests/fixtures/article_network_tiny.safetensors.

The fixture has no outputs of single blocks, so its backbone is written out here as functions, with our One in it.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from segnext_pafpn.layers import One

FIXTURE = Path(__file__).parent.parent / "fixtures" / "article_network_tiny.safetensors"
NAMES = {"0": "conv", "1": "norm", "2": "pw1", "4": "pw2"}
Weights = dict[str, torch.Tensor]


def under(weights: Weights, prefix: str) -> Weights:
    return {key.removeprefix(f"{prefix}."): value for key, value in weights.items() if key.startswith(f"{prefix}.")}


def norm(x: torch.Tensor, weights: Weights) -> torch.Tensor:
    x = F.layer_norm(x.permute(0, 2, 3, 1), weights["weight"].shape, weights["weight"], weights["bias"], 1e-6)
    return x.permute(0, 3, 1, 2)


def pointwise(x: torch.Tensor, weights: Weights) -> torch.Tensor:
    return F.gelu(norm(F.conv2d(x, weights["0.weight"], weights["0.bias"]), under(weights, "1")))


def stage(x: torch.Tensor, weights: Weights, depth: int) -> torch.Tensor:
    x = norm(x, under(weights, "downsample.0"))
    x = F.conv2d(x, weights["downsample.1.weight"], weights["downsample.1.bias"], stride=2)
    for i in range(depth):
        w = under(weights, f"blocks.{i}.conv")
        y = F.conv2d(x, w["0.weight"], w["0.bias"], padding=3, groups=x.shape[1])
        y = F.gelu(F.conv2d(norm(y, under(w, "1")), w["2.weight"], w["2.bias"]))
        x = x + F.conv2d(y, w["4.weight"], w["4.bias"])
    return x


def one(x: torch.Tensor, weights: Weights) -> torch.Tensor:
    block = One(x.shape[1], x.shape[1])
    block.load_state_dict({f"{NAMES[key[0]]}.{key[2:]}": value for key, value in under(weights, "stream").items()})
    return block(x)


def elan(x: torch.Tensor, weights: Weights) -> torch.Tensor:
    a, b = pointwise(x, under(weights, "conv1")), pointwise(x, under(weights, "conv2"))
    c = one(b, under(weights, "conv3"))
    e = one(c, under(weights, "conv4"))
    return pointwise(torch.cat([a, b, c, e], dim=1), under(weights, "conv5"))


@torch.no_grad()
def test_the_published_backbone_with_our_one_equals_the_fixture():
    reference = load_file(FIXTURE)
    w = under(reference, "backbone")
    x = F.conv2d(reference["input"], w["stem.0.weight"], w["stem.0.bias"], stride=2, padding=1)
    x = elan(stage(norm(x, under(w, "stem.1")), under(w, "convnext"), depth=3), under(w, "elan1"))
    t3 = elan(stage(x, under(w, "mp1"), depth=1), under(w, "elan2"))
    t4 = elan(stage(t3, under(w, "mp2"), depth=1), under(w, "elan3"))
    c5 = elan(stage(t4, under(w, "mp3"), depth=1), under(w, "elan4"))
    c3, c4 = pointwise(t3, under(w, "conv3")), pointwise(t4, under(w, "conv4"))
    for name, feature in (("c3", c3), ("c4", c4), ("c5", c5)):
        assert (feature - reference[f"eval.{name}"]).abs().max() < 1e-5


def test_one_is_as_wide_inside_as_its_narrower_side():
    assert One(6, 8).conv.weight.shape == (6, 6, 7, 7)
    assert One(8, 6).conv.weight.shape == (6, 8, 7, 7)
    assert One(8, 6).pw1.out_channels == 4 * 6


def test_a_dilated_one_keeps_the_size():
    for dilation in (3, 4, 6):
        assert One(4, 4, kernel_size=3, dilation=dilation)(torch.randn(1, 4, 9, 10)).shape == (1, 4, 9, 10)
