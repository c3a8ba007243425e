"""The command line as a user meets it: processes, files, exit codes, shipped configurations."""

import json
import os
import re
import signal
import subprocess
import sys
from configparser import ConfigParser
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

from segnext_pafpn import doctor
from segnext_pafpn.arguments import shipped_configs
from segnext_pafpn.cli import COMMANDS, load_command, main
from segnext_pafpn.evaluation.per_image import ImageMatrices, save_images
from tests.conftest import SMALL_RUN, run_cli, write_image_folder
from tests.data.layouts import isbi2012, make_camvid


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A run of one epoch on the built-in streets."""
    folder = tmp_path_factory.mktemp("runs")
    result = run_cli(
        "train", "--config", "quickstart", "--output_dir", folder, "--name", "small", *SMALL_RUN,
        "--trainer.max_epochs", 1, "--trainer.limit_train_batches", 4, "--trainer.limit_val_batches", 1,
        "--trainer.check_val_every_n_epoch", 1, "--data.check", "false",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "mIoU" in result.stdout and "predictions.png" in result.stdout
    started = f"{folder}/small: trains on 1 x CPU, precision 32-true, from 512 pictures; epoch 1 to 1, 4 steps each"
    assert result.stdout.index(started) < result.stdout.index("epoch   1  step 4/4")
    return folder / "small"


def test_train_val_predict_and_resume_hang_together(run_folder, tmp_path, capsys):
    assert main(["samples", "--data", "streets", "--split", "test", "--count", "2", "-o", f"{tmp_path}/held-out"]) == 0
    images = sorted((tmp_path / "held-out/images").iterdir())
    assert len(images) == len(list((tmp_path / "held-out/masks").iterdir())) == 2

    predict = run_cli(
        "predict", "--checkpoint", run_folder, "-i", tmp_path / "held-out/images", "-o", tmp_path / "out",
        "--color", "true", "--overlay", "true", "--device", "cpu",
    )  # fmt: skip
    assert predict.returncode == 0, predict.stderr
    assert "2 masks are in" in predict.stdout
    mask = np.asarray(Image.open(tmp_path / "out" / images[0].name))
    assert mask.shape == (128, 192) and mask.dtype == np.uint8 and mask.max() < 8
    assert (tmp_path / "out/color" / images[0].name).is_file()
    assert (tmp_path / "out/overlay" / images[0].name).is_file()

    assert main(["val", "--checkpoint", str(run_folder), "--split", "test", "--trainer.accelerator", "cpu"]) == 0
    assert f"{run_folder}/metrics_test.json." in capsys.readouterr().out
    scored = json.loads((run_folder / "metrics_test.json").read_text())
    assert scored["split"] == "test" and scored["card"] == "streets" and scored["limit_val_batches"] is None
    assert scored["images"] == scored["images_in_split"] > 0
    cut = json.loads((run_folder / "metrics_val.json").read_text())
    assert cut["card"] == "streets" and cut["limit_val_batches"] == 1 and cut["images"] < cut["images_in_split"]

    resume = run_cli("train", "--resume", run_folder, "--trainer.max_epochs", 2)
    assert resume.returncode == 0, resume.stderr
    assert yaml.safe_load((run_folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2


def _heed_interrupts() -> None:
    """A shell's job in the background ignores them, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_run_that_is_interrupted_says_how_to_go_on(tmp_path):
    command = [
        sys.executable, "-m", "segnext_pafpn.cli", "train", "--config", "quickstart", "--output_dir", str(tmp_path),
        *SMALL_RUN, "--trainer.max_epochs=1000", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1",
        "--trainer.check_val_every_n_epoch=1", "--data.check=false",
    ]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=_heed_interrupts, **pipes) as process:
        try:
            for line in process.stdout:
                if line.startswith("epoch   2"):
                    break
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "stopped"
    assert f"The run goes on with: segnext-pafpn train --resume {tmp_path}/quickstart" in output
    assert (tmp_path / "quickstart/checkpoints/last.ckpt").is_file()


def test_scripts_at_the_top_are_the_same_commands():
    root = Path(__file__).parent.parent
    for script, word in (("train_seg.py", "--optim.lr"), ("predict_seg.py", "--checkpoint")):
        result = subprocess.run([sys.executable, root / script, "--help"], capture_output=True, text=True, check=True)
        assert word in result.stdout


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "COMMAND [options]" in text
    for name, (_, line) in COMMANDS.items():
        assert f"{name:<10}{line}\n" in text and load_command(name).__doc__ == line
    assert main(["--version"]) == 0


@pytest.mark.parametrize("command", ["train", "check", "val", "samples"])
def test_help_says_that_data_takes_a_card(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert re.search(r"--data CARD\s+short for --data.card", text) and "configuration file" not in text


HEAVY = {"torch", "lightning", "timm", "segmentation_models_pytorch", "torchmetrics", "albumentations", "matplotlib"}


def imported_by(folder: Path, code: int, *arguments: object) -> set[str]:
    """Which of the heavy packages a command has imported, which must end with ``code``."""
    lines = (
        "import sys",
        "from segnext_pafpn_program import main",
        f"assert main({[str(a) for a in arguments]}) == {code}",
        f"print(*({HEAVY} & sys.modules.keys()), file=sys.stderr)",
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", "\n".join(lines)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=environment)
    return set(result.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["trian"], 2),
        (["samples", "--data", "cells", "--count", "1", "-o", "out"], 0),
        (["samples", "--cuont", "1"], 2),
        (["train", "--optim.lrr", "1"], 2),
        (["predict", "--chekpoint", "a"], 2),
    ],
)
def test_what_computes_nothing_does_without_torch(tmp_path, arguments, code):
    assert imported_by(tmp_path, code, *arguments) == set()


def test_check_reads_a_data_set_without_torch(dataset):
    assert imported_by(dataset, 0, "check", "--data", "card.yaml", "--html", "check.html") == set()
    assert (dataset / "check.html").is_file()


def test_compare_and_folds_need_no_torch(tmp_path):
    for seed, name in enumerate(("first", "second")):
        matrices = np.array([[[9 - seed, seed], [1, 9]]] * 3)
        save_images(
            ImageMatrices(("a", "b", "c"), matrices, ("no", "yes"), "val"), tmp_path / name / "metrics_val_images.npz"
        )
    assert imported_by(tmp_path, 0, "compare", "first", "second") == set()
    save_images(ImageMatrices(("d",), matrices[:1], ("no", "yes"), "val"), tmp_path / "third/metrics_val_images.npz")
    assert imported_by(tmp_path, 0, "folds", "first", "third") == set()


def test_doctor_needs_torch_alone(tmp_path):
    assert imported_by(tmp_path, 0, "doctor") == {"torch"}


def test_the_program_can_be_run_as_a_module(tmp_path):
    code = "import runpy, sys; sys.argv = ['x', '--version']; runpy.run_module('segnext_pafpn_program', alter_sys=True)"
    lines = f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit:\n    assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=Path(__file__).parent.parent)


def test_the_program_still_registers_the_networks_where_they_are_needed():
    lines = (
        "import segnext_pafpn_program",
        "import segnext_pafpn.models.factory",
        "import timm, segmentation_models_pytorch as smp",
        "assert timm.is_model('elanext_tiny') and 'elanext_tiny' in smp.encoders.encoders",
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=root)


def test_print_config_shows_overrides(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--config", "quickstart", "--optim.lr", "0.5", "--print_config"])
    assert stopped.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["optim"]["lr"] == 0.5
    assert config["data"]["card"] == "streets"


def test_doctor_names_versions(capsys):
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out


def test_doctor_lists_optional_packages_with_the_extra_that_has_them(monkeypatch):
    version = doctor.importlib.metadata.version

    def lacks_some(name: str) -> str:
        if name in ("tifffile", "onnx"):
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", lacks_some)
    table, problems = doctor.doctor_table()
    console = Console(width=250, file=StringIO())
    console.print(table)
    out = console.file.getvalue()
    assert problems == [] and version("nibabel") in out
    for extra in ("medical", "export"):
        assert out.count(f'not installed; optional: pip install "segnext-pafpn[{extra}]"') == 1
    extras = ConfigParser()
    extras.read(Path(__file__).parent.parent / "setup.cfg")
    for package, extra in doctor._OPTIONAL.items():
        assert f"\n{package} >= " in extras["options.extras_require"][extra]


def test_check_prints_shares_and_passes_good_data(capsys, dataset):
    assert main(["check", "--data", str(dataset / "card.yaml")]) == 0
    out = capsys.readouterr().out
    assert "building" in out and "training may start" in out


MAKERS = {"camvid": make_camvid, "isbi2012": isbi2012, "isbi2012-folds": isbi2012}
CONFIGS = {
    name: yaml.safe_load((Path(__file__).parent.parent / "configs" / f"{name}.yaml").read_text())
    for name in shipped_configs()
}
PRETRAINING = [name for name, config in CONFIGS.items() if "card" not in config["data"]]  # classes are folders there


@pytest.mark.parametrize("name", PRETRAINING)
def test_every_shipped_configuration_pretrains(tmp_path, name):
    write_image_folder(tmp_path / "data", train=2, val=1)
    code = main([
        "pretrain", "--config", name, "--output_dir", str(tmp_path), "--name", "run", f"--data.root={tmp_path}/data",
        "--data.input_size=32", "--data.batch_size=2", "--data.num_workers=0", "--trainer.accelerator=cpu",
        "--trainer.max_epochs=1", "--optim.warmup_epochs=0", "--trainer.precision=32-true",
    ])  # fmt: skip
    assert code == 0
    assert (tmp_path / "run/encoder.safetensors").is_file()


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - set(PRETRAINING)))
def test_every_shipped_configuration_trains(tmp_path, name):
    config = CONFIGS[name]
    root = tmp_path / "data"
    arguments = ["--data.crop_size=[64, 96]"]
    if config["model"].get("arch") == "article":
        # torch's bf16 weight gradient of a dense 7x7 kernel on 2x3 pixels reads memory nobody wrote, on one CPU thread
        arguments.append("--trainer.precision=32-true")
    if maker := MAKERS.get(config["data"]["card"]):
        maker(root)
        arguments.append(f"--data.root={root}")
    code = main([
        "train", "--config", name, "--output_dir", str(tmp_path), "--name", "run", "--data.batch_size=2", *arguments,
        "--data.samples_per_epoch=4", "--data.num_workers=0", "--trainer.accelerator=cpu", "--trainer.max_epochs=1",
        "--trainer.check_val_every_n_epoch=1", "--trainer.limit_val_batches=1", "--optim.warmup_steps=1",
        "--data.val_batch_size=1",
    ])  # fmt: skip
    assert code == 0
    assert (tmp_path / "run/model/model.safetensors").is_file()
