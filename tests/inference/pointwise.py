"""A network of which a pixel's logits can be told, and what goes with it."""

import torch
from torch import nn

from segnext_pafpn.models.preprocessing import Preprocessing


class Pointwise(nn.Module):
    """Logits of a pixel from that pixel alone; remembers the sizes it was called with."""

    def __init__(self, classes=4):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.GELU(), nn.Conv2d(8, classes, 1))
        self.sizes = []

    def forward(self, x):
        self.sizes.append(tuple(x.shape[-2:]))
        return self.network(x)


def sized(image_size, channels=3):
    return Preprocessing(
        class_names=("a", "b", "c"),
        class_colors=((1, 2, 3), (4, 5, 6), (7, 8, 9)),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        image_size=image_size,
    )
