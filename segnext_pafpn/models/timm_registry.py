"""Makes a backbone and its named sizes known to timm."""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

_DEFAULT_CFG = {
    "url": "",
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "pool_size": (7, 7),
    "crop_pct": 0.875,
    "interpolation": "bicubic",
    "mean": IMAGENET_DEFAULT_MEAN,
    "std": IMAGENET_DEFAULT_STD,
    "classifier": "head.fc",
    "license": "apache-2.0",
}


def register_variants(
    network_class: type[nn.Module],
    variants: Mapping[str, Mapping[str, Any]],
    first_conv: str,
    feature_cfg: Mapping[str, Any],
) -> None:
    """Register every row of ``variants`` with timm as a model of that name, without pretrained weights.

    timm's ``register_model`` wants a function of the network's own module, where it adds the name to ``__all__``
    and looks into ``default_cfgs``; so both functions and ``default_cfgs`` are put there. As timm's own do, the
    functions take a ``device``, on which the network is built, and a ``dtype``, to which its weights are rounded.

    Args:
        network_class: has 32 as its coarsest stride and its classifier at ``head.fc``.
        variants: the network's arguments by the model's name.
        first_conv: name of the convolution that reads the image.
        feature_cfg: what timm needs to build the network with ``features_only=True``.
    """
    module = sys.modules[network_class.__module__]
    default_cfg = {**_DEFAULT_CFG, "first_conv": first_conv}
    module.default_cfgs = generate_default_cfgs({f"{name}.untrained": default_cfg for name in variants})
    for name, variant in variants.items():
        entry_point = _entry_point(name, network_class, variant, feature_cfg)
        setattr(module, name, register_model(entry_point))


def _entry_point(
    name: str, network_class: type[nn.Module], variant: Mapping[str, Any], feature_cfg: Mapping[str, Any]
) -> Callable[..., nn.Module]:
    def create(
        pretrained: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **kwargs: Any,
    ) -> nn.Module:
        with nullcontext() if device is None else torch.device(device):
            model = build_model_with_cfg(
                network_class, name, pretrained, feature_cfg=dict(feature_cfg), **{**variant, **kwargs}
            )
        return model if dtype is None else model.to(dtype)

    create.__name__ = create.__qualname__ = name
    create.__module__ = network_class.__module__
    return create
