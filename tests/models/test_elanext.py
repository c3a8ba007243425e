"""ELANeXt's choices are arguments of one class: block, ELAN or extended ELAN, norm, drop path, LayerScale."""

import pytest
import timm
import torch

from segnext_pafpn.layers import ELAN, CSPNeXtBlock, LayerNorm2d, One
from segnext_pafpn.layers.convnext import DropPath
from segnext_pafpn.models import ELANEXT_VARIANTS

CHOICES = {
    "default": {},
    "cspnext": {"block": "cspnext", "kernel_size": None},
    "one": {"block": "one", "drop_path_rate": 0.0, "kernel_size": 3},
    "extended ELAN": {"elan_groups": 2},
    "extended ELAN of cspnext": {"block": "cspnext", "elan_groups": 2},
    "layer norm and LayerScale": {"norm": "layer", "layer_scale": 1e-6},
    "group norm": {"norm": "group"},
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("output_stride", [8, 32])
def test_every_choice_keeps_widths_and_strides_and_learns(choice, output_stride):
    torch.manual_seed(0)
    model = timm.create_model("elanext_nano", features_only=True, output_stride=output_stride, **CHOICES[choice])
    x = torch.randn(2, 3, 64, 96)
    levels = model(x)
    for level, channels, reduction in zip(
        levels, model.feature_info.channels(), model.feature_info.reduction(), strict=True
    ):
        assert level.shape == (2, channels, 64 // reduction, 96 // reduction)
    sum(level.square().mean() for level in levels).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_blocks_are_those_asked_for():
    def kinds(**options) -> set[type]:
        return {type(m) for m in timm.create_model("elanext_nano", **options).modules()}

    assert CSPNeXtBlock in kinds(block="cspnext") and One in kinds(block="one", drop_path_rate=0.0)
    assert CSPNeXtBlock not in kinds() and One not in kinds()
    assert LayerNorm2d in kinds(norm="layer") and LayerNorm2d not in kinds()
    extended = timm.create_model("elanext_nano", elan_groups=2)
    assert {m.groups for m in extended.modules() if isinstance(m, ELAN)} == {2}


def test_stochastic_depth_rises_linearly_from_the_first_block_to_the_last():
    model = timm.create_model("elanext_nano", drop_path_rate=0.3)
    rates = [m.p for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.3 * i / (len(rates) - 1) for i in range(len(rates))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": "onee"}, "block: 'onee' is not known"),
        ({"block": "one", "drop_path_rate": 0.1}, "Pass 0"),
        ({"block": "cspnext", "layer_scale": 1e-6}, "has no LayerScale"),
        ({"elan_groups": 3}, "must divide"),
        ({"output_stride": 4}, "output_stride must be"),
        ({"kernel_size": 4}, "kernel_size: found 4, expected an odd number"),
        ({"kernel_size": 0}, "kernel_size: found 0, expected an odd number"),
        ({"drop_path_rate": 1.5}, "drop_path_rate: found 1.5, expected 0 or more and less than 1"),
        ({"drop_path_rate": 1.0}, "drop_path_rate: found 1.0, expected 0 or more and less than 1"),
        ({"drop_path_rate": -0.1}, "drop_path_rate: found -0.1, expected 0 or more"),
        ({"widths": (24, 40, 80)}, "takes 5 widths"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        timm.create_model("elanext_nano", **options)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("elanext_nano", 1.54), ("elanext_tiny", 2.87), ("elanext_small", 12.4), ("elanext_base", 29.5)],
)
def test_the_encoders_have_the_sizes_of_the_documentation(name, millions):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


def test_every_variant_is_registered():
    assert set(ELANEXT_VARIANTS) <= set(timm.list_models("elanext_*"))
