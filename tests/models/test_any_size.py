"""Images of any size: padded, and cropped back, compiled too."""

import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from segnext_pafpn.models.any_size import AnySizeModel, padded_logits


class Halving(nn.Module):
    """An encoder of one convolution at stride 32."""

    output_stride = 32

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 32, stride=32)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.conv(x)]


class Last(nn.Module):
    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        return features[-1]


class Small(AnySizeModel):
    """The least that the sizes of a network depend on, so that compiling it takes seconds."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = Halving(), Last(), nn.Conv2d(4, 2, 1)
        self.activation, self.classification_head = nn.Identity(), None


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 40))
def test_sides_are_filled_up_to_the_next_multiple_and_cropped_back(height, width, stride):
    seen = []

    def run(x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape[-2:]))
        return x

    image = torch.arange(height * width).view(1, 1, height, width).float()
    assert torch.equal(padded_logits(run, image, stride), image)
    (filled,) = seen
    for side, own in zip(filled, (height, width), strict=True):
        assert side % stride == 0 and 0 <= side - own < stride


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_network_takes_one_size_after_the_other():
    torch.compiler.reset()
    torch.manual_seed(0)
    model = Small().eval()
    compiled = torch.compile(model)  # all the way: a graph for changing sizes comes with the second one
    for size in ((64, 96), (45, 61)):
        x = torch.randn(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(compiled(x), model(x))
