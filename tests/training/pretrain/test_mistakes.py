"""What users get wrong when they pretrain: one line each."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import error_of, write_image_folder
from tests.training.pretrain.conftest import settings


def lose_split(root):
    shutil.rmtree(root / "val")
    return "val: no such folder. Expected train/CLASS/PICTURE and val/CLASS/PICTURE in data.root"


def lose_class_folders(root):
    for folder in (root / "train").iterdir():
        for i, path in enumerate(folder.iterdir()):
            path.rename(root / "train" / f"{folder.name}{i}{path.suffix}")
        folder.rmdir()
    return "train: holds no class folders"


def lose_classes(root):
    for name in ("green", "red"):
        shutil.rmtree(root / "train" / name)
    return "train: holds a single class, blue"


def rename_class(root):
    (root / "val/red").rename(root / "val/rot")
    return "val: has no folder for 1 of the 3 classes of the other split: red. train/ and val/ must hold the same"


def add_class(root):
    shutil.copytree(root / "val/red", root / "val/pink")
    return "train: has no folder for 1 of the 4 classes of the other split: pink"


def empty_class(root):
    for path in (root / "train/red").iterdir():
        path.unlink()
    return "train/red: holds no pictures"


def cut_picture(root):
    path = root / "train/red/1.png"
    path.write_bytes(path.read_bytes()[:200])
    return "train/red/1.png: cannot be decoded"


SPOIL = [lose_split, lose_class_folders, lose_classes, rename_class, add_class, empty_class, cut_picture]


@pytest.mark.parametrize("spoil", SPOIL)
def test_bad_folders_and_pictures_are_named(capsys, tmp_path, spoil):
    root = tmp_path / "data"
    write_image_folder(root, train=2, val=1)
    words = spoil(root)
    line = error_of(capsys, "pretrain", *settings(root, tmp_path), "--data.num_workers", int(spoil is cut_picture))
    assert words in line
    assert (tmp_path / "run").exists() == (spoil is cut_picture)  # pictures are decoded when their turn comes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data.root", "nowhere"], "data.root: nowhere: no such folder"),
        (["--data.root", "null"], "data.root: is not set"),
        (["--data.batchsize", 2], "unknown option '--data.batchsize'. Did you mean '--data.batch_size'?"),
        (["--data.batch_size", 5], "data.batch_size: must be even for mixup and cutmix"),
        (["--data.batch_size", 100], "data.batch_size: 100 on 1 device(s) is more than the 24 pictures"),
        (["--data.augment.auto_augment", "rnd-m9"], "timm cannot read 'rnd-m9'"),
        (["--data.augment.mixup", -1], "data.augment.mixup: expected 0 or more, found -1"),
        (["--data.augment.mixup", ".nan"], "data.augment.mixup: expected 0 or more, found nan"),
        (["--data.input_size", 100000], "data.input_size: found 100000, expected at most 8192"),
        (["--data.interpolation", "bicubc"], "Did you mean 'bicubic'?"),
        (["--model.name", "elanext_nanno"], "Did you mean 'elanext_nano'?"),
        (["--model.drop_path_rate", 1.5], "model.drop_path_rate: expected 0 or more and less than 1"),
        (["--model.options", "{kernel: 3}"], "timm cannot build elanext_nano"),
        (["--model.options", "{num_classes: 3}"], "model.options.num_classes: is not set here"),
        (["--optim.warmup_epochs", -1], "optim.warmup_epochs: found -1, expected 0 or more"),
        (["--optim.lr_batch_size", 0], "optim.lr_batch_size: found 0, expected at least 1, or null"),
        (["--optim.layer_decay", 1.5], "optim.layer_decay: found 1.5, expected more than 0 and at most 1, or null"),
        (["--optim.min_lr", -1], "optim.min_lr: found -1.0, expected 0 to lr, which is 0.001"),
        (["--optim.ema_decay", 1], "optim.ema_decay: found 1.0, expected 0 to below 1, or null"),
        (["--resume", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_mistakes_get_one_line_and_no_folder(capsys, images, tmp_path, options, words):
    assert words in error_of(capsys, "pretrain", *settings(images, tmp_path), *options)
    assert not any(tmp_path.iterdir())


def test_runs_of_one_kind_are_not_taken_for_the_other(capsys, finished, tmp_path):
    """A pretraining run where one of training is wanted, and the other way round."""
    segmenting = tmp_path / "run"
    segmenting.mkdir()
    (segmenting / "config.yaml").write_text("data: {card: streets}")
    picture = next(Path(yaml.safe_load((finished / "config.yaml").read_text())["data"]["root"]).rglob("*.png"))
    for arguments in (
        ["train", "--resume", finished],
        ["val", "--checkpoint", finished],
        ["compare", finished, finished],
        ["predict", "--checkpoint", finished, "-i", picture, "-o", tmp_path / "out"],
        ["train", "--model.init_from", finished, "--data.check=false", "--output_dir", tmp_path],
    ):
        assert f"{finished}: is a run of pretrain, wh" in error_of(capsys, *arguments)
    line = error_of(capsys, "pretrain", "--resume", segmenting)
    assert (
        line == f"error: {segmenting}: is a run of train, which pretrain --resume cannot take. Give a run of pretrain."
    )
