"""Training steps recorded once and replayed: for networks whose kernels a GPU runs faster than it gets them."""

import inspect

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.config import TrainerConfig


def refuse_unrecordable(config: TrainerConfig, trainer: L.Trainer, network: nn.Module) -> None:
    """Refuse a device without graphs, and a network of which training runs more than ``forward``.

    Raises:
        UserError: if ``config`` asks for a recorded step.
    """
    device = trainer.strategy.root_device.type
    if config.cuda_graphs and device != "cuda":
        raise UserError(f"trainer.cuda_graphs: is for a CUDA device, and the run trains on {device}. Set it to false.")
    if config.cuda_graphs and len(getattr(network, "auxiliary_heads", ())):
        raise UserError("trainer.cuda_graphs: a network with auxiliary heads cannot be recorded. Set it to false.")


class CudaGraphs(Callback):
    """Records the network's forward and backward pass at the first batch, and replays them at the others.

    A pass of a small network is some thousand short kernels, and launching them can take the host longer than running
    them takes the GPU. A recorded pass is one launch. It takes batches of one size, which those of training are;
    whatever is evaluated goes the usual way. A copy of the network that is made meanwhile replays the passes of the
    original.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        network = pl_module.model
        plain = network.forward

        def forward(x: torch.Tensor) -> torch.Tensor:
            if not (network.training and torch.is_grad_enabled()):
                return plain(x)
            del network.forward
            _record(network, x)
            return network(x)

        network.forward = forward

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.model.__dict__.pop("forward", None)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.on_train_end(trainer, pl_module)


def _record(network: nn.Module, x: torch.Tensor) -> None:
    """Put a ``forward`` into the network that replays, for training mode and batches like ``x``.

    The passes that this takes leave no trace in statistics and random generators.
    """
    buffers = [buffer.clone() for buffer in network.buffers()]
    record, options = torch.cuda.make_graphed_callables, {"allow_unused_input": True}
    if "capture_error_mode" in inspect.signature(record).parameters:  # other threads, which pin batches, go on
        options["capture_error_mode"] = "thread_local"
    dtype, enabled = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
    autocast = torch.autocast("cuda", dtype=dtype, enabled=enabled, cache_enabled=False)  # a cast is part of the pass
    try:
        with torch.random.fork_rng(devices=[x.device]), autocast:
            record(network, (torch.zeros_like(x),), **options)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError) as error:
        first = _first_of(error)
        reason = (str(first).strip() or type(first).__name__).splitlines()[0]
        raise UserError(f"trainer.cuda_graphs: the network cannot be recorded ({reason}). Set it to false.") from error
    for buffer, before in zip(network.buffers(), buffers, strict=True):
        buffer.copy_(before)


def _first_of(error: BaseException) -> BaseException:
    """What went wrong first: the end of a recording that failed fails, too."""
    while error.__context__ is not None:
        error = error.__context__
    return error
