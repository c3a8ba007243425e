"""A trained network as one file that runs without this package: ONNX, torch.export or TorchScript.

The file takes what the network takes: normalised floats (B, C, H, W), to logits (B, K, H, W). What an image goes
through before it, and how logits become a mask, stands in a JSON file beside it, and in the file itself.
"""

import importlib.util
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.jit.frontend import FrontendError

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import refuse_no_file, write_atomic, write_json, write_through_memory
from segnext_pafpn.inference.export_formats import format_of
from segnext_pafpn.models.any_size import required_stride
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.describe import describe_images, describe_masks
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.quiet import errors_alone

DESCRIPTION = "description.json"  # what it is called in the files: ONNX's metadata, torch's extra files
TOLERANCE = 1e-3  # of the largest logit, at least of 1

Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class ExportReport:
    """What came of it.

    Args:
        path: the network.
        json: what it takes and gives, beside it.
        format: ``onnx``, ``torch_export`` or ``torchscript``.
        difference: largest one between its logits and the network's own; None where nothing here can run it.
    """

    path: Path
    json: Path
    format: str
    difference: float | None


def export_model(
    checkpoint: str | Path,
    output: str | Path,
    format: str | None = None,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write the network of a run, its norms and branches folded, and compare what the file computes with the network.

    Args:
        checkpoint: folder of a finished run, or its ``model/`` folder.
        format: of :data:`~segnext_pafpn.inference.export_formats.SUFFIXES`; None: what the suffix of ``output`` says.
        size: height and width of all images; None for any, as many at once as one likes.
        overwrite: replace files that are there already.

    Raises:
        UserError: if the network has no such form, its logits are others, a package is missing, or a file is in the
            way; nothing is written then.
    """
    output = Path(output)
    format, description = format_of(output, format), output.with_name(f"{output.name}.json")
    for path in (output, description):
        refuse_no_file(path)
        if path.exists() and not overwrite:
            raise UserError(f"{path}: is there already. Replace it with --overwrite true, or choose another output.")
    if format == "onnx":
        _refuse_missing_packages()
    model, preprocessing = load_bundle(checkpoint)
    if hasattr(model, "fuse"):
        model.fuse()
    stride = required_stride(model)
    if size is not None and (min(size) < 1 or any(side % stride for side in size)):
        raise UserError(f"--size: found {list(size)}, expected a height and width that are multiples of {stride}.")
    fixed = None if format == "torchscript" else size  # a script takes any
    values = _describe(model, preprocessing, format, fixed, stride)
    images = _images(preprocessing.channels, size, stride)
    with torch.no_grad(), write_atomic(output) as temporary, _quiet():
        _WRITERS[format](model, images[0], temporary, size is None, json.dumps(values))
        difference = _difference(model, _READERS[format](temporary), images)
    write_json(values, description)
    return ExportReport(output, description, format, difference)


def _describe(
    model: nn.Module, preprocessing: Preprocessing, format: str, size: tuple[int, int] | None, stride: int
) -> dict:
    """What the file takes and gives; it also stands in the file itself."""
    return {
        "format": format,
        "network": model.name,
        "input": {
            "layout": "NCHW",
            "type": "float32",
            "channels": preprocessing.channels,
            "size": None if size is None else list(size),
            "multiple_of": stride,
            "smallest_side": _smallest_side(model, format, size, stride),
            "meaning": describe_images(preprocessing),
        },
        "output": {
            "layout": "NCHW",
            "type": "float32",
            "meaning": f"logits of the classes, in their order. {describe_masks(preprocessing)}",
        },
        "preprocessing": asdict(preprocessing),
    }


def _smallest_side(model: nn.Module, format: str, size: tuple[int, int] | None, stride: int) -> int:
    """Of any image that the file takes; ``torch.export`` sets sizes apart that give maps of a single pixel."""
    if size is not None:
        return min(size)
    return model.encoder.output_stride + 1 if format == "torch_export" and stride == 1 else stride


def _images(channels: int, size: tuple[int, int] | None, stride: int) -> list[torch.Tensor]:
    """Noise that the network is followed and compared on; of several sizes and numbers where these are free."""
    generator = torch.Generator().manual_seed(0)
    sizes = [size] * 2 if size else [(160, 224), (192, 128)] if stride > 1 else [(161, 227), (70, 123)]
    return [torch.randn(batch, channels, *side, generator=generator) for batch, side in zip((2, 1), sizes, strict=True)]


def _refuse_missing_packages() -> None:
    for name in ("onnx", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f'{name} is not installed, which export to ONNX needs. Install it with pip install "segnext-pafpn'
                f'[export]", or choose torch_export (.pt2) or torchscript (.ts).'
            )


def _program(model: nn.Module, image: torch.Tensor, any_size: bool) -> torch.export.ExportedProgram:
    auto = torch.export.Dim.AUTO
    shape = {0: auto, 2: auto, 3: auto} if any_size else {0: auto}
    try:
        return torch.export.export(model, (image,), dynamic_shapes=(shape,), strict=False)
    except Exception as error:  # of many classes, torch's own among them
        raise _refusal(model, "torch.export", error, any_size) from error


def _write_program(model: nn.Module, image: torch.Tensor, path: Path, any_size: bool, description: str) -> None:
    program = _program(model, image, any_size)
    files = {DESCRIPTION: description}
    write_through_memory(lambda buffer: torch.export.save(program, buffer, extra_files=files), path)


def _write_onnx(model: nn.Module, image: torch.Tensor, path: Path, any_size: bool, description: str) -> None:
    program = _program(model, image, any_size)
    axes = {0: "batch", 2: "height", 3: "width"} if any_size else {0: "batch"}
    names = dict(input_names=["image"], output_names=["logits"], dynamic_shapes=(axes,))
    try:
        network = torch.onnx.export(program, (), dynamo=True, verbose=False, **names)
    except Exception as error:  # as above, and onnxscript's
        raise _refusal(model, "ONNX", error, any_size) from error
    network.model.metadata_props[DESCRIPTION] = description
    network.save(path, external_data=False)


def _write_script(model: nn.Module, image: torch.Tensor, path: Path, any_size: bool, description: str) -> None:
    if not model._is_torch_scriptable:
        raise UserError(f"{model.name}: TorchScript cannot say this network. Choose onnx or torch_export.")
    try:
        script = torch.jit.script(model)
    except (RuntimeError, FrontendError) as error:  # what its compiler refuses, and what its parser does
        raise _refusal(model, "TorchScript", error, any_size=False) from error
    write_through_memory(lambda buffer: torch.jit.save(script, buffer, _extra_files={DESCRIPTION: description}), path)


def _refusal(model: nn.Module, form: str, error: Exception, any_size: bool) -> UserError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    advice = ' Try one size of images, as with --size "[512, 512]".' if any_size else " Choose another format."
    return UserError(f"{model.name}: {form} does not take this network ({reason}).{advice}")


def _read_onnx(path: Path) -> Run | None:
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"image": x.numpy()})[0])


def _read_program(path: Path) -> Run:
    module = torch.export.load(path).module()
    return lambda x: _first(module(x))


def _read_script(path: Path) -> Run:
    module = torch.jit.load(path)
    return lambda x: _first(module(x))


def _first(logits: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Models with a second head give the label of the whole image, too."""
    return logits[0] if isinstance(logits, tuple) else logits


def _difference(model: nn.Module, run: Run | None, images: list[torch.Tensor]) -> float | None:
    if run is None:
        return None
    largest = 0.0
    for image in images:
        expected, found = _first(model(image)), run(image)
        if found.shape != expected.shape:
            raise UserError(f"{model.name}: the exported file gives {found.shape}, expected {expected.shape}.")
        difference = (found - expected).abs().max().item()
        if not difference <= TOLERANCE * max(1.0, expected.abs().max().item()):
            raise UserError(
                f"{model.name}: the exported file computes other logits, by {difference:.3g}. Nothing was written; "
                f"choose another format."
            )
        largest = max(largest, difference)
    return largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporters say of their own doings."""
    with errors_alone("torch.onnx", "torch.export", "onnxscript", "onnx_ir"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_WRITERS = {"onnx": _write_onnx, "torch_export": _write_program, "torchscript": _write_script}
_READERS = {"onnx": _read_onnx, "torch_export": _read_program, "torchscript": _read_script}
