"""What is wrong with data is said with its file, what was found, what was expected, and what to do."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.cli import main
from tests.data.spoilers import SPOILERS, change_masks, inspect, masks, spoil_off_by_one, two_classes


def mended(root: Path, pasted: str, **changes):
    """The findings once the lines that a cause gives stand in the card."""
    return inspect(root, **{**changes, **yaml.safe_load(pasted)})[0]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__.removeprefix("spoil_"))
def test_what_is_wrong_is_said_in_one_line_with_file_found_expected_and_remedy(dataset, spoil):
    changes, words, can_be_mended = spoil(dataset)
    found, _ = inspect(dataset, **changes)
    lines = [*found.problems, *found.warnings, *(cause.text for cause in found.causes)]
    assert all("\n" not in line for line in lines)
    assert any(all(word in line for word in words) for line in lines), "\n".join(lines)
    assert bool(found.causes and found.causes[0].yaml.startswith("classes:")) or not can_be_mended
    if can_be_mended:
        after = mended(dataset, found.causes[0].yaml, **changes)
        assert after.problems == [] and after.causes == []


def test_an_unknown_id_without_a_known_cause_can_be_ignored_as_said(dataset):
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(masks(dataset)[0])
    found, _ = inspect(dataset)
    assert found.causes[0].yaml == "ignore: [77]"
    assert mended(dataset, found.causes[0].yaml).problems == []


def test_a_card_that_means_to_ignore_255_is_not_contradicted(dataset):
    change_masks(dataset, lambda m: np.where(m % 2, 255, 0).astype(np.uint8))
    found, _ = inspect(dataset, classes=two_classes(), ignore=[255])
    assert found.problems == [] and any("'cell' has no pixel" in line for line in found.warnings)


def test_training_says_the_likely_cause_before_it_refuses(capsys, dataset, tmp_path):
    spoil_off_by_one(dataset)
    assert main(["train", "--data", str(dataset / "card.yaml"), "--output_dir", str(tmp_path / "runs")]) == 2
    captured = capsys.readouterr()
    assert captured.out.count("likely cause: ") == 1 and "ids: [8]}" in captured.out
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("error: ") and "value 8 is not in the card" in lines[-1]
    assert not (tmp_path / "runs").exists()
