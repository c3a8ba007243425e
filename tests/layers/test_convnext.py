"""ConvNeXt's block, downsampling and stages (arXiv 2201.03545) against timm's convnext, its weights mapped over."""

import pytest
import timm
import torch
from timm.models.convnext import ConvNeXtBlock as TimmBlock
from torch import nn

from segnext_pafpn.layers import ConvNeXtBlock, ConvNeXtStage, Downsample, LayerNorm2d
from segnext_pafpn.models.timm_convnext import convnext_parts
from tests.layers.random_weights import randomise_vectors

# the paper's ConvNeXt-T and timm's smaller variants: blocks and channels of the four stages
LAYOUTS = {
    "convnext_atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
    "convnext_nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
    "convnext_tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
}


def our_stages(name: str) -> nn.Sequential:
    depths, widths = LAYOUTS[name]
    stages, inputs = [], widths[0]
    for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        stages.append(ConvNeXtStage(inputs, width, depth, stride=1 if i == 0 else 2))
        inputs = width
    return nn.Sequential(*stages)


def map_over(reference: nn.Module, ours: ConvNeXtStage) -> None:
    """Load the weights of timm's stage into ours: every one, and none twice."""
    parts = convnext_parts(reference)
    if isinstance(ours.downsample, Downsample):
        ours.downsample.load_state_dict(parts.pop(0).weights)
    for part, block in zip(parts, ours.blocks, strict=True):
        block.load_state_dict(part.weights)


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_stages_and_blocks_equal_timms_with_its_weights(name):
    torch.manual_seed(0)
    reference = randomise_vectors(timm.create_model(name, pretrained=False), seed=1).eval()
    stages = our_stages(name).eval()
    x = reference.stem(torch.randn(1, 3, 64, 96))
    for theirs, ours in zip(reference.stages, stages, strict=True):
        map_over(theirs, ours)
        y = theirs(x)
        assert (ours(x) - y).abs().max() < 1e-5
        x = theirs.downsample(x)
        for their_block, our_block in zip(theirs.blocks, ours.blocks, strict=True):
            after = their_block(x)
            assert (our_block(x) - after).abs().max() < 1e-5
            x = after
        assert torch.equal(x, y)


def test_tiny_has_the_papers_layout_and_every_parameter_of_timms_stages():
    with torch.device("meta"):
        reference = timm.create_model("convnext_tiny", pretrained=False).stages
        stages = our_stages("convnext_tiny")
    assert [len(stage.blocks) for stage in stages] == [3, 3, 9, 3]
    assert [stage.blocks[0].dw.out_channels for stage in stages] == [96, 192, 384, 768]
    count = [[sum(p.numel() for p in stage.parameters()) for stage in network] for network in (reference, stages)]
    assert count[0] == count[1]


def test_one_block_equals_timms_in_both_of_its_forms():
    """timm writes the 1x1s as convolutions (conv_mlp) or as linear layers over the last dimension."""
    for conv_mlp in (True, False):
        torch.manual_seed(0)
        reference = randomise_vectors(TimmBlock(12, ls_init_value=0.5, conv_mlp=conv_mlp), seed=1).eval()
        block = ConvNeXtBlock(12, norm="layer", layer_scale=0.5).eval()
        block.load_state_dict(convnext_parts(reference)[0].weights)
        x = torch.randn(2, 12, 10, 14)
        assert (block(x) - reference(x)).abs().max() < 1e-5


def test_stage_defaults_are_the_papers():
    stage = ConvNeXtStage(8, 16, depth=2)
    assert isinstance(stage.downsample[0], LayerNorm2d) and stage.downsample[1].stride == (2, 2)
    assert stage.blocks[0].dw.kernel_size == (7, 7)
    assert torch.equal(stage.blocks[0].gamma, torch.full((16,), 1e-6))
    assert stage(torch.randn(1, 8, 16, 24)).shape == (1, 16, 8, 12)


def test_stage_takes_a_rate_for_each_block():
    stage = ConvNeXtStage(8, 8, depth=3, stride=1, drop_path=[0.0, 0.1, 0.2])
    assert [block.drop_path.p for block in stage.blocks] == [0.0, 0.1, 0.2]
    with pytest.raises(ValueError, match="2 rates for 3 blocks"):
        ConvNeXtStage(8, 8, depth=3, drop_path=[0.0, 0.1])
