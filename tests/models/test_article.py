"""The article network equals what was published, shows its defects, and works as a model of smp."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segnext_pafpn.errors import UserError
from segnext_pafpn.layers import ELAN, SPPCSPC, ConvNeXtBlock, LayerNorm2d, RepConv
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models import ArticleNet, FuseHead
from segnext_pafpn.models.article import ArticleBackbone, ArticlePAFPN, ArticleRepConv, Elan, One, Sppcspc
from segnext_pafpn.models.factory import build_model

FIXTURE = Path(__file__).parent.parent / "fixtures" / "article_network_tiny.safetensors"
TINY = (4, 8, 16, 32)
NAMES = ("c3", "c4", "c5", "n3", "n4", "n5")
CHANGES = [{}, {"rep": "folding"}, {"norm": "batch"}, {"block": "convnext"}, {"head": "sum"}]
ALL_CHANGES = {key: value for change in CHANGES for key, value in change.items()}


@pytest.fixture(scope="module")
def fixture() -> dict[str, torch.Tensor]:
    return load_file(FIXTURE)


@pytest.fixture(scope="module")
def published(fixture) -> tuple[ArticleBackbone, ArticlePAFPN]:
    """Backbone and PAFPN with the fixture's weights."""
    parts = ArticleBackbone(TINY), ArticlePAFPN(TINY)
    for part, prefix in zip(parts, ("backbone.", "pafpn."), strict=True):
        part.load_state_dict({k.removeprefix(prefix): v for k, v in fixture.items() if k.startswith(prefix)})
    return parts


def outputs_of(published, x: torch.Tensor, training: bool) -> list[torch.Tensor]:
    backbone, pafpn = (part.train(training) for part in published)
    with torch.no_grad():
        features = backbone(x)
        return [*features, *pafpn(features)]


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_it_computes_what_the_published_network_computes(fixture, published, mode):
    outputs = outputs_of(published, fixture["input"], training=mode == "train")
    for name, output in zip(NAMES, outputs, strict=True):
        torch.testing.assert_close(output, fixture[f"{mode}.{name}"], atol=1e-5, rtol=0)


def test_it_has_the_published_size_at_full_width():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        backbone, pafpn = ArticleBackbone(), ArticlePAFPN()
        features = backbone(torch.empty(1, 3, 640, 640))
        pyramid = pafpn(features)
        default = ArticleNet(classes=11)
    assert sum(p.numel() for p in backbone.parameters()) == 65_137_792
    assert sum(p.numel() for p in pafpn.parameters()) == 309_117_952
    assert counter.get_total_flops() == pytest.approx(833e9, rel=1e-3)
    assert sum(p.numel() for p in default.parameters()) == 23_463_019
    assert [tuple(f.shape[1:]) for f in features] == [(256, 80, 80), (512, 40, 40), (1024, 20, 20)]
    assert [tuple(n.shape[1:]) for n in pyramid] == [(256, 80, 80), (256, 40, 40), (256, 20, 20)]


def test_three_parameters_in_four_are_in_dense_kernels():
    with torch.device("meta"):
        parts = ArticleBackbone(), ArticlePAFPN()
    ones = [one for part in parts for one in part.modules() if isinstance(one, One)]
    dense = sum(one.stream[0].weight.numel() for one in ones)
    everything = sum(p.numel() for part in parts for p in part.parameters())
    assert dense / everything == pytest.approx(0.748, abs=0.001)


def test_as_published_evaluation_differs_from_training(fixture, published):
    training = outputs_of(published, fixture["input"], training=True)
    evaluation = outputs_of(published, fixture["input"], training=False)
    assert all(torch.equal(a, b) for a, b in zip(training[:3], evaluation[:3], strict=True))
    for name, a, b in zip(NAMES[3:], training[3:], evaluation[3:], strict=True):
        assert (a - b).abs().mean() > 0.05, name


def test_as_published_two_of_three_branches_do_not_matter_in_evaluation():
    torch.manual_seed(0)
    block = ArticleRepConv(4).eval()
    x = torch.randn(1, 4, 5, 5)
    before = block(x)
    nn.init.constant_(block.rep1[1].weight, 3.0)
    nn.init.constant_(block.rep2.weight, -2.0)
    assert torch.equal(block(x), before)
    assert not torch.equal(block.train()(x), before)


def test_as_published_features_end_between_zero_and_one(published):
    pyramid = outputs_of(published, 100 * torch.randn(1, 3, 64, 64), training=True)[3:]
    assert all(((n > 0) & (n < 1)).all() for n in pyramid)


def test_as_published_a_block_has_no_shortcut():
    x = torch.randn(1, 4, 9, 9)
    one, ours = One(4, 4), ConvNeXtBlock(4)
    for last in (one.stream[4], ours.pw2):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    assert torch.equal(one(x), torch.zeros_like(x))
    assert torch.equal(ours(x), x)


def test_as_published_other_output_widths_fail():
    features = [torch.randn(1, c, s, s) for c, s in ((8, 8), (16, 4), (32, 2))]
    assert len(ArticlePAFPN(TINY, out_channels=8)(features)) == 3
    with pytest.raises(RuntimeError, match="shape"):
        ArticlePAFPN(TINY, out_channels=16)(features)


@pytest.mark.parametrize("side", [72, 80, 95])
def test_as_published_sides_far_from_a_multiple_of_32_fail(published, side):
    for shape in ((1, 3, 64, side), (1, 3, side, 64)):
        with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
            outputs_of(published, torch.zeros(shape), training=False)


def test_as_published_up_to_seven_pixels_too_many_are_not_seen(published):
    outputs = outputs_of(published, torch.zeros(1, 3, 71, 64), training=False)
    assert outputs[3].shape[-2:] == (8, 8)  # not the 9 rows that 71 pixels take at stride 8


@pytest.mark.parametrize("size", [(64, 96), (71, 45), (1, 3)])
def test_logits_have_the_size_of_the_image(size):
    model = ArticleNet(width=TINY, classes=5).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, *size)).shape == (1, 5, *size)


def test_an_image_is_padded_by_repeating_its_border():
    torch.manual_seed(0)
    model = ArticleNet(width=TINY, classes=2).eval()
    x = torch.randn(1, 3, 64, 70)
    padded = torch.cat([x, x[..., -1:].expand(-1, -1, -1, 26)], dim=3)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(padded)[..., :70])


def test_the_encoder_keeps_what_it_declares():
    encoder = smp.encoders.get_encoder("article", in_channels=4, weights=None).eval()
    features = encoder(torch.zeros(1, 4, 64, 96))
    assert [f.shape[1] for f in features] == list(encoder.out_channels) == [4, 32, 64, 64, 128, 256]
    assert [(f.shape[2], f.shape[3]) for f in features] == [(64 >> i, 96 >> i) for i in range(6)]


@pytest.mark.parametrize("change", [*CHANGES, ALL_CHANGES], ids=lambda change: "-".join(change) or "published")
def test_gradients_reach_every_parameter_after_every_change(change):
    torch.manual_seed(0)
    model = ArticleNet(width=TINY, classes=3, **change)
    logits = model(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 3, 64, 96)
    logits.square().mean().backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing
    zero = [n for n, p in model.named_parameters() if p.ndim > 1 and p.grad.abs().max() == 0]
    assert not zero


def kinds_in(model: nn.Module, *kinds: type) -> set[type]:
    return {kind for kind in kinds if any(isinstance(m, kind) for m in model.modules())}


def test_each_change_replaces_its_part_and_nothing_else():
    kinds = (ArticleRepConv, RepConv, LayerNorm2d, nn.BatchNorm2d, Elan, ELAN, Sppcspc, SPPCSPC, FuseHead)
    found = {tuple(change): kinds_in(ArticleNet(width=TINY, **change), *kinds) for change in [*CHANGES, ALL_CHANGES]}
    assert found[()] == {ArticleRepConv, LayerNorm2d, Elan, Sppcspc}
    assert found[("rep",)] == {RepConv, nn.BatchNorm2d, LayerNorm2d, Elan, Sppcspc}
    assert found[("norm",)] == {ArticleRepConv, nn.BatchNorm2d, Elan, Sppcspc}
    assert found[("block",)] == {ArticleRepConv, LayerNorm2d, ELAN, SPPCSPC}
    assert found[("head",)] == {ArticleRepConv, LayerNorm2d, Elan, Sppcspc, FuseHead, RepConv, nn.BatchNorm2d}
    assert found[tuple(ALL_CHANGES)] == {RepConv, nn.BatchNorm2d, ELAN, SPPCSPC, FuseHead}


def test_with_all_changes_it_folds_for_inference_and_computes_the_same():
    torch.manual_seed(0)
    model = ArticleNet(width=TINY, classes=3, **ALL_CHANGES)
    x = torch.randn(2, 3, 64, 64)
    for _ in range(3):
        model(x)
    model.eval()
    with torch.no_grad():
        before = model(x)
        after = model.fuse()(x)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    assert all(rep.folded is not None for rep in model.modules() if isinstance(rep, RepConv))


@pytest.mark.parametrize("change", [{}, ALL_CHANGES], ids=["published", "changed"])
def test_save_and_load_round_trip(tmp_path, change):
    model = ArticleNet(width=TINY, classes=3, aux_params={"classes": 2}, **change).eval()
    model.save_pretrained(tmp_path)
    x = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        expected = model(x)
        for load in (ArticleNet.from_pretrained, smp.from_pretrained):
            loaded = load(tmp_path).eval()
            assert isinstance(loaded, ArticleNet)
            for a, b in zip(loaded(x), expected, strict=True):
                assert torch.equal(a, b)


def test_it_is_built_by_its_name():
    model = build_model(ModelConfig(arch="article", encoder_name="article", options={"width": [4, 8, 16, 32]}), 7)
    assert isinstance(model, ArticleNet)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 7, 32, 32)


def test_other_decoders_take_its_encoder():
    model = build_model(ModelConfig(arch="unet", encoder_name="article"), classes=2).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder_name": "resnet18"}, "encoder_name: ArticleNet takes 'article', found 'resnet18'"),
        ({"encoder_weights": "imagenet"}, "no pretrained ones, found 'imagenet'"),
        ({"options": {"norm": "bacth"}}, "norm: ArticleNet takes 'layer' or 'batch', found 'bacth'"),
        ({"options": {"width": [4, 8, 16]}}, r"width: expected four even numbers.*found \[4, 8, 16\]"),
        ({"options": {"width": [4, 8, 16, 31]}}, "four even numbers"),
        ({"options": {"heads": "sum"}}, "article has no such argument. Did you mean 'head'?"),
        ({"arch": "deeplabv3plus"}, "depth of 5 and an output stride of 32, found 5 and 16"),
        ({"arch": "unet", "encoder_weights": "imagenet"}, "'article' has no pretrained weights yet"),
    ],
)
def test_mistakes_get_one_line(changes, words):
    with pytest.raises(UserError, match=words):
        build_model(ModelConfig(**{"arch": "article", "encoder_name": "article", **changes}), classes=2)
