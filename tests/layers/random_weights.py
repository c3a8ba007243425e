"""Networks as if they had been trained: no weight at its initial value."""

import torch
from torch import nn


def randomise_norms(module: nn.Module, seed: int) -> nn.Module:
    """Give every BatchNorm the statistics and weights of a network that has been trained."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.3, 3.0, generator=generator)
            layer.weight.data.uniform_(-1.5, 1.5, generator=generator)
            layer.bias.data.normal_(generator=generator)
    return module


@torch.no_grad()
def randomise_vectors(module: nn.Module, seed: int) -> nn.Module:
    """Give every bias, norm and LayerScale a value of its own, so that a confusion of two would show."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.ndim == 1:
            parameter.uniform_(0.2, 1.0, generator=generator)
    return module
