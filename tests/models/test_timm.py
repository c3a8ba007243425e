"""ELANeXt and MSCAN in timm: tests run on timm's own ConvNeXt too, so that what is asked for is what timm does."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import IMAGENET_DEFAULT_MEAN, resolve_model_data_config
from timm.models._features import FeatureGetterNet
from torch import nn

from tests.models.timm_networks import NAMES, OUR_SMALL, OURS, SMALL, build

pytestmark = pytest.mark.usefixtures("one_thread")


def expected(model: nn.Module, side: int = 64) -> list[tuple[int, ...]]:
    """Shapes of all levels for a square image, as ``feature_info`` declares them."""
    return [(2, row["num_chs"], side // row["reduction"], side // row["reduction"]) for row in model.feature_info]


def shapes(features: list[torch.Tensor]) -> list[tuple[int, ...]]:
    return [tuple(f.shape) for f in features]


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", OURS)
def test_every_size_is_listed_without_pretrained_weights(name):
    assert name in timm.list_models("elanext*", module="elanext")
    assert timm.is_model(name)
    assert not timm.models.is_model_pretrained(name)
    with pytest.raises(RuntimeError, match="No pretrained weights"):
        timm.create_model(name, pretrained=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_names_layers_that_exist(name):
    model = build(name)
    config = model.pretrained_cfg
    modules = dict(model.named_modules())
    assert modules[config["first_conv"]].in_channels == 3
    assert modules[config["classifier"]] is model.get_classifier()
    data = resolve_model_data_config(model)
    assert data["mean"] == IMAGENET_DEFAULT_MEAN and data["input_size"][0] == 3
    assert config["num_classes"] == model.num_classes == 1000
    side = config["input_size"][-1]
    assert config["pool_size"] == (side // 32, side // 32)


@pytest.mark.parametrize("name", NAMES)
def test_classifier_and_features_fit_together(x, name):
    model = build(name, num_classes=7)
    with torch.no_grad():
        features = model.forward_features(x)
        assert features.shape == (2, model.num_features, 2, 2)
        assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
        torch.testing.assert_close(model.forward_head(features), model(x))
        assert model(x).shape == (2, 7)
    assert model.get_classifier().out_features == 7


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("channels", [1, 4])
def test_other_image_channels(name, channels):
    assert build(name, in_chans=channels)(torch.randn(1, channels, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("pool", ["avg", "max", ""])
def test_poolings_without_a_classifier(x, name, pool):
    model = build(name, num_classes=0, global_pool=pool)
    with torch.no_grad():
        found = model(x)
        features = model.forward_features(x)
    assert found.shape == ((2, model.num_features, 2, 2) if pool == "" else (2, model.num_features))
    if name in OUR_SMALL:  # nothing but the pooling stands behind our features
        pooled = {"avg": features.mean((2, 3)), "max": features.amax((2, 3)), "": features}
        torch.testing.assert_close(found, pooled[pool])


@pytest.mark.parametrize("name", SMALL)
def test_the_classifier_can_be_replaced(x, name):
    model = build(name)
    for classes, pool, shape in ((5, None, (2, 5)), (0, None, (2, model.num_features)), (4, "max", (2, 4))):
        model.reset_classifier(classes, pool)
        assert model(x).shape == shape
        assert model.num_classes == classes
    model.reset_classifier(0, "")
    assert model(x).shape == (2, model.num_features, 2, 2)
    assert isinstance(model.get_classifier(), nn.Identity)


@pytest.mark.parametrize("name", OUR_SMALL)
def test_a_pooling_that_widens_is_followed_by_a_wider_classifier(x, name):
    """timm's ConvNeXt refuses this one."""
    for model in (build(name, num_classes=3, global_pool="catavgmax"), build(name)):
        model.reset_classifier(3, "catavgmax")
        assert model.head_hidden_size == 2 * model.num_features == model.get_classifier().in_features
        assert model.forward_head(model.forward_features(x), pre_logits=True).shape == (2, model.head_hidden_size)
        assert model(x).shape == (2, 3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("indices", [None, (0,), (1, 3), (-1,), (-2, -1)])
def test_features_of_chosen_levels(x, name, indices):
    options = {} if indices is None else {"out_indices": indices}
    model = build(name)
    features = build(name, features_only=True, **options)
    rows = list(range(len(model.feature_info))) if indices is None else indices
    with torch.no_grad():
        found = features(x)
        _, all_levels = model.forward_intermediates(x)
    assert shapes(found) == [expected(model)[i] for i in rows]
    assert features.feature_info.channels() == [f.shape[1] for f in found]
    assert features.feature_info.reduction() == [64 // f.shape[2] for f in found]
    for level, i in zip(found, rows, strict=True):
        torch.testing.assert_close(level, all_levels[i])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output_stride", [8, 16])
def test_smaller_output_strides(x, name, output_stride):
    features = build(name, features_only=True, output_stride=output_stride)
    reductions = features.feature_info.reduction()
    full = [row["reduction"] for row in build(name).feature_info]
    assert reductions == [min(r, output_stride) for r in full]
    with torch.no_grad():
        assert [64 // f.shape[-1] for f in features(x)] == reductions
        assert build(name, output_stride=output_stride).forward_features(x).shape[-1] == 64 // output_stride


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("indices", [None, 1, 2, [0, 2], [-1], [3, 1]])
def test_intermediates_are_the_levels_asked_for(x, name, indices):
    model = build(name)
    every = list(range(len(model.feature_info)))
    last = every[-indices:] if isinstance(indices, int) else every
    rows = sorted(every[i] for i in indices) if isinstance(indices, list) else last
    with torch.no_grad():
        final, levels = model.forward_intermediates(x, indices=indices)
        alone = model.forward_intermediates(x, indices=indices, intermediates_only=True)
        early, stopped = model.forward_intermediates(x, indices=indices, stop_early=True)
        _, normed = model.forward_intermediates(x, indices=indices, norm=True)
        torch.testing.assert_close(final, model.forward_features(x))
    assert shapes(levels) == [expected(model)[i] for i in rows]
    for other in (alone, stopped, normed):
        assert all(torch.equal(a, b) for a, b in zip(levels, other, strict=True))
    torch.testing.assert_close(early, levels[-1])


@pytest.mark.parametrize(
    ("name", "error"), [("elanext_nano", ValueError), ("mscan_tiny", ValueError), ("convnext_atto", AssertionError)]
)
def test_intermediates_come_as_nchw_alone_and_only_levels_that_exist(x, name, error):
    model = build(name)
    with pytest.raises(error, match="NCHW"):
        model.forward_intermediates(x, output_fmt="NLC")
    with pytest.raises(AssertionError, match="out of range"):
        model.forward_intermediates(x, indices=[7])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("indices", [1, [0, 2], [1]])
def test_pruned_networks_keep_the_levels_and_lose_the_rest(x, name, indices):
    model, pruned = build(name), build(name)
    taken = pruned.prune_intermediate_layers(indices)
    count = len(model.feature_info)
    assert taken == ([count - 1] if indices == 1 else indices)
    with torch.no_grad():
        before = model.forward_intermediates(x, taken, intermediates_only=True)
        after = pruned.forward_intermediates(x, taken, intermediates_only=True)
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert pruned(x).shape == expected(model)[max(taken)]  # no pooling, no classifier
    assert pruned.num_features == model.feature_info[max(taken)]["num_chs"]
    sizes = [sum(p.numel() for p in m.parameters()) for m in (pruned, model)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", [*OURS, "mscan_tiny"])
def test_the_head_stays_if_asked_and_possible(x, name):
    model = build(name, num_classes=4)
    model.prune_intermediate_layers(1, prune_head=False)
    assert model(x).shape == (2, 4)
    model.prune_intermediate_layers([1], prune_head=False)
    model.reset_classifier(6, "avg")
    assert model(x).shape == (2, 6)


@pytest.mark.parametrize("name", OUR_SMALL)
def test_a_pruned_network_can_be_pruned_again_and_scripted(x, name):
    model = build(name)
    model.prune_intermediate_layers([2])
    assert model.prune_intermediate_layers(1) == [2]
    assert model.prune_intermediate_layers([0, 1]) == [0, 1]
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(x), model(x), atol=1e-5, rtol=1e-5)
    with pytest.raises(AssertionError, match="out of range"):
        model.forward_intermediates(x, indices=[2])


@pytest.mark.parametrize("name", SMALL)
def test_timms_getter_gives_the_same_features_as_its_list(x, name):
    getter = build(name, features_only=True, feature_cls="getter", out_indices=(1, 2))
    assert isinstance(getter, FeatureGetterNet)
    with torch.no_grad():
        for a, b in zip(getter(x), build(name, features_only=True, out_indices=(1, 2))(x), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("features_only", [False, True])
def test_torchscript_computes_the_same(x, name, features_only):
    model = build(name, features_only=features_only)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(x), model(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_weights_from_a_file_fit_other_channels_and_classes(tmp_path, x, name):
    """What timm does with pretrained weights: the first convolution is summed over RGB, the classifier left out."""
    source = build(name)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    overlay = {"file": str(tmp_path / "model.safetensors")}
    grey = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay=overlay, in_chans=1, num_classes=3, global_pool="max"
    ).eval()
    first = source.pretrained_cfg["first_conv"]
    kernel = source.get_submodule(first).weight
    torch.testing.assert_close(grey.get_submodule(first).weight, kernel.sum(1, keepdim=True))
    theirs = source.state_dict()
    other = (f"{first}.weight", "head.fc.weight", "head.fc.bias")
    assert all(torch.equal(value, theirs[key]) for key, value in grey.state_dict().items() if key not in other)
    assert grey(x[:, :1]).shape == (2, 3)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("options", [{}, {"features_only": True}, {"features_only": True, "feature_cls": "getter"}])
def test_networks_are_built_on_a_device_and_of_a_dtype(x, name, options):
    model = timm.create_model(name, device="meta", dtype=torch.bfloat16, **options)
    tensors = [*model.parameters(), *model.buffers()]
    assert {t.device.type for t in tensors} == {"meta"}
    assert {t.dtype for t in tensors if t.is_floating_point()} == {torch.bfloat16}
    model, exact = build(name, dtype=torch.bfloat16, **options), build(name, **options)
    for rounded, parameter in zip(model.parameters(), exact.parameters(), strict=True):
        assert rounded.device.type == "cpu" and rounded.dtype == torch.bfloat16
        assert name == "convnext_atto" or torch.equal(rounded, parameter.bfloat16())  # timm draws in that precision
    with torch.no_grad():
        found = model(x.bfloat16())
    assert {t.dtype for t in (found if isinstance(found, list) else [found])} == {torch.bfloat16}


@pytest.mark.parametrize("name", SMALL)
def test_another_classifier_is_on_the_device_and_of_the_dtype_of_the_network(x, name):
    model = build(name, num_classes=0, dtype=torch.bfloat16)
    model.reset_classifier(3)
    assert model(x.bfloat16()).dtype == model.get_classifier().weight.dtype == torch.bfloat16
    model = build(name, num_classes=0, device="meta")
    model.reset_classifier(3, "max")
    assert model.get_classifier().weight.device.type == "meta"


@pytest.mark.parametrize("name", [*OURS, "mscan_tiny"])
def test_networks_are_built_on_the_meta_device(name):
    with torch.device("meta"):
        model = timm.create_model(name, features_only=True)
        assert shapes(model(torch.empty(2, 3, 64, 64))) == expected(build(name))
