"""What the package gives to programs, besides what docs/python.md shows (which tests/test_readme.py runs)."""

import ast
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

import segnext_pafpn
from segnext_pafpn import LossConfig, OptimConfig, SegmentationModule, TrainConfig, UserError, fit, load_config
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models.tta import find_views
from segnext_pafpn.training.config import TrainerConfig, check_trainer
from tests.conftest import SMALL_RUN

SMALL = dict(option.removeprefix("--").split("=", 1) for option in SMALL_RUN)


def test_every_name_is_there_and_type_checkers_see_it():
    for name in segnext_pafpn.__all__:
        assert getattr(segnext_pafpn, name) is not None, name
    with pytest.raises(AttributeError, match="module 'segnext_pafpn' has no attribute 'fitt'"):
        _ = segnext_pafpn.fitt
    source = Path(segnext_pafpn.__file__)
    branch = next(
        n for n in ast.parse(source.read_text()).body if isinstance(n, ast.If) and "CHECK" in ast.dump(n.test)
    )
    declared = {alias.name: node.module for node in branch.body for alias in node.names}
    assert declared == {name: f"segnext_pafpn.{place}" for name, place in segnext_pafpn._AT_FIRST_USE.items()}
    assert (source.parent / "py.typed").is_file()


def test_importing_the_package_does_not_import_what_trains():
    code = "import segnext_pafpn, sys; assert 'lightning' not in sys.modules; segnext_pafpn.fit"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'lightning' in sys.modules"], check=True)


def test_a_configuration_is_that_of_the_command_line(tmp_path):
    settings = {
        "name": "mine", "output_dir": tmp_path, "data.root": None, "data.crop_size": (96, 64), "trainer.max_epochs": 3,
        "optim.ema_decay": None, "model.options": {"decoder_channels": 16}, "loss.class_weights": [1, 2.5],
    }  # fmt: skip
    config = load_config("camvid-cpu", settings)
    assert isinstance(config, TrainConfig) and config.run_dir == tmp_path / "mine"
    assert tuple(config.data.crop_size) == (96, 64) and config.data.root is None and config.data.card == "camvid"
    assert config.trainer.max_epochs == 3 and config.optim.ema_decay is None and config.optim.warmup_steps == 50
    assert config.model.options == {"decoder_channels": 16} and config.loss.class_weights == [1, 2.5]
    assert load_config("camvid-cpu").data.crop_size == (160, 224)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("camvid-cpuu", {}, "'camvid-cpuu' is neither a file nor a shipped configuration. Did you mean 'camvid-cpu'?"),
        ("camvid-cpu", {"trainer.max_epoch": 3}, "unknown option '--trainer.max_epoch=3'"),
        ("camvid-cpu", {"trainer.max_epochs": "many"}, "trainer.max_epochs"),
    ],
)
def test_mistakes_in_it_are_one_line(name, settings, words):
    with pytest.raises(UserError) as error:
        load_config(name, settings)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["crop_size", "image_size"])
def test_a_size_of_one_number_says_what_to_write(key):
    with pytest.raises(UserError, match=rf"data.{key}: expected height and width, found 64. Write \(64, 64\)."):
        SegmentationDataModule(DataConfig(**{key: 64}))


class Steps(Callback):
    """Counts the steps of training."""

    count = 0

    def on_train_batch_end(self, *_):
        self.count += 1


def test_a_run_takes_callbacks_and_loggers_besides_its_own(tmp_path):
    settings = {"output_dir": tmp_path, "name": "run", "trainer.max_epochs": 1, "trainer.limit_train_batches": 2}
    steps, logger = Steps(), CSVLogger(tmp_path, name="extra", version="")
    result = fit(load_config("quickstart", {**SMALL, **settings}), callbacks=[steps], loggers=[logger])
    assert steps.count == 2 and 0 <= result.scores.mIoU <= 1
    assert "train/loss" in (tmp_path / "extra/metrics.csv").read_text()
    assert "train/loss" in (tmp_path / "run/metrics.csv").read_text()


@pytest.mark.parametrize("classes", [1, 3])
def test_a_module_reads_logits_as_its_loss_does(classes):
    masks = torch.randint(0, 2, (4, classes, 32, 32))
    samples = [{"image": torch.randn(3, 32, 32), "mask": mask} for mask in masks]
    network = torch.nn.Conv2d(3, classes, 1)
    module = SegmentationModule(network, classes, LossConfig(mode="sigmoid"), OptimConfig(), mean=(), std=())
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(module, DataLoader(samples, batch_size=2), DataLoader(samples, batch_size=2))
    with torch.no_grad():
        said = torch.cat([network(sample["image"][None]) for sample in samples]) > 0
    right = (said == masks).float().mean().item()
    assert module.scores().aAcc == pytest.approx(right)


def test_a_dataset_gives_its_samples_by_number():
    data = SegmentationDataModule(load_config("quickstart", SMALL).data)
    dataset = data.train_dataloader().dataset
    alone, of_epoch_0 = dataset[3], dataset[0, 3]
    assert alone["name"] == of_epoch_0["name"] and alone["image"].equal(of_epoch_0["image"])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: TrainConfig(model={"arch": "unet"}),
            TypeError,
            "model: found a dictionary, expected an object of its",
        ),
        (lambda: Intensity(method="foo", channels=1), ValueError, "method: 'foo' is not known. Known: imagenet, "),
        (lambda: check_trainer(TrainerConfig(precision=32)), UserError, "precision: '32' is not known. Known: 32-true"),
        (lambda: find_views(None), UserError, "tta: 'None' is not known"),
    ],
)
def test_values_of_another_type_are_named(make, error, words):
    with pytest.raises(error) as raised:
        make()
    assert words in str(raised.value)
