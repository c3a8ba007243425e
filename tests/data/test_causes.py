"""Likely causes that are told by check, and nowhere else."""

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from tests.conftest import write_card
from tests.data.layouts import SIZE, blocks, photo, save, shifted

TWO = [{"name": "no", "ids": [0]}, {"name": "yes", "ids": [1, 255]}]


def inspect(root, pasted="", **card):
    path = write_card(root, **{"layout": {"reader": "folder", "images": "i", "masks": "m"}, **card})
    content = {**yaml.safe_load(path.read_text()), **(yaml.safe_load(pasted) or {})}
    path.write_text(yaml.safe_dump(content))
    loaded = load_card(str(path))
    return check_split(loaded, build_reader(loaded), "train")


def folder_of(root, mask, suffix=".png", **options):
    for i in range(2):
        photo(root / f"i/{i}.png", seed=i)
        save(root / f"m/{i}{suffix}", mask, **options)


def test_masks_in_the_cards_colours_are_mended_by_mask_format_rgb(tmp_path):
    colors = [(128, 64, 128), (70, 70, 70), (0, 0, 0)]
    folder_of(tmp_path, blocks(0, colors))
    classes = [{"name": "road", "color": [128, 64, 128]}, {"name": "wall", "color": [70, 70, 70]}]
    (cause,) = inspect(tmp_path, classes=classes).causes
    assert "mask_format: rgb" in cause.text and "mask_format: rgb" in cause.yaml
    after = inspect(tmp_path, cause.yaml, classes=classes)
    assert (after.problems, after.causes) == ([], [])
    assert after.pixels.tolist()[2] > 0  # black is ignored


def test_masks_in_unknown_colours_are_mended_by_mask_format_rgb(tmp_path):
    folder_of(tmp_path, blocks(0, [(1, 2, 3), (200, 10, 10), (0, 99, 0)]))
    (cause,) = inspect(tmp_path, classes=TWO).causes
    assert "3 colours" in cause.text and "mask_format: rgb" in cause.text
    after = inspect(tmp_path, cause.yaml, classes=TWO)
    assert (after.problems, after.causes) == ([], [])


def test_a_jpeg_mask_of_two_classes_is_mended_by_a_threshold(tmp_path):
    folder_of(tmp_path, shifted(0, SIZE), ".jpg", quality=60)
    found = inspect(tmp_path, classes=TWO)
    assert all("JPEG" not in line for line in found.problems)  # the guess is told once, as a cause
    (cause,) = found.causes
    assert "saved as JPEG" in cause.text and "JPEG changes ids" in cause.text
    assert inspect(tmp_path, cause.yaml, classes=TWO).problems == []


def test_values_around_those_of_the_card_are_blamed_on_smoothing(tmp_path):
    folder_of(tmp_path, blocks(0, [0, 1, 2, 3, 250, 252, 254]))
    (cause,) = inspect(tmp_path, classes=TWO).causes
    assert "2, 3, 250, 252, 254 lie around" in cause.text and "resized smoothly" in cause.text
    assert inspect(tmp_path, cause.yaml, classes=TWO).problems == []


def test_values_far_from_those_of_the_card_are_not(tmp_path):
    folder_of(tmp_path, blocks(0, [0, 1, 60, 90, 120, 150]))
    (cause,) = inspect(tmp_path, classes=TWO).causes
    assert "smoothly" not in cause.text


def test_a_jpeg_mask_of_many_classes_must_be_exported_again(tmp_path):
    picture = np.asarray(Image.fromarray(shifted(0, SIZE)))
    folder_of(tmp_path, picture, ".jpg", quality=60)
    (cause,) = inspect(tmp_path).causes
    assert "Export the masks again as PNG" in cause.text and cause.yaml == ""


THREE = [{"name": "soil"}, {"name": "crop"}, {"name": "weed"}]


@pytest.mark.parametrize(
    "values", [[50, 100, 150], [0, 7, 90], [50, 100, 150, 255], [0, 50, 100, 150], [0, 50, 100, 150, 255]]
)
def test_as_many_ids_as_classes_are_given_to_them_one_each(tmp_path, values):
    folder_of(tmp_path, blocks(0, values))
    found = inspect(tmp_path, classes=THREE)
    (cause,) = found.causes
    pasted = yaml.safe_load(cause.yaml)
    ids = values if len(values) == 3 else [50, 100, 150]
    assert [row["ids"] for row in pasted["classes"]] == [[i] for i in ids]
    assert pasted.get("ignore", []) == [i for i in values if i not in ids]
    after = inspect(tmp_path, cause.yaml, classes=THREE)
    assert (after.problems, after.causes) == ([], []) and after.pixels[:3].all()


@pytest.mark.parametrize("values", [[50, 100, 150, 200, 210], [0, 60, 90, 120, 150]])
def test_ids_are_never_ignored_where_nothing_would_be_left_to_learn(tmp_path, values):
    folder_of(tmp_path, blocks(0, values))
    (cause,) = inspect(tmp_path, classes=THREE).causes
    assert "Give each to a class, in its ids." in cause.text and cause.yaml == ""


def test_no_colours_are_advised_where_the_card_says_them_or_there_are_none(tmp_path):
    classes = [{"name": "road", "color": [128, 64, 128]}, {"name": "wall", "color": [70, 70, 70]}]
    layout = {"reader": "folder", "images": "i", "masks": "m", "mask_format": "rgb"}
    folder_of(tmp_path / "strange", blocks(0, [(128, 64, 128), (70, 70, 70), (9, 9, 9)]))
    found = inspect(tmp_path / "strange", classes=classes, layout=layout)
    assert "is in no row of the card" in found.problems[0] and not found.causes
    folder_of(tmp_path / "large", np.repeat(blocks(0, [0, 1], (50, 60))[..., None], 3, axis=2))
    found = inspect(tmp_path / "large", classes=TWO)
    assert found.problems and not any("colours" in cause.text for cause in found.causes)


def test_what_a_valid_region_leaves_out_is_no_id_of_the_masks(tmp_path):
    folder_of(tmp_path, blocks(0, [1, 2]))
    region = blocks(1, [255, 255, 255, 0])
    for i in range(2):
        save(tmp_path / f"v/{i}.png", region)
    layout = {"reader": "folder", "images": "i", "masks": "m", "valid": "v"}
    (cause,) = inspect(tmp_path, classes=[{"name": "a"}, {"name": "b"}], layout=layout).causes
    assert "the ids begin at 1 and end at 2" in cause.text


def test_a_few_masks_that_differ_are_wrong_and_not_the_card(tmp_path):
    for i in range(10):
        photo(tmp_path / f"i/{i}.png", seed=i)
        save(tmp_path / f"m/{i}.png", blocks(0, [0, 1, 2] if i == 7 else [0, 1]))
    (cause,) = inspect(tmp_path, classes=[{"name": "a"}, {"name": "b"}]).causes
    assert cause.text.startswith(f"{tmp_path}/m/7.png: 1 of 10 masks do not fit the card: 1 of the ids")
    assert cause.yaml == "ignore: [2]"  # and not another meaning of all ids
