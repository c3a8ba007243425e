"""The lines of the check come in an order, and few enough of each kind, that what matters most is read."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.check.page import write_check_page
from tests.conftest import error_of, write_card
from tests.data.spoilers import NAMES, inspect, masks, spoil_duplicate
from tests.strict_html import read_page


def many_classes() -> list[dict]:
    return [{"name": name} for name in NAMES] + [{"name": f"rare {i}"} for i in range(142)]


def lines_of(text: str, kind: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"{kind}: ")]


def test_the_first_line_says_what_is_read(capsys, dataset):
    card = dataset / "card.yaml"
    assert main(["check", "--data", str(card)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"Reads the data of card 'tiny' ({card}), in {dataset}."
    few = "{num_train: 1, num_val: 1, num_test: 1}"
    assert main(["check", "--data.layout", few]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("Reads the data of card 'streets' (") and "built in; --data CARD names another" in first


def test_classes_without_a_pixel_are_named_in_one_line_for_each_split(dataset):
    found, _ = inspect(dataset, classes=many_classes())
    assert [len(split.warnings) for split in found.splits] == [1, 1]
    line = found.splits[0].warnings[0]
    assert line.startswith("split 'train': 142 of 150 classes have no pixel: 'rare 0' (id 8), 'rare 1' (id 9), ")
    assert line.endswith(" and 134 more. Correct their ids, or split the data anew.")


def test_pictures_in_two_splits_come_before_other_warnings(capsys, dataset, tmp_path):
    spoil_duplicate(dataset)
    for i in range(50):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(dataset / f"masks/train/orphan{i}.png")
    card = write_card(dataset, classes=many_classes())
    assert main(["check", "--data", str(card)]) == 0
    warnings = lines_of(capsys.readouterr().out, "warning")
    assert "the same picture as" in warnings[0] and len(warnings) == 1 + 2 + 5 + 2

    found, reader = inspect(dataset, classes=many_classes())
    assert "the same picture as" in found.warnings[0]
    write_check_page(found, reader, tmp_path / "check.html")
    text = read_page(tmp_path / "check.html").text
    assert text.index("the same picture as") < text.index("142 of 150 classes")


def test_a_split_that_lies_in_another_has_one_line(dataset):
    for kind in ("images", "masks"):
        shutil.rmtree(dataset / kind / "val")
        shutil.copytree(dataset / kind / "train", dataset / kind / "val")
    found, _ = inspect(dataset)
    count = len(found.splits[0].details)
    assert count > 1 and len(found.twins) == count
    assert found.leaks == [
        f"split 'val': all of its {count} pictures are in 'train', too, expected splits that share none. Are both read "
        f"from one folder? Scores would say nothing of pictures that are new."
    ]


def test_pictures_in_two_splits_without_number_do_not_hide_other_warnings(capsys, dataset):
    for i in range(45):
        for kind in ("images", "masks"):
            (dataset / kind / f"val/copy{i}.png").write_bytes((dataset / kind / "train/t2.png").read_bytes())
    card = write_card(dataset, classes=many_classes())
    assert main(["check", "--data", str(card)]) == 0
    warnings = lines_of(capsys.readouterr().out, "warning")
    assert warnings[5:7] == ["warning: 40 more like the last one", "warning: 45 in all; --json PATH lists them"]
    assert ["classes have no pixel" in line for line in warnings[7:]] == [True, True]


def test_training_says_what_is_odd_before_it_starts(capsys, dataset, tmp_path):
    for i in range(50):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(dataset / f"masks/train/orphan{i}.png")
    card = write_card(dataset, classes=many_classes())
    stop = ["--trainer.accelerator", "none_such", "--output_dir", str(tmp_path)]  # which is asked for after the check
    assert main(["train", "--data", str(card), *stop]) == 2
    warnings = lines_of(capsys.readouterr().out, "warning")
    assert "split 'train': 142 of 150 classes have no pixel" in warnings[0] and len(warnings) == 5 + 1
    assert warnings[-1].endswith(" in all; segnext-pafpn check --json PATH lists them")


def test_errors_without_number_are_cut_short_and_their_cause_comes_first(capsys, monkeypatch, dataset, tmp_path):
    for i in range(44):
        for kind in ("images", "masks"):
            (dataset / kind / f"train/more{i}.png").write_bytes((dataset / kind / "train/t2.png").read_bytes())
    for path in masks(dataset):
        Image.fromarray(np.full((48, 64), 77, np.uint8)).save(path)
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    assert main(["check", "--data", str(dataset / "card.yaml"), "--json", str(tmp_path / "c.json")]) == 2
    out = capsys.readouterr().out
    errors = lines_of(out, "error")
    assert errors[5:] == ["error: 45 more like the last one", "error: 50 in all; --json PATH lists them"]
    assert len(json.loads((tmp_path / "c.json").read_text())["splits"][0]["problems"]) == 50
    assert out.count("likely cause: ") == 1 and out.index("likely cause: ") < out.index("error: ")


def test_masks_of_one_class_are_named_a_few_on_terminal_and_page_and_all_in_the_json(capsys, dataset, tmp_path):
    for path in masks(dataset)[1:]:
        Image.fromarray(np.full((48, 64), 3, np.uint8)).save(path)
    outputs = ["--json", str(tmp_path / "c.json"), "--html", str(tmp_path / "c.html")]
    assert main(["check", "--data", str(dataset / "card.yaml"), *outputs]) == 0
    named = [str(path) for path in masks(dataset)[1:]]
    text = f"split 'train': 5 masks of one class or none: {', '.join(named[:3])} and 2 more; --json PATH lists all"
    assert text in capsys.readouterr().out and text in read_page(tmp_path / "c.html").text
    train, val = json.loads((tmp_path / "c.json").read_text())["splits"]
    assert train["empty_masks"] == named and val["empty_masks"] == []


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_an_output_that_is_a_folder_or_below_a_file_is_refused_before_reading(capsys, monkeypatch, dataset, option):
    monkeypatch.setattr("segnext_pafpn.data.check.check_split", lambda *_, **__: pytest.fail("has read"))
    line = error_of(capsys, "check", "--data", dataset / "card.yaml", option, dataset)
    assert line.startswith(f"error: {dataset}: cannot be written: it is a folder. Name a file, such as ")
    below = dataset / "card.yaml/sub/check.out"
    line = error_of(capsys, "check", "--data", dataset / "card.yaml", option, below)
    assert line.startswith(f"error: {below}: cannot be written: {dataset / 'card.yaml'} is a file.")
