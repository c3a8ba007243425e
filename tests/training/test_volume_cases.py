"""val --metrics medical on files of volumes: each is a case, measured in the millimetres of its own file."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from segnext_pafpn.cli import main
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.medical import case_scores
from segnext_pafpn.training.fields import build_metrics
from tests.conftest import SMALL_RUN
from tests.data.volumes import SHAPE, SPACING, affine, intensities, labels, save_nifti
from tests.training.field_runs import logits_of

STRUCTURES = ("anterior", "posterior")
SPACINGS = {"anna": SPACING, "ben": (2.0, 1.0, 0.25)}


def write_clinic(root: Path, **layout) -> Path:
    """Volumes and label volumes in NIfTI, two of each split; those of val lie on grids of their own."""
    for split, cases in (("train", ("cleo", "dora")), ("val", tuple(SPACINGS))):
        for number, case in enumerate(cases):
            truth = labels(number + 10 * len(split))
            place = affine(number, SPACINGS.get(case, SPACING))
            save_nifti(root / f"images/{split}/{case}.nii.gz", intensities(truth, number), place)
            save_nifti(root / f"masks/{split}/{case}.nii.gz", truth, place)
    content = {
        "classes": [{"name": name} for name in ("background", *STRUCTURES)],
        "image": {"channels": 1, "normalize": "zscore"},
        "root": ".",
        "layout": {"reader": "volumes", **layout},
    }
    card = root / "clinic.yaml"
    card.write_text(yaml.safe_dump(content))
    return card


@pytest.fixture(scope="module", params=[0, 2])
def clinic(request, tmp_path_factory) -> tuple[int, Path, Path]:
    """The axis across which slices lie, the card, and a run of two steps."""
    root = tmp_path_factory.mktemp("clinic")
    card = write_clinic(root, axis=request.param)
    arguments = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--output_dir", str(root)]
    assert main(["train", "--data", str(card), "--name", "run", *SMALL_RUN, *arguments]) == 0
    return request.param, card, root / "run"


def test_each_volume_is_a_case_with_the_spacing_of_its_file(clinic, capsys):
    axis, card, run = clinic
    options = ["--trainer.accelerator=cpu", "--data.num_workers=0", "--data.val_batch_size=1"]
    assert main(["val", "--checkpoint", str(run), *options, "--metrics", "medical"]) == 0
    assert "hd95, mm" in capsys.readouterr().out
    values = json.loads((run / "metrics_val_medical.json").read_text())
    assert values["cases"] == 2 and values["distance_unit"] == "mm" and values["incomplete_cases"] == []
    assert values["images"] == values["images_in_split"] == 2 * SHAPE[axis]
    rows = {(row["case"], row["structure"]): row for row in csv.DictReader((run / "metrics_val_medical.csv").open())}
    assert set(rows) == {(case, structure) for case in SPACINGS for structure in STRUCTURES}
    _, samples, logits = logits_of(run, card)
    measured = 0
    for case, spacing in SPACINGS.items():
        file = nibabel.load(card.parent / f"masks/val/{case}.nii.gz")
        assert file.header.get_zooms()[::-1] == pytest.approx(spacing)
        truth = np.asarray(file.dataobj).T
        said = {s.slice: each for s, each in zip(samples, logits, strict=True) if s.case == case}
        maps = [said[number] for number in range(SHAPE[axis])]
        prediction = np.stack([each.argmax(0).numpy() for each in maps], axis=axis)
        for label, structure in enumerate(STRUCTURES, 1):
            probability = np.stack([each.softmax(0)[label].numpy() for each in maps], axis=axis)
            expected = case_scores(prediction == label, truth == label, spacing, probability)
            row = rows[case, structure]
            for name, value in asdict(expected).items():
                assert row[name] == "" if np.isnan(value) else float(row[name]) == pytest.approx(value, rel=1e-5), name
            in_pixels = case_scores(prediction == label, truth == label)
            measured += np.isfinite(expected.hd95) and expected.hd95 != in_pixels.hd95
    assert measured > 0  # that would be otherwise without the spacing


def test_a_split_that_leaves_out_slices_is_refused_before_anything_is_computed(tmp_path):
    card = write_clinic(tmp_path, min_foreground=20)
    data = SegmentationDataModule(DataConfig(card=str(card)))
    with pytest.raises(UserError, match=r"split 'train' leaves out slices of cleo.*layout.min_foreground to 0"):
        build_metrics(["medical"], data, "train")
    (metric,) = build_metrics(["medical"], data, "val")
    assert metric.sizes == dict.fromkeys(SPACINGS, SHAPE[0])
    truth = labels(1)
    truth[-2:] = 0  # the last slices are left out, so that those that stay are numbered without a gap
    truth[:-2, 0, 0] = 1
    save_nifti(tmp_path / "masks/train/cleo.nii.gz", truth, affine(0, SPACING))
    data = SegmentationDataModule(DataConfig(card=str(write_clinic(tmp_path / "other", min_foreground=1))))
    save_nifti(tmp_path / "other/masks/train/cleo.nii.gz", truth, affine(0, SPACING))
    with pytest.raises(UserError, match=r"split 'train' leaves out slices of cleo"):
        build_metrics(["medical"], data, "train")


def test_several_labels_per_pixel_are_refused_for_volumes(tmp_path):
    suffixes = dict.fromkeys(("background", *STRUCTURES), "_x")
    card = write_clinic(tmp_path, mask_format="files", class_suffixes=suffixes)
    card.write_text(card.read_text() + "multi_label: true\n")
    with pytest.raises(UserError, match=r"multi_label: true needs .* reader folder .* Found reader 'volumes'"):
        SegmentationDataModule(DataConfig(card=str(card)))
