"""val --metrics: each number is the module's own; volumes are scored whole; what the data cannot give is refused."""

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
import yaml

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.readers import READERS
from segnext_pafpn.data.transforms import apply_transform, eval_transform
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.case_rows import summarize
from segnext_pafpn.evaluation.fields import MedicalCases
from segnext_pafpn.evaluation.medical import case_scores
from segnext_pafpn.evaluation.metrics import ConfusionMatrix
from segnext_pafpn.evaluation.scores import scores_from_matrix
from segnext_pafpn.evaluation.segments import segment_scores, segments_from_boundaries
from segnext_pafpn.evaluation.streets import BoundaryIoU, merge_classes
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.training.config import OptimConfig, TrainerConfig
from segnext_pafpn.training.evaluate import evaluate
from segnext_pafpn.training.fields import FieldScores, build_metrics
from tests.conftest import write_card, write_pair
from tests.strict_html import read_page
from tests.training.field_runs import SPACING, NumberedReader, discs, logits_of, picture_of, score, values_of, write_png
from tests.training.small_runs import small_run

CASES = {"anna": 4, "ben": 3, "cleo": 1}


@pytest.fixture(scope="module", autouse=True)
def numbered_slices_can_be_read():
    READERS["numbered"] = NumberedReader
    yield
    del READERS["numbered"]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory) -> tuple[Path, Path]:
    """A card of volumes (slices in no order of their cases), and a run over it."""
    root = tmp_path_factory.mktemp("clinic")
    for split, cases in (("train", {"dora": 6}), ("val", CASES)):
        for number, (case, slices) in enumerate(cases.items()):
            for i in range(slices):
                layers = discs(100 * number + i, (32, 48), 2)
                mask = np.where(layers[1], 2, layers[0]).astype(np.uint8)
                mask[:2] = 255
                write_png(root / f"images/{split}/{case}_{i}.png", picture_of(layers, i))
                write_png(root / f"masks/{split}/{case}_{i}.png", mask)
    card = root / "card.yaml"
    content = {
        "classes": [{"name": name, "category": kind} for name, kind in (("none", "a"), ("gland", "b"), ("cyst", "b"))],
        "boundary": ["none"],
        "root": ".",
        "layout": {"reader": "numbered"},
    }
    card.write_text(yaml.safe_dump(content))
    optim = OptimConfig(lr=3e-3, warmup_steps=1, ema_decay=None)
    return card, small_run(card, tmp_path_factory.mktemp("runs"), epochs=15, optim=optim)


def test_volumes_are_scored_as_if_they_had_never_been_slices(clinic, capsys):
    card, run = clinic
    score(run, "--metrics", "medical", "--report")
    values = values_of(run, "medical")
    assert values["cases"] == 3 and values["distance_unit"] == "mm" and values["incomplete_cases"] == []
    data, samples, logits = logits_of(run, card)
    rows = {(row["case"], row["structure"]): row for row in csv.DictReader((run / "metrics_val_medical.csv").open())}
    for label, structure in ((1, "gland"), (2, "cyst")):
        found = []
        for case, count in CASES.items():
            places = [i for i, sample in enumerate(samples) if sample.case == case]
            places.sort(key=lambda i: samples[i].slice)
            assert len(places) == count
            maps = [[logits[i].argmax(0).numpy(), data.read_truth(samples[i]), logits[i].softmax(0)[label].numpy()]
                    for i in places]  # fmt: skip
            prediction, truth, probability = (np.stack(volume) for volume in zip(*maps, strict=True))
            spacing = SPACING
            if count == 1:  # a single slice is a picture
                prediction, truth, probability, spacing = prediction[0], truth[0], probability[0], SPACING[1:]
            expected = case_scores(prediction == label, truth == label, spacing, probability, truth != 255)
            found.append(expected)
            row = rows[case, structure]
            for name, value in asdict(expected).items():
                assert row[name] == ("" if np.isnan(value) else f"{value:.6g}"), (case, structure, name)
        for name, scale in (("dice", 100), ("hd95", 1), ("asd", 1), ("auc", 100), ("volume_similarity", 100)):
            summary = summarize([getattr(scores, name) for scores in found])
            written = values["structures"][structure][name]
            assert written["num_cases"] == summary.num_cases
            for key in ("mean", "sd", "low", "high", "median"):
                value = scale * getattr(summary, key)
                assert written[key] == (pytest.approx(value, abs=1e-4) if np.isfinite(value) else None), (name, key)
    out = capsys.readouterr().out
    assert "gland" in out and "bootstrap" in out and "hd95, mm" in out
    page = read_page(run / "metrics_val.html")
    assert "Cases" in page.headings and "volume similarity" in page.text
    assert f"val --checkpoint {run} --split val --report --metrics medical" in page.text
    score(run, "--report")
    page = read_page(run / "metrics_val.html")
    assert "Cases" not in page.headings and "--report --metrics" not in page.text
    assert "not on this page: metrics_val_medical.json. val --metrics medical scores anew." in page.text


def test_a_case_is_let_go_when_it_is_whole(clinic, monkeypatch):
    """Never more slices wait than the largest case has, and none is left."""
    card, run = clinic
    waiting, add = [], MedicalCases.add

    def watched(self, picture):
        add(self, picture)
        waiting.append(sum(map(len, self.incomplete.values())))

    monkeypatch.setattr(MedicalCases, "add", watched)
    score(run, "--metrics", "medical")
    assert len(waiting) == 8 and max(waiting) == 3 and waiting[-1] == 0


def test_a_case_whose_slices_were_not_all_seen_is_named_and_not_scored(clinic):
    _, run = clinic
    score(run, "--metrics", "medical", "--trainer.limit_val_batches=6", "--split=val")
    values = json.loads((run / "metrics_val_partial_medical.json").read_text())
    assert values["incomplete_cases"] == ["ben"] and values["cases"] == 1


def test_scores_of_a_part_do_not_take_the_place_of_those_of_the_whole(clinic, capsys):
    _, run = clinic
    score(run)
    whole = {path: path.read_bytes() for path in run.glob("metrics_val*") if "partial" not in path.name}
    score(run, "--trainer.limit_val_batches=3", "--report")
    assert "of a part of the split: metrics_val_partial.json. metrics_val.json is left" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in whole} == whole
    assert json.loads((run / "metrics_val_partial.json").read_text())["images"] == 3
    assert (run / "metrics_val_partial.html").is_file()


def test_categories_boundaries_and_cells_are_the_modules_own(clinic):
    card, run = clinic
    score(run, "--metrics", "categories", "boundaries", "segments")
    data, samples, logits = logits_of(run, card)
    confusion, boundary, cells = ConfusionMatrix(3), BoundaryIoU(3), {"decided": [], 0.3: []}
    for sample, each in zip(samples, logits, strict=True):
        truth = data.read_truth(sample)
        prediction = each.argmax(0)
        confusion.update(prediction[None], torch.from_numpy(truth)[None].long())
        boundary.update(prediction[None], torch.from_numpy(truth)[None])
        true = segments_from_boundaries((truth == 0) | (truth == 255))
        probability = each.softmax(0)[0].numpy()
        for key, cut in (("decided", segments_from_boundaries(prediction.numpy() == 0, fill=True)),
                         (0.3, segments_from_boundaries(probability, 0.3, fill=True))):  # fmt: skip
            cells[key].append(segment_scores(cut, true))
    names, merged = merge_classes(confusion.compute(), ["a", "b", "b"])
    expected = scores_from_matrix(merged)
    values = values_of(run, "categories")
    assert [row["name"] for row in values["per_category"]] == ["a", "b"] == list(names)
    assert [row["IoU"] for row in values["per_category"]] == pytest.approx(100 * expected.iou, abs=1e-4)
    values = values_of(run, "boundaries")
    written = [row["boundary_IoU"] for row in values["per_class"]]
    assert written == pytest.approx(100 * boundary.compute().numpy(), abs=1e-4)
    assert values["mean_boundary_IoU"] == pytest.approx(np.mean(written), abs=1e-3)
    values = values_of(run, "segments")
    swept = {row["threshold"]: row for row in values["by_threshold"]}
    for name, scale in (("rand", 100), ("info_merge", 100), ("vi_split", 1)):
        for row, key in ((values["at_decision"], "decided"), (swept[0.3], 0.3)):
            mean = scale * np.mean([getattr(scores, name) for scores in cells[key]])
            assert row[name] == pytest.approx(mean, abs=1e-4), (name, key)
    assert values["best_rand"]["rand"] == max(row["rand"] for row in swept.values())
    assert values["best_info"]["info"] == max(row["info"] for row in swept.values())


def test_resized_pictures_are_scored_in_their_own_size(clinic):
    """The scores of the field are those of what predict writes, not of the smaller picture."""
    card, run = clinic
    score(run, "--metrics", "boundaries", "--data.image_size=[16, 24]")
    shrunk = values_of(run, "boundaries")
    boundary = BoundaryIoU(3)
    data, samples, _ = logits_of(run, card)
    model, preprocessing = load_bundle(run)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    for sample in samples:
        image, truth = data.reader.read_image(sample), data.read_truth(sample)
        small, _ = apply_transform(eval_transform((16, 24)), image, truth)
        with torch.inference_mode():
            logits = model((torch.from_numpy(small).permute(2, 0, 1)[None] / 255 - mean) / std)
            logits = torch.nn.functional.interpolate(logits, size=(32, 48), mode="bilinear")
        boundary.update(logits.argmax(1), torch.from_numpy(truth)[None])
    written = [row["boundary_IoU"] for row in shrunk["per_class"]]
    assert written == pytest.approx(100 * boundary.compute().numpy(), abs=0.5)  # near-ties of rounding
    score(run, "--metrics", "boundaries")
    assert [row["boundary_IoU"] for row in values_of(run, "boundaries")["per_class"]] != written


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("streets", "'streets' is not known. Did you mean 'street'?"),
        ("instances", "card 'card' has no files of instances"),
        ("categories", "card 'plain' has no category for 8 of 8 classes ('sky' first)"),
        ("segments", "card 'plain' does not say which class divides cells. Add a line such as 'boundary: [sky]'"),
    ],
)
def test_what_the_data_cannot_give_is_refused_in_one_line_before_anything_is_computed(
    clinic, tmp_path, monkeypatch, capsys, metric, words
):
    card, run = clinic
    monkeypatch.setattr(lightning.Trainer, "validate", lambda *_, **__: pytest.fail("was computed"))
    if "plain" in words:
        write_pair(tmp_path, "val", "v0", seed=1)
        data = SegmentationDataModule(DataConfig(card=str(write_card(tmp_path, name="plain"))))
        with pytest.raises(UserError) as error:
            build_metrics([metric], data, "val")
        assert words in str(error.value)
        return
    score(run, "--metrics", metric, expect=2)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and words in lines[0]


def test_street_leaves_out_what_the_card_has_nothing_for_and_says_so(clinic, tmp_path, capsys):
    card, run = clinic
    score(run, "--metrics", "street")
    said = " ".join(capsys.readouterr().out.split())
    assert "instances left out: card 'card' has no files of instances." in said
    assert (run / "metrics_val_categories.json").is_file() and (run / "metrics_val_boundaries.json").is_file()
    write_pair(tmp_path, "val", "v0", seed=1)
    data = SegmentationDataModule(DataConfig(card=str(write_card(tmp_path, name="plain"))))
    assert [metric.name for metric in build_metrics(["street"], data, "val")] == ["boundaries"]
    said = " ".join(capsys.readouterr().out.split())
    assert "categories left out: card 'plain' has no category in any row of its classes." in said
    with pytest.raises(UserError, match="has no files of instances"):
        build_metrics(["street", "instances"], data, "val")


def test_a_case_is_not_divided_between_devices(clinic):
    card, run = clinic
    data = SegmentationDataModule(DataConfig(card=str(card)))
    watcher = FieldScores(build_metrics(["medical"], data, "val"), data, "val", Decision())

    class TwoDevices:
        world_size = 2

    with pytest.raises(UserError, match="must not be divided between devices, found 2"):
        watcher.setup(TwoDevices(), None, "validate")


def test_without_metrics_nothing_of_them_is_written(clinic, tmp_path):
    card, run = clinic
    copy = tmp_path / "copy"
    shutil.copytree(run / "model", copy / "model")
    evaluate(str(copy), DataConfig(card=str(card), num_workers=0), "val", TrainerConfig(accelerator="cpu"))
    assert sorted(path.name for path in copy.iterdir() if path.name != "model") == [
        "metrics_val.csv",
        "metrics_val.json",
        "metrics_val_confusion.csv",
        "metrics_val_images.csv",
        "metrics_val_images.npz",
    ]
