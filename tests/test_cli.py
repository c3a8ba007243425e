"""The command line as a user meets it: processes, files, exit codes, one line of error."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.arguments import shipped_configs
from segnext_pafpn.cli import COMMANDS, load_command, main
from tests.conftest import SMALL_RUN, run_cli, write_image_folder


def error_of(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must fail with exit code 2; return its one line."""
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr().err.strip()
    assert code == 2, captured
    assert captured.startswith("error: ") and "Traceback" not in captured
    return captured.splitlines()[-1]


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


def test_train_val_predict_and_resume_hang_together(run_folder, tmp_path):
    samples = run_cli("samples", "--data", "streets", "--split", "test", "--count", 2, "-o", tmp_path / "held-out")
    assert samples.returncode == 0, samples.stderr
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

    val = run_cli("val", "--checkpoint", run_folder, "--split", "test", "--trainer.accelerator", "cpu")
    assert val.returncode == 0, val.stderr
    assert f"The scores are in {run_folder}/metrics_test.json.\n" in val.stdout
    scored = json.loads((run_folder / "metrics_test.json").read_text())
    assert scored["split"] == "test" and scored["card"] == "streets" and scored["limit_val_batches"] is None
    assert scored["images"] == scored["images_in_split"] > 0
    cut = json.loads((run_folder / "metrics_val.json").read_text())
    assert cut["card"] == "streets" and cut["limit_val_batches"] == 1 and cut["images"] < cut["images_in_split"]

    resume = run_cli("train", "--resume", run_folder, "--trainer.max_epochs", 2)
    assert resume.returncode == 0, resume.stderr
    assert yaml.safe_load((run_folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2


def test_a_run_that_is_interrupted_says_how_to_go_on(tmp_path):
    command = [
        sys.executable, "-m", "segnext_pafpn.cli", "train", "--config", "quickstart", "--output_dir", str(tmp_path),
        *SMALL_RUN, "--trainer.max_epochs=1000", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1",
        "--trainer.check_val_every_n_epoch=1", "--data.check=false",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch   2"):
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
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


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["trian"], 2),
        (["samples", "--data", "cells", "--count", "1", "-o", "out"], 0),
        (["samples", "--cuont", "1"], 2),
    ],
)
def test_what_computes_nothing_does_without_torch(tmp_path, arguments, code):
    lines = (
        "import sys",
        "from segnext_pafpn_program import main",
        f"assert main({arguments}) == {code}",
        "heavy = {'torch', 'lightning', 'timm', 'segmentation_models_pytorch', 'albumentations'} & sys.modules.keys()",
        "assert not heavy, heavy",
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=tmp_path, env=environment)


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


def test_check_prints_shares_and_passes_good_data(capsys, dataset):
    assert main(["check", "--data", str(dataset / "card.yaml")]) == 0
    out = capsys.readouterr().out
    assert "building" in out and "training may start" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "'trian' is not a command. Did you mean 'train'?"),
        (["train", "--optim.lrr", "1"], "unknown option '--optim.lrr'. Did you mean 'optim.lr'?"),
        (["train", "--optim.lr", "fast"], "optim.lr: expected a number, found fast."),
        (["train", "--config", "camvidcpu"], "Did you mean 'camvid-cpu'?"),
        (["train", "--data", "camvd"], "no card is called 'camvd'. Did you mean 'camvid'?"),
        (["train", "--data", "camvid", "--data.root", "nowhere"], "nowhere: no such folder"),
        (["predict", "--checkpoint", "nowhere", "-i", "a.png", "-o", "y"], "nowhere/config.json: no such file"),
        (["predict", "--checkpoint", "nowhere", "-i", "b.png", "-o", "y"], "b.png: no images found"),
        (["val", "--checkpoint", "nowhere"], "nowhere/config.yaml: no such file"),
        (["train", "--resume", "nowhere"], "nowhere/config.yaml: no such file"),
        (["predict", "--checkpoint", "runs/x"], "input"),
        (["predict", "--checkpoint", "x", "-i", "a.png"], "--output (-o) is missing: folder for the masks"),
        (["train", "--model.options", "{a:b}"], 'a space after a colon. Write --model.options "{a: b}".'),
        (["train", "--model.options", "3"], 'expected a mapping, found 3. Write --model.options "{name: value}".'),
        (["train", "--data.crop_size", "64"], "data.crop_size: expected two numbers in brackets, found 64. Write "),
        (["train", "--data.image_size", "64"], 'Write --data.image_size "[64, 64]".'),
        (["train", "--name", "../x"], "name: '../x' is no name of a folder in output_dir (runs)"),
        (["pretrain", "--name", "a/b"], "name: 'a/b' is no name of a folder"),
        (["train", "--name", ".."], "name: '..' is no name of a folder"),
        (["check", "card.yaml"], "'card.yaml' has no option in front of it. Give a card as --data card.yaml"),
        (["check", "--data", "folder"], "data.card: folder is a folder, expected a card"),
        (["check", "--config", "card.yaml"], "If the file is a card, give it with --data."),
        (["predict", "a.png"], "a.png"),
        (["compare", "runs/a"], "expected the folders of two runs, found 1: runs/a."),
        (["compare", "a", "b", "c"], "expected the folders of two runs, found 3: a b c."),
        (
            ["train", "--model.init_from", "nosuch", "--data.check=false"],
            "model.init_from: nosuch/config.json: no such",
        ),
        (["samples", "--data", "streets", "--split", "dev", "-o", "x"], "there is no split 'dev'"),
    ],
)
def test_mistakes_get_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("a.png")
    Path("folder").mkdir()
    Path("card.yaml").write_text("classes: [{name: a}, {name: b}]\nlayout: {reader: folder}")
    assert words in error_of(capsys, *arguments)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("data: {crop: [3, 3]}", "unknown key 'data.crop' in the configuration. Did you mean 'data.crop_size'?"),
        ("optimizer: {lr: 1}", "unknown key 'optimizer.lr' in the configuration. Did you mean 'optim.lr'?"),
        ("optim: {lr: [1]}", "optim.lr"),
        ("optim: [", "config"),
    ],
)
def test_mistakes_in_a_configuration_get_one_line(capsys, tmp_path, content, words):
    (tmp_path / "mine.yaml").write_text(content)
    assert words in error_of(capsys, "train", "--config", tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.encoder_name", "elanext_tny"], "Did you mean 'elanext_tiny'?"),
        (["--model.encoder_name", "tu-resnet18x"], "timm has no model 'resnet18x'. Did you mean 'resnet18"),
        (["--model.arch", "pafpnxt"], "'pafpnxt' is not known. Did you mean 'pafpnext'?"),
        (["--model.encoder_weights", "imagenet"], "'elanext_tiny' has no pretrained weights yet"),
        (["--model.options", "{decoder_chanels: 3}"], "Did you mean 'decoder_channels'?"),
    ],
)
def test_unknown_networks_get_one_line(capsys, tmp_path, options, words):
    fixed = ["--output_dir", tmp_path, "--data.check", "false", "--trainer.max_epochs", 1]
    assert words in error_of(capsys, "train", *fixed, *options)
    assert not any(tmp_path.iterdir())


def spoil_value(root):
    Image.fromarray(np.full((48, 64), 34, np.uint8)).save(root / "masks/train/t0.png")
    return "masks/train/t0.png: value 34 is not in the card (known: 0-7). Add to a class's ids, or to ignore."


def spoil_mask(root):
    (root / "masks/train/t0.png").unlink()
    return "images/train/t0.png: no mask for this image. Expected"


def spoil_size(root):
    Image.fromarray(np.zeros((48, 60), np.uint8)).save(root / "masks/val/v0.png")
    return "masks/val/v0.png: the mask is 60x48, its image 64x48"


def spoil_file(root):
    path = root / "images/train/t0.png"
    path.write_bytes(path.read_bytes()[:200])
    return "images/train/t0.png: cannot be decoded"


def spoil_folder(root):
    for path in (root / "images/val").iterdir():
        path.unlink()
    return "images/val: holds no image"


@pytest.mark.parametrize("spoil", [spoil_value, spoil_mask, spoil_size, spoil_file, spoil_folder])
@pytest.mark.parametrize("command", ["train", "check"])
def test_bad_data_is_named_before_training(capsys, dataset, tmp_path, spoil, command):
    words = spoil(dataset)
    runs = tmp_path / "runs"
    line = error_of(capsys, command, "--data", dataset / "card.yaml", "--output_dir", runs, *SMALL_RUN)
    assert words in line
    assert not runs.exists()


def test_bad_data_is_named_without_the_check_too(capsys, dataset, tmp_path):
    spoil_value(dataset)
    line = error_of(
        capsys, "train", "--data", dataset / "card.yaml", "--output_dir", tmp_path / "runs", *SMALL_RUN,
        "--data.check", "false", "--data.num_workers", 1, "--trainer.max_epochs", 1,
    )  # fmt: skip
    assert "t0.png: value 34 is not in the card" in line


def make_camvid(root: Path) -> None:
    for split in ("train", "val"):
        for folder, channels in ((split, 3), (f"{split}annot", 1)):
            (root / folder).mkdir(parents=True)
            for i in range(4):
                random = np.random.default_rng(i)
                array = random.integers(0, 12, (36, 48, channels), dtype=np.uint8).squeeze()
                Image.fromarray(array).save(root / folder / f"f{i}.png")


def make_isbi(root: Path) -> None:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
        for i in range(10):
            values = np.random.default_rng(i).integers(0, 2, (64, 64), dtype=np.uint8) * 255
            Image.fromarray(values).save(root / folder / f"{i:02}.png")


MAKERS = {"camvid": make_camvid, "isbi2012": make_isbi, "isbi2012-folds": make_isbi}


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
    # not smaller: torch's bf16 gradient of a dense 7x7 kernel on 2x3 pixels is not finite on one CPU thread
    arguments = ["--data.crop_size=[64, 96]"]
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
