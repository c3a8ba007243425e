"""Mistakes on the command line, in a configuration or in the data get one line and exit code 2."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import write_atomic
from tests.conftest import SMALL_RUN, error_of


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "'trian' is not a command. Did you mean 'train'?"),
        (["train", "--optim.lrr", "1"], "unknown option '--optim.lrr'. Did you mean '--optim.lr'?"),
        (["train", "--optim.lr", "fast"], "optim.lr: expected a number, found fast."),
        (["train", "--config", "camvidcpu"], "Did you mean 'camvid-cpu'?"),
        (["train", "--data", "camvd"], "no card is called 'camvd'. Did you mean 'camvid'?"),
        (["train", "--data", "camvid", "--data.root", "nowhere"], "nowhere: no such folder"),
        (["predict", "--checkpoint", "nowhere", "-i", "a.png", "-o", "y"], "nowhere: no such folder"),
        (["predict", "--checkpoint", "nowhere", "-i", "b.png", "-o", "y"], "b.png: no images found"),
        (["predict", "--checkpoint", "a", "b", "-i", "y", "-o", "z"], 'a list, --checkpoint "[runs/a-0, runs/a-1]"'),
        (
            ["predict", "--checkpoint=a", "--checkpoint=b", "-i", "y", "-o", "z"],
            "--checkpoint: is given more than",
        ),
        (
            ["val", "--checkpoint", "[a, b]"],
            "--checkpoint: expected one run, found [a, b]. Only predict takes",
        ),
        (["export", "--checkpoint", "[a, b]", "-o", "z.onnx"], "--checkpoint: expected one run, found [a, b]"),
        (["val", "--checkpoint", "nowhere"], "nowhere: no such folder"),
        (["train", "--resume", "nowhere"], "nowhere: no such folder"),
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
        (["check", "--data", "card.yaml", "--threads", "0"], "threads: found 0, expected at least 1."),
        (["predict", "a.png"], "a.png"),
        *[
            ([*command, "--seed", seed], f"error: seed: found {seed}, expected 0 to 4294967295.")
            for command in (["train"], ["pretrain"], ["compare", "runs/a", "runs/b"])
            for seed in ("-1", "99999999999")
        ],
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


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("augment.horizontal_flip 3", "augment.horizontal_flip: expected 0 to 1, found 3.0."),
        ("augment.vertical_flip -1", "augment.vertical_flip: expected 0 to 1, found -1.0."),
        ("augment.rotate90 1.5", "augment.rotate90: expected 0 to 1, found 1.5."),
        ("augment.blur .nan", "augment.blur: expected 0 to 1, found nan."),
        ("augment.noise 2", "augment.noise: expected 0 to 1, found 2.0."),
        ("augment.color -0.1", "augment.color: expected 0 or more, found -0.1."),
        ("augment.color .inf", "augment.color: expected 0 or more, found inf."),
        ("augment.scale [0,1]", "augment.scale: expected [smallest, largest] in 0.1 to 10, found [0.0, 1.0]."),
        ("augment.scale [2,1]", "augment.scale: expected [smallest, largest] in 0.1 to 10, found [2.0, 1.0]."),
        (
            "augment.scale [1,1e9]",
            "augment.scale: expected [smallest, largest] in 0.1 to 10, found [1.0, 1000000000.0].",
        ),
        (
            "crop_size [100000,100000]",
            "crop_size: found 100000 x 100000, which is 10000000000 pixels, expected",
        ),
        ("image_size [100000,1000]", "image_size: found 100000 x 1000, which is 100000000 pixels, expected at most"),
    ],
)
@pytest.mark.parametrize("command", ["train", "check"])
def test_numbers_of_the_data_that_cannot_be_get_one_line(capsys, dataset, tmp_path, command, option, words):
    key, value = option.split()
    card = ["--data", dataset / "card.yaml", "--output_dir", tmp_path / "runs"]
    assert f"error: data.{words}" in error_of(capsys, command, *card, *SMALL_RUN, f"--data.{key}={value}")
    assert not (tmp_path / "runs").exists()


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


def test_an_output_that_would_lie_in_a_file_is_refused(capsys, dataset, tmp_path):
    (tmp_path / "taken").write_text("a file")
    card = ("--data", dataset / "card.yaml")
    short = ("--data.num_workers", 0, "--data.check", "false", "--trainer.max_epochs", 1)
    for arguments in (
        ("train", *card, "--output_dir", tmp_path / "taken", *SMALL_RUN, *short),
        ("check", *card, *SMALL_RUN, "--json", tmp_path / "taken" / "check.json"),
        ("check", *card, *SMALL_RUN, "--html", tmp_path / "taken" / "check.html"),
    ):
        line = error_of(capsys, *arguments)
        assert f"{tmp_path / 'taken'}" in line and "cannot be written" in line
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_comparison_is_not_made_for_an_output_that_is_a_folder(capsys, tmp_path):
    line = error_of(capsys, "compare", tmp_path / "a", tmp_path / "b", "--json", tmp_path)
    assert line.startswith(f"error: {tmp_path}: cannot be written: it is a folder. Name a file")


def test_a_folder_that_came_where_a_file_was_to_be_written_is_one_line(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(UserError, match=r"a\.json: cannot be written \(Is a directory\)"), write_atomic(path):
        path.mkdir()
    assert list(tmp_path.iterdir()) == [path]
