"""A user of nnU-Net trains and predicts in each of its forms, without writing anything."""

import json
from shutil import copytree

import nibabel
import numpy as np
import tifffile

from segnext_pafpn.cli import main
from tests.conftest import SMALL_RUN
from tests.data.volumes import SHAPE, nnunet, nnunet_png, nnunet_tiff, reorient


def train_and_predict(root, source, output, *options):
    """The commands of a user of nnU-Net; two steps in place of a training. Returns the folder of predictions."""
    run = [*SMALL_RUN, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]
    assert main(["train", "--data", str(root), "--name", "r", "--output_dir", str(output), *run, *options]) == 0
    predict = ["predict", "--checkpoint", str(output / "r"), "-i", str(source), "-o", str(output / "out")]
    assert main([*predict, "--device", "cpu"]) == 0
    return output / "out"


def test_a_user_of_nnunet_trains_and_predicts_without_writing_anything(tmp_path):
    root = tmp_path / "Dataset004_Part"
    nnunet(root, channels=("T1", "T2"), labels={"background": 0, "both": [1, 2], "posterior": [2]},
           regions_class_order=[1, 2])  # fmt: skip
    layout = "--data.layout={folds: 2, neighbours: 1, min_foreground: 1}"
    out = train_and_predict(root, root / "imagesTs", tmp_path, layout)
    assert [path.name for path in out.iterdir()] == ["case_004.nii.gz"]
    written, source = nibabel.load(out / "case_004.nii.gz"), nibabel.load(root / "imagesTs/case_004_0000.nii.gz")
    assert written.shape == source.shape == SHAPE[::-1] and np.array_equal(written.affine, source.affine)
    assert written.get_data_dtype() == np.uint8 and written.dataobj.get_unscaled().max() <= 2
    saved = json.loads((tmp_path / "r/model/preprocessing.json").read_text())["slicing"]
    assert saved["axis"] == 0 and saved["neighbours"] == 1 and saved["standardize"]


def test_regions_of_nnunet_are_scored_by_their_own_names(tmp_path, capsys):
    root = tmp_path / "Dataset005_Regions"
    nnunet(root, labels={"background": 0, "both": [1, 2], "posterior": [2]}, regions_class_order=[1, 2])
    layout = "--data.layout={folds: 2}"
    train_and_predict(root, root / "imagesTs", tmp_path, layout)
    assert "both = both (rest) + posterior" in " ".join(capsys.readouterr().out.split())
    run = tmp_path / "r"
    assert main(["val", "--checkpoint", str(run), "--metrics", "medical", "--report", "--trainer.accelerator=cpu"]) == 0
    values = json.loads((run / "metrics_val.json").read_text())
    (region,) = values["per_region"]
    by_class = {row["name"]: row["truth_pixels"] for row in values["per_class"]}
    assert list(by_class) == ["background", "both (rest)", "posterior"]
    assert region["truth_pixels"] == by_class["both (rest)"] + by_class["posterior"]
    structures = json.loads((run / "metrics_val_medical.json").read_text())["structures"]
    assert list(structures) == ["both", "both (rest)", "posterior"]
    assert "<h2>Regions</h2>" in (run / "metrics_val.html").read_text()


def test_a_run_scores_the_same_on_volumes_that_are_all_stored_another_way(tmp_path, capsys):
    """Cut across the same anatomical axis, and turned as those of its training were; it is not resumed on them."""
    root, other = tmp_path / "Dataset006_Turned", tmp_path / "again/Dataset006_Turned"
    nnunet(root)
    train_and_predict(root, root / "imagesTs", tmp_path, "--data.layout={folds: 2}")
    copytree(root, other)
    for path in other.rglob("*.nii.gz"):
        reorient(path, "PSR")
    values = []
    for place in (root, other):
        run = tmp_path / f"run{len(values)}"
        copytree(tmp_path / "r", run)
        for file in run.glob("metrics*"):
            file.unlink()
        command = ["val", "--checkpoint", str(run), "--data.root", str(place), "--metrics", "medical"]
        assert main([*command, "--trainer.accelerator=cpu"]) == 0
        values.append([json.loads(file.read_text()) for file in sorted(run.glob("metrics*.json"))])
    (first, medical), (second, again) = values
    assert first["per_class"] == second["per_class"]
    assert medical["structures"] == again["structures"]  # of the probabilities, too: areas under curves
    assert "auc" in str(medical["structures"])
    assert main(["train", "--resume", str(tmp_path / "r"), "--data.root", str(other), "--trainer.max_epochs=2"]) == 2
    assert "was trained with 0, but the data now give " in capsys.readouterr().err


def test_a_user_of_nnunet_trains_and_predicts_tiff_stacks(tmp_path):
    nnunet_tiff(tmp_path / "data")
    out = train_and_predict(tmp_path / "data", tmp_path / "data/imagesTr", tmp_path)
    written = sorted(path.name for path in out.iterdir())
    assert written == [f"case_{i:03}.tif" for i in range(5)]
    stack = tifffile.imread(out / "case_000.tif")
    assert stack.shape == SHAPE and stack.dtype == np.uint8 and stack.max() <= 2


def test_a_user_of_nnunet_trains_and_predicts_pictures(tmp_path):
    nnunet_png(tmp_path / "data", colours=False)
    out = train_and_predict(tmp_path / "data", tmp_path / "data/imagesTr", tmp_path)
    assert sorted(path.name for path in out.iterdir()) == [f"case_{i:03}.png" for i in range(5)]
