"""Every size of our backbones is registered as timm's own models are: a function of the network's module."""

import importlib
import pickle

import pytest
import timm

from segnext_pafpn.models import ELANEXT_VARIANTS, MSCAN_VARIANTS

MODULE_OF = {**dict.fromkeys(ELANEXT_VARIANTS, "elanext"), **dict.fromkeys(MSCAN_VARIANTS, "mscan")}


@pytest.mark.parametrize("name", MODULE_OF)
def test_an_entry_point_is_a_function_of_its_networks_module(name):
    module = importlib.import_module(f"segnext_pafpn.models.{MODULE_OF[name]}")
    function = timm.model_entrypoint(name)
    assert function is getattr(module, name) and name in module.__all__
    assert (function.__module__, function.__name__) == (module.__name__, name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert module.default_cfgs[name].default.first_conv == timm.get_pretrained_cfg(name).first_conv


@pytest.mark.parametrize("module", ["elanext", "mscan"])
def test_timm_lists_the_sizes_of_a_network_by_its_module(module):
    assert timm.list_models(module=module) == sorted(name for name, of in MODULE_OF.items() if of == module)


def test_arguments_of_the_caller_go_before_those_of_the_size():
    assert ELANEXT_VARIANTS["elanext_nano"]["widths"][0] == 32
    model = timm.create_model("elanext_nano", widths=(8, 16, 16, 16, 16), num_classes=2)
    assert model.stem.conv.out_channels == 8
    assert ELANEXT_VARIANTS["elanext_nano"]["widths"][0] == 32
