"""The ways to run a network that are worth comparing. Each takes a network and an image batch, gives a call."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

Run = Callable[[], object]
CLASSES = 11


class Unavailable(Exception):
    """This machine, or this network, cannot go this way; says why."""


def train_step(network: nn.Module, image: torch.Tensor, classes: int) -> Run:
    """A step of AdamW on cross-entropy, eager, in float32, in the layout that network and image have."""
    return _step(network.train(), image, network, None, classes)


def _step(
    network: nn.Module, image: torch.Tensor, forward: Callable, precision: torch.dtype | None, classes: int = CLASSES
) -> Run:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=image.is_cuda)
    target = torch.randint(0, classes, (image.shape[0], *image.shape[-2:]), device=image.device)

    def step() -> None:
        with torch.autocast(image.device.type, dtype=precision, enabled=precision is not None):
            logits = forward(image)
        F.cross_entropy(logits.float(), target).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _train(
    precision: torch.dtype | None, channels_last: bool, compiled: bool
) -> Callable[[nn.Module, torch.Tensor], Run]:
    def prepare(network: nn.Module, image: torch.Tensor) -> Run:
        network, image = _arrange(network.train(), image, channels_last)
        forward = _compile(network) if compiled else network
        return _step(network, image, forward, precision)

    return prepare


def _predict(
    precision: torch.dtype | None = None, channels_last: bool = False, fused: bool = False, compiled: bool = False
) -> Callable[[nn.Module, torch.Tensor], Run]:
    def prepare(network: nn.Module, image: torch.Tensor) -> Run:
        network = network.eval()
        if hasattr(network, "fuse"):
            if fused:
                network.fuse()
        elif fused and not compiled:
            raise Unavailable("has no fuse()")
        network, image = _arrange(network, image, channels_last)
        forward = _compile(network) if compiled else network

        @torch.inference_mode()
        def predict() -> torch.Tensor:
            with torch.autocast(image.device.type, dtype=precision, enabled=precision is not None):
                return forward(image)

        return predict

    return prepare


def _cuda_graph(network: nn.Module, image: torch.Tensor) -> Run:
    """Compiled in bfloat16 and replayed as one graph: no launch of a kernel by the host."""
    if not image.is_cuda:
        raise Unavailable("CUDA graphs need a GPU")
    if hasattr(network, "fuse"):
        network.eval().fuse()
    network, image = _arrange(network.eval(), image, channels_last=True)
    forward = torch.compile(network, mode="reduce-overhead")
    skips = torch._dynamo.utils.counters["inductor"]["cudagraph_skips"]

    @torch.inference_mode()
    def predict() -> torch.Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return forward(image)

    for _ in range(3):  # warms up, records, replays
        predict()
    if torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] > skips:
        raise Unavailable("torch.compile runs this network without a graph")
    return predict


def _onnxruntime(network: nn.Module, image: torch.Tensor) -> Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable("onnxruntime is not installed") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    provider = "CUDAExecutionProvider" if image.is_cuda else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise Unavailable(f"onnxruntime has no {provider}")
    with tempfile.TemporaryDirectory() as folder:
        session = onnxruntime.InferenceSession(_export(network, image, folder), options, providers=[provider])
    array = image.cpu().numpy()
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: array})


def _openvino(network: nn.Module, image: torch.Tensor) -> Run:
    try:
        import openvino
    except ImportError as error:
        raise Unavailable("openvino is not installed") from error
    if image.is_cuda:
        raise Unavailable("openvino has no CUDA device")
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"})
    with tempfile.TemporaryDirectory() as folder:
        request = core.compile_model(core.read_model(_export(network, image, folder)), "CPU").create_infer_request()
    array = image.numpy()
    return lambda: request.infer([array])


def _export(network: nn.Module, image: torch.Tensor, folder: str) -> str:
    path = str(Path(folder) / "network.onnx")
    try:
        torch.onnx.export(network.eval(), (image,), path, dynamo=True, external_data=False, verbose=False)
    except ImportError as error:
        raise Unavailable(f"export to ONNX: {error}") from error
    return path


def _arrange(network: nn.Module, image: torch.Tensor, channels_last: bool) -> tuple[nn.Module, torch.Tensor]:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return network.to(memory_format=layout), image.contiguous(memory_format=layout)


def _compile(network: nn.Module) -> nn.Module:
    if not torch.cuda.is_available() and shutil.which(os.environ.get("CXX", "g++")) is None:
        raise Unavailable("torch.compile needs a C++ compiler here")
    # All networks of smp share one forward(), which dynamo would compile for eight of them, and run the rest eagerly.
    torch._dynamo.config.cache_size_limit = 1000
    return torch.compile(network)


TRAINING = {
    "train eager float32": _train(None, channels_last=False, compiled=False),
    "train channels_last float32": _train(None, channels_last=True, compiled=False),
    "train channels_last bfloat16": _train(torch.bfloat16, channels_last=True, compiled=False),
    "train compiled channels_last bfloat16": _train(torch.bfloat16, channels_last=True, compiled=True),
}
INFERENCE = {
    "eager float32": _predict(),
    "channels_last float32": _predict(channels_last=True),
    "channels_last bfloat16": _predict(torch.bfloat16, channels_last=True),
    "fused channels_last float32": _predict(channels_last=True, fused=True),
    "fused channels_last bfloat16": _predict(torch.bfloat16, channels_last=True, fused=True),
    "compiled channels_last float32": _predict(channels_last=True, fused=True, compiled=True),
    "compiled channels_last bfloat16": _predict(torch.bfloat16, channels_last=True, fused=True, compiled=True),
    "CUDA graph, compiled channels_last bfloat16": _cuda_graph,
    "ONNX Runtime": _onnxruntime,
    "OpenVINO": _openvino,
}
