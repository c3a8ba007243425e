"""The least time a network can take on a device: per convolution or product, its arithmetic or its memory traffic."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from speed_paths import Unavailable
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import conv_flop_count, flop_registry

H100_TFLOPS = 800.0  # in bfloat16; taken to be reachable, not measured
H100_GBPS = 3350.0


@dataclass
class Floor:
    """Sums over the operations with arithmetic worth counting.

    Args:
        gflop: 2 x multiply-adds.
        gbyte: read and written, at the given bytes per element.
        milliseconds: sum of max(arithmetic, traffic).
    """

    gflop: float = 0.0
    gbyte: float = 0.0
    milliseconds: float = 0.0


def _backward_flops(
    gradient: torch.Tensor, image: torch.Tensor, weight: torch.Tensor, *settings: object, out_val: object
) -> int:
    """The gradients of image and weight cost as much as the forward pass each.

    torch's own count takes the weight's gradient of a grouped convolution for that of a dense one: for a depthwise
    one that is as many times too much as there are channels.
    """
    *_, transposed, _, _, wanted = settings
    return sum(wanted[:2]) * conv_flop_count(image.shape, weight.shape, gradient.shape, transposed)


_COUNTS = {**flop_registry, torch.ops.aten.convolution_backward: _backward_flops}


class _Counter(TorchDispatchMode):
    def __init__(self, tflops: float, gbps: float, element_bytes: int):
        super().__init__()
        self.floor = Floor()
        self.tflops, self.gbps, self.element_bytes = tflops, gbps, element_bytes

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        count = _COUNTS.get(function._overloadpacket)
        if count is not None:
            gflop = count(*args, **(kwargs or {}), out_val=out) / 1e9
            elements = sum(t.numel() for t in tree_leaves((args, out)) if isinstance(t, torch.Tensor))
            gbyte = self.element_bytes * elements / 1e9
            self.floor.gflop += gflop
            self.floor.gbyte += gbyte
            self.floor.milliseconds += max(gflop / self.tflops, 1000 * gbyte / self.gbps)
        return out


def measure_floor(
    network: nn.Module, image: torch.Tensor, train: bool, tflops: float, gbps: float, element_bytes: int = 2
) -> Floor:
    """Count one call, with its backward pass where ``train``, on the meta device: nothing is computed.

    Args:
        image: ``(B, C, H, W)``, of which only the shape is used.
        tflops: 10^12 operations per second of the device.
        gbps: 10^9 bytes per second of its memory.

    Raises:
        Unavailable: if the network does not train on so few images.
    """
    copy = deepcopy(network).to("meta").train(train)
    counter = _Counter(tflops, gbps, element_bytes)
    with counter, torch.set_grad_enabled(train):
        try:
            out = copy(torch.empty(image.shape, device="meta"))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise Unavailable("BatchNorm over one pooled pixel does not train on one image") from error
        if train:
            out.sum().backward()
    return counter.floor
