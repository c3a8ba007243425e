"""What the layers share that compute on a CPU in another way than PyTorch does."""

import torch


def is_eager_on_cpu(x: torch.Tensor) -> bool:
    """Whether ``x`` has its values in a CPU's memory, and does not stand for a tensor while a graph is made.

    Nor is it transformed by ``torch.func``, which knows how to differentiate PyTorch's layers alone.
    """
    return (
        type(x) is torch.Tensor
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and torch._C._functorch.peek_interpreter_stack() is None  # torch.func has no public way to ask
    )


def as_autocast(x: torch.Tensor) -> torch.Tensor:
    """``x`` in the dtype that autocast has a CPU's convolutions compute in, if it is on."""
    return x.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else x
