"""Pretraining from end to end: a folder of pictures, a run, its encoder in timm and in a segmentor."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file
from torch import nn

from segnext_pafpn.cli import main
from segnext_pafpn.errors import UserError
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.classifier import ClassifierConfig
from segnext_pafpn.models.pretrained import load_encoder, save_encoder
from segnext_pafpn.training.callbacks import EpochSeed
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.pretrain.config import (
    ImageAugmentConfig,
    ImageFolderConfig,
    PretrainConfig,
    PretrainOptimConfig,
)
from segnext_pafpn.training.pretrain.images import ImageFolderDataModule
from segnext_pafpn.training.pretrain.module import ClassificationModule
from segnext_pafpn.training.pretrain.optim import check_optim, parameter_groups, scaled_lr
from segnext_pafpn.training.pretrain.run import pretrain
from tests.conftest import SMALL_RUN, run_cli, write_image_folder
from tests.test_cli import error_of

CLASSES = ["blue", "green", "red"]


def settings(root: Path, folder: Path) -> list[str]:
    return [
        f"--data.root={root}", f"--output_dir={folder}", "--name=run", "--model.name=elanext_nano",
        "--data.input_size=64", "--data.batch_size=6", "--data.val_batch_size=5", "--data.num_workers=0",
        "--optim.lr=0.001", "--optim.lr_batch_size=null", "--optim.warmup_epochs=0", "--optim.ema_decay=0.9",
        "--trainer.accelerator=cpu", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Three classes of 8 + 4 pictures."""
    root = tmp_path_factory.mktemp("images")
    write_image_folder(root)
    return root


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory) -> Path:
    """A run of two epochs, with the whole recipe of augmentation, by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    result = run_cli("pretrain", *settings(images, folder))
    assert result.returncode == 0, result.stderr
    assert "24 pictures of 3 classes; 6 pictures a step, 4 steps an epoch, learning rate 1.00e-03" in result.stdout
    assert f"train --weights {folder}/run --model.encoder_name elanext_nano" in result.stdout
    return folder / "run"


def rows_of(run: Path, column: str) -> list[float]:
    return [float(row[column]) for row in csv.DictReader((run / "metrics.csv").open()) if row[column]]


def test_a_run_leaves_everything_in_its_folder(finished):
    for name in ("config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "encoder.safetensors"):
        assert (finished / name).is_file(), name
    assert json.loads((finished / "classes.json").read_text()) == CLASSES
    assert json.loads((finished / "metrics_val.json").read_text())["images"] == 12
    assert yaml.safe_load((finished / "config.yaml").read_text())["optim"]["ema_decay"] == 0.9
    for column in ("train/loss", "val/loss", "val/top1", "val/top5"):
        assert len(rows_of(finished, column)) == 2, column


def test_timm_reads_the_encoder_and_scores_what_the_run_reported(finished, images):
    model = timm.create_model("elanext_nano", num_classes=3, checkpoint_path=finished / "encoder.safetensors").eval()
    data = ImageFolderDataModule(ImageFolderConfig(root=str(images), input_size=64, num_workers=0))
    batch = next(iter(data.val_dataloader()))
    mean, std = (torch.tensor(model.default_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        logits = model((batch["image"] / 255 - mean) / std)
    reported = json.loads((finished / "metrics_val.json").read_text())
    right = (logits.argmax(1) == batch["label"]).float().mean()
    assert 100 * right.item() == pytest.approx(reported["top1"], abs=1e-3)
    assert F.cross_entropy(logits, batch["label"]).item() == pytest.approx(reported["loss"], abs=1e-4)
    assert max(rows_of(finished, "val/top1")) == pytest.approx(right.item(), abs=1e-5)


def test_a_resumed_run_equals_one_that_never_stopped(finished, images, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    original = EpochSeed.on_train_epoch_start

    def stop_in_second_epoch(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise Stop
        original(self, trainer, pl_module)

    monkeypatch.setattr(EpochSeed, "on_train_epoch_start", stop_in_second_epoch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes: sums over more threads round otherwise
    with pytest.raises(Stop):
        main(["pretrain", *settings(images, tmp_path)])
    torch.set_num_threads(threads)
    result = run_cli("pretrain", "--resume", tmp_path / "run", "--data.num_workers", 1)
    assert result.returncode == 0, result.stderr
    whole, resumed = (torch.load(r / "checkpoints/last.ckpt", weights_only=True) for r in (finished, tmp_path / "run"))
    assert resumed["global_step"] == whole["global_step"] == 8
    for key in ("state_dict", "current_model_state"):
        for name, tensor in whole[key].items():
            assert torch.equal(tensor, resumed[key][name]), name
    assert rows_of(tmp_path / "run", "train/loss") == rows_of(finished, "train/loss")


def test_other_classes_are_not_resumed_on(capsys, finished, images, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    write_image_folder(tmp_path / "data", classes=("blue", "green", "yellow"))
    resume = ["pretrain", "--resume", tmp_path / "run"]
    assert "on 3 classes, data.root now holds 3 or others" in error_of(
        capsys, *resume, "--data.root", tmp_path / "data"
    )
    assert "optim.lr: 0.5 is not the 0.001" in error_of(capsys, *resume, "--optim.lr", "0.5")


def test_a_segmentor_starts_from_the_encoder(finished, dataset, tmp_path, capsys):
    code = main([
        "train", "--weights", str(finished), "--data", str(dataset / "card.yaml"), "--output_dir", str(tmp_path),
        *SMALL_RUN, "--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--data.check=false",
        "--optim.lr=1e-12", "--optim.weight_decay=0", "--optim.warmup_steps=0", "--optim.ema_decay=null",
    ])  # fmt: skip
    assert code == 0
    stored = load_file(finished / "encoder.safetensors")
    encoder = load_bundle(tmp_path / "train")[0].encoder
    assert (
        f"the encoder's {len(stored) - 2} tensors taken from {finished}/encoder.safetensors" in capsys.readouterr().out
    )
    for name, parameter in encoder.named_parameters():
        assert torch.allclose(parameter, stored[name], atol=1e-6), name


@pytest.mark.parametrize(("name", "encoder"), [("elanext_nano", "tu-elanext_nano"), ("resnet18", "resnet18")])
def test_encoders_that_smp_wraps_or_names_otherwise_take_the_weights_too(tmp_path, name, encoder):
    torch.manual_seed(0)
    source = timm.create_model(name, num_classes=3)
    save_encoder(source, name, tmp_path / "encoder.safetensors")
    target = smp.Unet(encoder, encoder_weights=None).encoder.eval()
    count = load_encoder(target, tmp_path / "encoder.safetensors")
    assert count == len(target.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(target(x)[-1], source.eval().forward_features(x), atol=1e-5)


def test_another_encoder_is_refused_even_if_a_part_fits(tmp_path):
    save_encoder(timm.create_model("resnet18", num_classes=3), "resnet18", tmp_path / "encoder.safetensors")
    target = smp.Unet("resnet34", encoder_weights=None).encoder
    before = target.conv1.weight.clone()
    with pytest.raises(UserError, match=r"of the encoder's 216 tensors are not in it.*holds resnet18.*tu-resnet18"):
        load_encoder(target, tmp_path / "encoder.safetensors")
    assert torch.equal(before, target.conv1.weight)


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_weights_that_cannot_be_taken_get_one_line(capsys, images, dataset, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    fixed = {
        "train": ["--data", dataset / "card.yaml", "--data.check=false", *SMALL_RUN],
        "pretrain": settings(images, tmp_path),
    }[command]
    Path("empty").mkdir()
    assert "weights: nowhere: holds n" in error_of(capsys, command, *fixed, "--weights", "nowhere")
    assert "weights: empty: holds n" in error_of(capsys, command, *fixed, "--weights", "empty")
    Path("broken").mkdir()
    Path("broken/encoder.safetensors").write_bytes(b"\0" * 100)
    assert "broken/encoder.safetensors: cannot be read" in error_of(capsys, command, *fixed, "--weights", "broken")
    save_encoder(timm.create_model("elanext_tiny", num_classes=3), "elanext_tiny", Path("tiny/encoder.safetensors"))
    line = error_of(capsys, command, *fixed, "--weights", "tiny/encoder.safetensors")
    assert "It holds elanext_tiny: set model.encoder_name to elanext_tiny" in line
    assert not (tmp_path / "run").exists() and not (tmp_path / "runs").exists()


def test_a_classifier_of_other_classes_starts_from_the_encoder_alone(finished, tmp_path):
    target = timm.create_model("elanext_nano", num_classes=5)
    head = target.head.fc.weight.clone()
    load_encoder(target, finished / "encoder.safetensors", may_differ="head.fc")
    assert torch.equal(target.head.fc.weight, head)
    assert torch.equal(target.stem.conv.weight, load_file(finished / "encoder.safetensors")["stem.conv.weight"])
    with pytest.raises(UserError, match=r"head\.fc\.weight"):
        load_encoder(target, finished / "encoder.safetensors")


def test_a_model_of_timm_learns_colours_and_its_last_pictures_are_scored(images, tmp_path):
    result = pretrain(
        PretrainConfig(
            output_dir=str(tmp_path),
            model=ClassifierConfig(name="test_convnext2"),
            data=ImageFolderConfig(
                root=str(images),
                input_size=64,
                batch_size=6,
                val_batch_size=5,
                num_workers=0,
                augment=ImageAugmentConfig(auto_augment=None, color_jitter=0, mixup=0, cutmix=0),
            ),
            optim=PretrainOptimConfig(lr=2e-3, lr_batch_size=None, warmup_epochs=1, ema_decay=0.5),
            trainer=TrainerConfig(accelerator="cpu", max_epochs=3),
        )
    )
    assert result.top1 == 100.0 and result.images == 12
    assert rows_of(tmp_path / "pretrain", "val/loss")[-1] < 0.5 < np.log(3)


def test_learning_rates_fall_by_layer_decay_towards_the_stem():
    model = timm.create_model("elanext_nano", num_classes=3, layer_scale=1e-6)
    groups = parameter_groups(model, PretrainOptimConfig(layer_decay=0.5, weight_decay=0.05), lr=1.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    group_of = {names[id(parameter)]: group for group in groups for parameter in group["params"]}
    assert group_of.keys() == set(names.values())
    # stem; stage 0: downsampling with block, block, ELAN; stages 1 to 3: downsampling with block, ELAN; classifier
    layers = {
        "stem.conv.weight": 0, "stages.0.0.1.weight": 1, "stages.0.1.dw.weight": 1, "stages.0.2.dw.weight": 2,
        "stages.0.3.conv1.conv.weight": 3, "stages.1.0.1.weight": 4, "stages.1.1.pw1.weight": 4,
        "stages.3.2.chain1.0.dw.weight": 9, "head.fc.weight": 10, "head.fc.bias": 10,
    }  # fmt: skip
    for name, layer in layers.items():
        assert group_of[name]["lr"] == pytest.approx(0.5 ** (10 - layer)), name
    for name, group in group_of.items():
        vector = name.endswith(("bias", "gamma")) or ".norm." in name or name.endswith(".0.0.weight")
        assert group["weight_decay"] == (0.0 if vector else 0.05), name


def test_without_layer_decay_all_layers_learn_alike():
    model = timm.create_model("elanext_nano", num_classes=3)
    groups = parameter_groups(model, PretrainOptimConfig(), lr=0.3)
    assert {group["lr"] for group in groups} == {0.3}
    for group in groups:
        assert all((parameter.ndim > 1) == (group["weight_decay"] == 0.05) for parameter in group["params"])
    assert {group["weight_decay"] for group in groups} == {0.0, 0.05}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_learning_rate_goes_with_the_pictures_of_a_step():
    assert scaled_lr(PretrainOptimConfig(lr=4e-3, lr_batch_size=4096), 1024) == pytest.approx(1e-3)
    assert scaled_lr(PretrainOptimConfig(lr=4e-3, lr_batch_size=None), 1024) == 4e-3


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0), (0.0, 0.0)])
def test_mixed_targets_reach_the_loss(mixup, cutmix):
    torch.manual_seed(0)
    augment = ImageAugmentConfig(mixup=mixup, cutmix=cutmix, label_smoothing=0.1, random_erasing=0.0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    module = ClassificationModule(network, 3, augment, PretrainOptimConfig(), lr=1e-3, warmup_steps=0)
    image = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    batch = {"image": image, "label": torch.tensor([0, 1, 2, 2]), "name": list("abcd")}
    smooth = 0.9 * F.one_hot(batch["label"], 3) + 0.1 / 3
    np.random.seed(3)
    mixed, target = module.training_inputs(batch)
    if mixup or cutmix:
        share = (target - smooth.flip(0))[0, 0] / (smooth - smooth.flip(0))[0, 0]
        assert 0.01 < share < 0.99
        assert torch.allclose(target, share * smooth + (1 - share) * smooth.flip(0), atol=1e-6)
        assert not torch.equal(mixed, module.normalize(image))
    else:
        target = smooth
        assert torch.equal(mixed, module.normalize(image))
    expected = -(target * network(mixed).log_softmax(1)).sum(1).mean()
    np.random.seed(3)
    assert module.loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_erasing_turns_a_part_of_every_picture_into_noise():
    augment = ImageAugmentConfig(mixup=0, cutmix=0, random_erasing=1.0)
    module = ClassificationModule(nn.Identity(), 3, augment, PretrainOptimConfig(), lr=1e-3, warmup_steps=0)
    image = torch.full((4, 3, 32, 32), 255, dtype=torch.uint8)
    batch = {"image": image, "label": torch.zeros(4, dtype=torch.long), "name": list("abcd")}
    changed = (module.training_inputs(batch)[0] != module.normalize(image)).any(1).float().mean((1, 2))
    assert (changed > 0.01).all() and (changed < 0.5).all()


def test_augmentation_follows_from_seed_epoch_and_index_alone(images):
    data = ImageFolderDataModule(ImageFolderConfig(root=str(images), input_size=32, batch_size=2), seed=1)
    first = data.train_dataloader().dataset
    before = torch.get_rng_state()
    one, other_epoch = first[(0, 3)]["image"], first[(1, 3)]["image"]
    assert torch.equal(before, torch.get_rng_state())
    np.random.seed(99)
    assert torch.equal(one, first[(0, 3)]["image"]) and not torch.equal(one, other_epoch)
    assert one.shape == (3, 32, 32) and one.dtype == torch.uint8


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
        (["--data.batchsize", 2], "unknown option '--data.batchsize'. Did you mean 'data.batch_size'?"),
        (["--data.batch_size", 5], "data.batch_size: must be even for mixup and cutmix"),
        (["--data.batch_size", 100], "data.batch_size: 100 on 1 device(s) is more than the 24 pictures"),
        (["--data.augment.auto_augment", "rnd-m9"], "timm cannot read 'rnd-m9'"),
        (["--data.augment.mixup", -1], "data.augment.mixup: expected 0 or more, found -1"),
        (["--data.interpolation", "bicubc"], "Did you mean 'bicubic'?"),
        (["--model.name", "elanext_nanno"], "Did you mean 'elanext_nano'?"),
        (["--model.drop_path_rate", 1.5], "model.drop_path_rate: expected 0 or more and less than 1"),
        (["--model.options", "{kernel: 3}"], "timm cannot build elanext_nano"),
        (["--model.options", "{num_classes: 3}"], "model.options.num_classes: is not set here"),
        (["--optim.warmup_epochs", 2], "optim.warmup_epochs: 2 must be 0 or more, and less than the 2 epochs"),
        (["--optim.layer_decay", 1.5], "optim.layer_decay: expected more than 0 and at most 1"),
        (["--resume", "nowhere"], "nowhere/config.yaml: no such file"),
    ],
)
def test_mistakes_get_one_line_and_no_folder(capsys, images, tmp_path, options, words):
    assert words in error_of(capsys, "pretrain", *settings(images, tmp_path), *options)
    assert not any(tmp_path.iterdir())


def test_a_finished_run_is_not_overwritten_by_accident(capsys, finished, images):
    assert "holds a run already" in error_of(capsys, "pretrain", *settings(images, finished.parent))


def test_a_schedule_in_steps_is_checked_against_epochs():
    check_optim(PretrainOptimConfig(warmup_epochs=1), steps_per_epoch=10, total_steps=11)
    with pytest.raises(UserError, match=r"1 must be .* less than the 1 epochs"):
        check_optim(PretrainOptimConfig(warmup_epochs=1), steps_per_epoch=10, total_steps=10)


def documented_commands() -> list[list[str]]:
    import re
    import shlex

    text = (Path(__file__).parents[2] / "docs/pretraining.md").read_text()
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("segnext-pafpn")]


@pytest.mark.parametrize("command", documented_commands(), ids=" ".join)
def test_documented_commands_have_options_that_exist(capsys, tmp_path, command, finished):
    if "--resume" in command:
        command[command.index("--resume") + 1] = str(finished)
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--print_config"])
    assert stopped.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["trainer"]["max_epochs"] > 0
