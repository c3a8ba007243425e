"""A network that was exported computes what it did, at other sizes too, and says what it takes."""

import importlib.util
import json
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from segnext_pafpn.cli import main
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference import export
from segnext_pafpn.inference.export import DESCRIPTION, export_model
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models import SegNeXt
from segnext_pafpn.models.bundle import load_preprocessing, save_bundle, save_preprocessing
from segnext_pafpn.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD


def run_onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": x.numpy()})[0])


RUNS = {
    "network.onnx": run_onnx,
    "network.pt2": lambda path, x: torch.export.load(path).module()(x),
    "network.ts": lambda path, x: torch.jit.load(path)(x),
}


def description_of_onnx(path):
    import onnx

    for value in (*onnx.load(path).graph.input, *onnx.load(path).graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}[DESCRIPTION]


def description_of_program(path):
    inside = {DESCRIPTION: ""}
    torch.export.load(path, extra_files=inside)
    return inside[DESCRIPTION]


DESCRIPTIONS = {"network.onnx": description_of_onnx, "network.pt2": description_of_program}


def test_the_file_gives_the_logits_of_predict_at_any_size(checkpoint, preprocessing, make_image, tmp_path, capsys):
    """As TorchScript; as ONNX this network is made, and compared, by the README's command."""
    name = "network.ts"
    output = tmp_path / "made" / name
    assert main(["export", "--checkpoint", str(checkpoint), "-o", str(output)]) == 0
    said = capsys.readouterr()
    assert f"The network is {output}" in said.out and "Its logits are the network's own" in said.out and not said.err
    assert sorted(path.name for path in output.parent.iterdir()) == [name, f"{name}.json"]
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    for batch, height, width in ((1, 96, 80), (3, 45, 131)):
        images = [make_image(height, width) for _ in range(batch)]
        x = (np.stack(images) / 255 - IMAGENET_MEAN) / IMAGENET_STD
        with torch.no_grad():
            logits = RUNS[name](output, torch.from_numpy(x).float().permute(0, 3, 1, 2).contiguous())
        expected = torch.stack([predictor.logits(image) for image in images])
        torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)
    values = json.loads((output.parent / f"{name}.json").read_text())
    assert values["preprocessing"]["class_names"] == list(preprocessing.class_names)
    assert values["input"]["channels"] == 3 and values["input"]["size"] is None and values["input"]["multiple_of"] == 1
    assert str(IMAGENET_MEAN) in values["input"]["meaning"] and "largest logit" in values["output"]["meaning"]
    inside = {DESCRIPTION: ""}
    torch.jit.load(output, _extra_files=inside)
    assert json.loads(inside[DESCRIPTION]) == values


@pytest.mark.parametrize("name", ["network.onnx", "network.pt2"])
def test_a_network_of_smp_takes_multiples_of_its_stride(preprocessing, tmp_path, name):
    torch.manual_seed(0)
    network = smp.FPN("resnet18", encoder_weights=None, classes=4).eval()
    save_bundle(network, preprocessing, tmp_path / "model")
    assert export_model(tmp_path / "model", tmp_path / name, size=(64, 96)).difference < 1e-3
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(RUNS[name](tmp_path / name, x), network(x), atol=1e-3, rtol=1e-3)
    values = json.loads((tmp_path / f"{name}.json").read_text())
    assert json.loads(DESCRIPTIONS[name](tmp_path / name)) == values
    values = values["input"]
    assert values["size"] == [64, 96] and values["multiple_of"] == 32
    with pytest.raises(UserError, match=r"--size: found \[64, 90\], expected .* multiples of 32"):
        export_model(tmp_path / "model", tmp_path / "other.onnx", size=(64, 90))


def test_what_is_there_is_replaced_on_request_alone(checkpoint, tmp_path):
    (tmp_path / "network.ts.json").write_text("precious")
    with pytest.raises(UserError, match=r"network\.ts\.json: is there already. Replace it with --overwrite true"):
        export_model(checkpoint, tmp_path / "network.ts")
    assert [path.name for path in tmp_path.iterdir()] == ["network.ts.json"]
    export_model(checkpoint, tmp_path / "network.ts", overwrite=True)
    assert json.loads((tmp_path / "network.ts.json").read_text())["format"] == "torchscript"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "network.tflite"], "network.tflite: its suffix is of no format. Expected .onnx (onnx), .pt2"),
        (["-o", "network.bin", "--format", "onx"], "--format: 'onx' is not known. Did you mean 'onnx'?"),
        (["-o", "network.onnx", "--size", "64"], "size: expected two numbers in brackets, found 64."),
        (["-o", "network.ts", "--checkpoint", "nowhere"], "nowhere: no such folder."),
    ],
)
def test_mistakes_get_one_line(checkpoint, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    given = [] if "--checkpoint" in options else ["--checkpoint", str(checkpoint)]
    assert main(["export", *given, *options]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1
    assert not any(tmp_path.iterdir())


def hide(monkeypatch, package):
    """As if it were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == package else find(name, *_))


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_what_installs_it(checkpoint, tmp_path, monkeypatch, missing):
    hide(monkeypatch, missing)
    with pytest.raises(UserError, match=rf'{missing} is not installed.*pip install "segnext-pafpn\[export\]"'):
        export_model(checkpoint, tmp_path / "network.onnx")
    assert not any(tmp_path.iterdir())


def test_without_onnxruntime_nothing_is_compared(tmp_path, monkeypatch):
    hide(monkeypatch, "onnxruntime")
    assert export._READERS["onnx"](tmp_path / "network.onnx") is None


def test_a_file_that_computes_something_else_is_not_kept(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(export._READERS, "torchscript", lambda path: lambda x: torch.zeros(len(x), 4, *x.shape[2:]))
    with pytest.raises(UserError, match="the exported file computes other logits, by .* Nothing was written"):
        export_model(checkpoint, tmp_path / "network.ts")
    assert not any(tmp_path.iterdir())


def test_what_torchscript_cannot_say_is_refused(preprocessing, tmp_path):
    network = SegNeXt("mscan_tiny", classes=4, decoder_channels=16, decoder_rank=4)
    save_bundle(network, preprocessing, tmp_path / "model")
    with pytest.raises(UserError, match="segnext-mscan_tiny: TorchScript cannot say this network. Choose onnx or"):
        export_model(tmp_path / "model", tmp_path / "network.ts")


def _with_try(x):
    try:
        return x
    except ValueError:
        return -x


def _with_unknown_call(x):
    return x.no_such_method()


@pytest.mark.parametrize("function", [_with_try, _with_unknown_call])
def test_what_torchscripts_parser_or_compiler_refuses_is_one_line(checkpoint, tmp_path, monkeypatch, function):
    script = torch.jit.script
    monkeypatch.setattr(torch.jit, "script", lambda model: script(function))
    with pytest.raises(UserError, match=r"pafpnext-elanext_nano: TorchScript does not take this network \("):
        export_model(checkpoint, tmp_path / "network.ts")
    assert not list(tmp_path.iterdir())


def test_an_image_size_and_the_way_back_are_said(checkpoint, tmp_path):
    bundle = copytree(checkpoint, tmp_path / "model")
    save_preprocessing(replace(load_preprocessing(bundle), image_size=(96, 144)), bundle)
    export_model(bundle, tmp_path / "network.ts", size=(96, 160))
    values = json.loads((tmp_path / "network.ts.json").read_text())
    assert "resized to 96 x 144 (height x width)" in values["input"]["meaning"]
    assert values["input"]["size"] is None  # a script takes any


def test_a_program_takes_sides_from_its_smallest_on(checkpoint, tmp_path):
    export_model(checkpoint, tmp_path / "network.pt2")
    smallest = json.loads((tmp_path / "network.pt2.json").read_text())["input"]["smallest_side"]
    program = torch.export.load(tmp_path / "network.pt2").module()
    assert program(torch.zeros(1, 3, smallest, smallest)).shape == (1, 4, smallest, smallest)
    with pytest.raises((AssertionError, RuntimeError)):
        program(torch.zeros(1, 3, smallest - 1, smallest - 1))
