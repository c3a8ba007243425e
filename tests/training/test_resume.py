"""Which run may go on, with what, and that a resume that is refused leaves the run as it was."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from segnext_pafpn.cli import main
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.training.load_config import load_config
from segnext_pafpn.training.resume import find_resume_point
from segnext_pafpn.training.run import fit
from tests.conftest import error_of, write_dataset
from tests.training.small_runs import two_steps

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    """A card, and a run of two steps on it."""
    root = tmp_path_factory.mktemp("data")
    card = write_dataset(root)
    return card, two_steps(card, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of the run, to do as one likes with."""
    return shutil.copytree(finished[1], tmp_path / "run")


def contents(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def refused(capsys, run: Path, *options: object, command: str = "train") -> str:
    """The line by which the resume is refused, which must leave every file as it was."""
    before = contents(run)
    line = error_of(capsys, command, "--resume", run, "--trainer.max_epochs=2", *options)
    assert contents(run) == before
    return line


CARDS = [
    (lambda card: card["classes"].pop(), "pole; card 'tiny' has the classes sky, building"),
    (lambda card: card["classes"].reverse(), "was trained on the classes sky, building"),
    (lambda card: card.update(image={"channels": 1}), "on images of 3 channel(s); card 'tiny' has images of 1 channel"),
    (lambda card: card.update(image={"normalize": "zscore"}), "was trained on 8-bit RGB; card 'tiny' has images whose"),
    (lambda card: card.update(multi_label=True, layout={
        "reader": "folder", "images": "images/{split}", "masks": "masks/{split}", "mask_format": "files",
        "class_suffixes": {row["name"]: row["name"] for row in card["classes"]},
    }), "on one class per pixel; card 'tiny' has several labels"),
]  # fmt: skip


def test_a_model_that_has_left_its_run_is_not_scored_without_it(run, capsys, tmp_path):
    model = shutil.copytree(run / "model", tmp_path / "elsewhere")
    assert f"{model}: is a model without its run, whose config.yaml" in error_of(capsys, "val", "--checkpoint", model)
    shutil.copytree(model, tmp_path / "moved/model")
    shutil.copy(run / "config.yaml", tmp_path / "moved")
    assert main(["val", "--checkpoint", str(tmp_path / "moved"), "--trainer.accelerator=cpu"]) == 0


def test_a_folder_of_the_run_is_not_taken_for_a_run(run, capsys):
    line = error_of(capsys, "train", "--resume", run / "checkpoints")
    assert f"{run}/checkpoints/config.yaml: no such file. Give the folder of a run" in line


@pytest.mark.parametrize(("change", "words"), CARDS)
def test_a_run_does_not_go_on_with_other_classes_or_images(capsys, finished, run, change, words):
    card = yaml.safe_load(finished[0].read_text())
    change(card)
    other = finished[0].with_name("other.yaml")
    other.write_text(yaml.safe_dump(card))
    line = refused(capsys, run, "--data", other)
    assert words in line and f"--weights {run}" in line


def test_a_run_of_an_earlier_version_does_not_go_on_with_other_classes(capsys, finished, run):
    """Its checkpoint has no note of the data, but weights with a shape."""
    path = run / "checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)
    del state["segnext_pafpn"]
    torch.save(state, path)
    card = yaml.safe_load(finished[0].read_text())
    card["classes"].append({"name": "one more", "color": [1, 2, 3]})
    other = finished[0].with_name("other.yaml")
    other.write_text(yaml.safe_dump(card))
    line = refused(capsys, run, "--data", other)
    assert f"{path}: does not fit the network: model." in line and "found [8" in line and "expected [9" in line


@pytest.mark.parametrize("content", [b"garbage", b"", None, b"PK\x03\x04 and no more"])
def test_a_damaged_checkpoint_is_named_and_the_best_one_takes_its_place(capsys, run, content):
    best, last = (run / f"checkpoints/{name}.ckpt" for name in ("best", "last"))
    last.write_bytes(last.read_bytes()[:5000] if content is None else content)
    line = refused(capsys, run)
    assert line.startswith(f"error: {last}: is no readable checkpoint: damaged, or cut off at ")
    assert f"Copy {best} over it" in line
    if content is None:
        shutil.copy(best, last)
        assert main(["train", "--resume", str(run), "--trainer.max_epochs=2"]) == 0


@pytest.mark.parametrize("content", ["data: [", "data: 3", "", "\0"])
def test_a_damaged_configuration_of_a_run_is_named(capsys, run, content):
    (run / "config.yaml").write_text(content)
    for line in (refused(capsys, run), error_of(capsys, "val", "--checkpoint", run)):
        assert line.startswith(f"error: {run}/config.yaml: ") and "Restore it from a copy" in line


def test_a_damaged_log_of_a_run_is_named(capsys, run):
    (run / "metrics.csv").write_text("step,loss\nx,1\n")
    assert f"{run}/metrics.csv: is not the log of a run" in error_of(
        capsys, "train", "--resume", run, "--trainer.max_epochs=2"
    )


CHANGES = [
    "data.batch_size=3 is 2", "data.crop_size=[32, 32] is [32, 48]", "data.image_size=[48, 64] is null",
    "data.augment.horizontal_flip=0.1 is 0.5", "data.crop_focus.probability=0.5 is 0.0",
    "data.repeat_threshold=0.5 is null", "data.train_split=val is train", "data.val_split=train is val",
    "data.samples_per_epoch=4 is null", "data.layout={images: x} is {}", "loss.dice=0.5 is 1.0", "seed=1 is 0",
    "loss.class_weights=[1, 1, 1, 1, 1, 1, 1, 2] is null", "loss.class_weights=inverse is null",
    "weights=runs/x is null", "optim.lr=0.1 is 0.001",
    "model.options={} is {'decoder_channels': 16, 'head_channels': 16}",
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_that_goes_on_does_not_learn_otherwise(capsys, run, change):
    option, saved = change.split(" is ")
    line = refused(capsys, run, f"--{option}")
    assert line.startswith(f"error: {option.split('=')[0]}: ") and f" is not the {saved} that {run} was" in line


def test_a_run_that_goes_on_has_its_own_name_place_and_configuration(capsys, run):
    for option, words in (
        ("--name=other", f"--name: other is not that of {run}"),
        ("--output_dir=elsewhere", f"--output_dir: elsewhere is not that of {run}"),
        ("--output-dir=elsewhere", f"--output_dir: elsewhere is not that of {run}"),
        ("--overwrite=true", "--overwrite: starts a run anew"),
        ("--overwrite", "--overwrite: starts a run anew"),
        ("--config=quickstart", "quickstart.yaml cannot be taken with --resume"),
    ):
        assert words in refused(capsys, run, option)


def test_a_run_may_go_on_longer_from_data_that_have_moved(finished, run, tmp_path, capsys):
    card = finished[0]
    shutil.copytree(card.parent, tmp_path / "moved")
    count = len(list((tmp_path / "moved/images/train").iterdir()))
    for kind in ("images", "masks"):
        shutil.copy(next((tmp_path / f"moved/{kind}/train").glob("*0.png")), tmp_path / f"moved/{kind}/train/more.png")
    options = [f"--data={tmp_path}/moved/card.yaml", f"--data.root={tmp_path}/moved", "--data.cache=ram"]
    options += ["--data.check=false", "--data.val_batch_size=1", "--trainer.max_epochs=2", "--name=run"]
    options += ["--loss.dice=1", "--overwrite=false", f"--output_dir={tmp_path}", "--trainer.precision=bf16-mixed"]
    assert main(["train", "--resume", str(run / "model"), *options]) == 0  # the run whose model this is
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["root"] == f"{tmp_path}/moved"
    said = " ".join(capsys.readouterr().out.split())
    assert f"warning: split 'train' has {count + 1} pictures and had {count} when the run began" in said
    assert "split 'val' has" not in said


def test_numbers_that_were_found_stand_for_the_word_they_were_found_by_alone(capsys, run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["crop_focus"]["classes"] = {"sky": 0.5, "road": 0.5}  # as "rare" becomes
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    line = refused(capsys, run, "--data.crop_focus.classes=foreground")
    assert line.startswith("error: data.crop_focus.classes: foreground is not the {")


@pytest.mark.parametrize("version", ["this", "an earlier"])
def test_a_run_that_was_moved_and_is_evaluated_at_other_epochs_keeps_its_best_weights(run, version):
    best, last = (run / f"checkpoints/{name}.ckpt" for name in ("best", "last"))
    state = torch.load(last, weights_only=True)
    callbacks = state["callbacks"]
    kept = callbacks["RunCheckpoint best"]
    assert kept["dirpath"] != str(best.parent)  # the run is a copy
    kept["best_model_score"] = kept["kth_value"] = kept["best_k_models"][kept["best_model_path"]] = torch.tensor(0.99)
    if version == "an earlier":
        for name, monitor in (("best", "'val/mIoU'"), ("last", "None")):
            key = f"ModelCheckpoint{{'monitor': {monitor}, 'mode': 'max', 'every_n_epochs': 1}}"
            callbacks[key] = callbacks.pop(f"RunCheckpoint {name}")
    torch.save(state, last)
    before, model = best.read_bytes(), (run / "model/model.safetensors").read_bytes()
    options = ["--trainer.max_epochs=2", "--trainer.check_val_every_n_epoch=2"]
    assert main(["train", "--resume", str(run), *options]) == 0
    assert best.read_bytes() == before and (run / "model/model.safetensors").read_bytes() == model
    kept = torch.load(last, weights_only=True)["callbacks"]["RunCheckpoint best"]
    assert kept["best_model_path"] == str(best) and kept["best_model_score"] == pytest.approx(0.99)


class Seen(Callback):
    """Which pictures were trained on, and when."""

    def __init__(self):
        self.batches: list[tuple[int, int, list[str]]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append((trainer.current_epoch, batch_idx, batch["name"]))


def test_a_run_by_steps_goes_on_where_it_stood_whether_its_epoch_was_whole_or_not(run):
    """Its epochs have two steps, of which it has two behind it, and then three."""
    seen = []
    for steps in (3, 4):
        settings = {"trainer.max_epochs": -1, "trainer.max_steps": steps, "trainer.limit_val_batches": 1}
        config = load_config(run / "config.yaml", {"output_dir": run.parent, **settings})
        watcher = Seen()
        fit(config, find_resume_point(config), callbacks=[watcher])
        seen += watcher.batches
    loader = SegmentationDataModule(config.data, seed=config.seed).train_dataloader()
    loader.sampler.set_epoch(1)
    names = [loader.dataset.samples[index].label for _, index, *_ in loader.sampler]
    assert seen == [(1, 0, names[:2]), (1, 1, names[2:4])]
    rows = csv.DictReader((run / "metrics.csv").open())
    assert [(row["epoch"], row["step"]) for row in rows if row["val/mIoU"]] == [("0", "1"), ("1", "3")]
