"""val --metrics street on Cityscapes: scores of instances are the module's own; a missing file of them is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.evaluation.streets import CITYSCAPES_INSTANCE_SIZES, InstanceIoU
from segnext_pafpn.training.config import OptimConfig
from tests.data.layouts import cityscapes
from tests.evaluation.city_script import verdict_of
from tests.training.field_runs import logits_of, score, values_of, write_png
from tests.training.small_runs import small_run


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("city")
    cityscapes(root)
    for path in root.glob("gtFine/val/*/*_instanceIds.png"):  # persons and cars, two of each, as the script numbers
        labels = np.array(Image.open(path.with_name(path.name.replace("instanceIds", "labelIds")))).astype(np.uint16)
        left = np.arange(labels.shape[1])[None] < labels.shape[1] // 2
        numbered = np.where(np.isin(labels, (24, 26)), labels * 1000 + left, labels)
        write_png(path, numbered.astype(np.uint16))
    card = Path("datasets/cityscapes.yaml").resolve()
    copy = root / "cityscapes.yaml"
    copy.write_text(card.read_text() + "root: .\n")
    optim = OptimConfig(lr=0.03, warmup_steps=1, ema_decay=0.5)  # so that more than one class is predicted
    return copy, small_run(copy, tmp_path_factory.mktemp("runs"), epochs=6, optim=optim)


def test_instances_of_cityscapes_are_the_modules_own(city):
    card, run = city
    score(run, "--metrics", "street")
    data, samples, logits = logits_of(run, card)
    sizes = [CITYSCAPES_INSTANCE_SIZES.get(name) for name in data.card.class_names]
    categories = [row.category for row in data.card.classes]
    by_class, by_category = InstanceIoU(sizes), InstanceIoU(sizes, categories)
    for sample, each in zip(samples, logits, strict=True):
        ids = np.array(Image.open(str(sample.mask).replace("labelIds", "instanceIds"))).astype(np.int64)
        assert ids.max() >= 24000
        maps = each.argmax(0), torch.from_numpy(data.read_truth(sample)), torch.from_numpy(np.where(ids < 1000, 0, ids))
        for metric in (by_class, by_category):
            metric.update(*(part[None] for part in maps))
    values = values_of(run, "instances")
    expected = {n: s for n, s in zip(data.card.class_names, by_class.compute().tolist(), strict=True) if s == s}
    assert {row["name"] for row in values["per_class"]} == set(expected) >= {"person", "car"}
    for row in values["per_class"]:
        assert row["iIoU"] == pytest.approx(100 * expected[row["name"]], abs=1e-4)
    grouped = dict(zip(by_category.names, by_category.compute().tolist(), strict=True))
    for row in values["per_category"]:
        assert row["iIoU"] == pytest.approx(100 * grouped[row["name"]], abs=1e-4)
    assert {row["name"] for row in values["per_category"]} == {"human", "vehicle"}
    assert (run / "metrics_val_categories.json").is_file() and (run / "metrics_val_boundaries.json").is_file()


def test_the_cityscapes_script_gives_the_files_of_predict_the_scores_of_val(city, tmp_path):
    card, run = city
    score(run, "--metrics", "street")
    images = card.parent / "leftImg8bit/val/lindau"
    arguments = ["--checkpoint", str(run), "-i", str(images), "-o", str(tmp_path), "--device", "cpu", "--ids", "true"]
    assert main(["predict", *arguments]) == 0
    predictions, truths = [], []
    for image in sorted(images.glob("*.png")):
        predictions.append(str(tmp_path / image.name))
        truth = image.name.replace("leftImg8bit", "gtFine_labelIds")
        truths.append(str(card.parent / "gtFine/val/lindau" / truth))
    verdict = verdict_of(predictions, truths)
    scored = {row["name"]: row["IoU"] for row in json.loads((run / "metrics_val.json").read_text())["per_class"]}
    for name, iou in scored.items():
        if iou is not None:
            # predict folds the norms, so that a pixel between two classes may fall to the other one
            assert iou == pytest.approx(100 * verdict["classScores"][name], abs=0.2), name
    assert sum(iou is not None and iou > 0 for iou in scored.values()) > 1
    rows = values_of(run, "instances")["per_class"]
    assert rows
    for row in rows:
        assert row["iIoU"] == pytest.approx(100 * verdict["classInstScores"][row["name"]], abs=0.2), row


def test_missing_instance_files_are_named_before_anything_is_computed(city, capsys):
    card, run = city
    path = next(card.parent.glob("gtFine/val/*/*_instanceIds.png"))
    kept = path.read_bytes()
    path.unlink()
    try:
        score(run, "--metrics", "street", expect=2)
    finally:
        path.write_bytes(kept)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and f"{path}: no such file (1 of 2 are missing)" in lines[0]
