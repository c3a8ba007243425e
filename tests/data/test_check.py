"""What is wrong with data is said with its file, what was found, what was expected, and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_data, check_split, check_values
from segnext_pafpn.data.check.duplicates import find_twins
from segnext_pafpn.data.check.page import write_check_page
from segnext_pafpn.data.check.sample import count_ids
from segnext_pafpn.data.readers import build_reader
from tests.conftest import write_card, write_pair
from tests.strict_html import read_page

NAMES = ("sky", "building", "road", "pavement", "tree", "car", "person", "pole")


def masks(root: Path, split: str = "train") -> list[Path]:
    return sorted((root / "masks" / split).iterdir())


def change_masks(root: Path, change: Callable[[np.ndarray], np.ndarray], suffix: str = ".png") -> Path:
    """Every mask of both splits through ``change``; the first of train."""
    for split in ("train", "val"):
        for path in masks(root, split):
            array = change(np.asarray(Image.open(path)))
            path.unlink()
            Image.fromarray(array).save(path.with_suffix(suffix))
    return masks(root)[0]


def inspect(root: Path, **changes):
    card = load_card(str(write_card(root, **changes)))
    reader = build_reader(card)
    reports = [check_split(card, reader, split, details=True) for split in ("train", "val")]
    return check_data(card, reports, find_twins(reports)), reader


def two_classes(**rows) -> list[dict]:
    return [{"name": "background"}, {"name": "cell", **rows}]


def mended(root: Path, pasted: str, **changes):
    """The findings once the lines that a cause gives stand in the card."""
    return inspect(root, **{**changes, **yaml.safe_load(pasted)})[0]


def spoil_black_and_white(root):
    file = change_masks(root, lambda m: ((m % 2) * 255).astype(np.uint8))
    return {"classes": two_classes()}, [str(file), "mask of 0 and 255", "expected the ids of two", "Name 255"], True


def spoil_black_and_white_named(root):
    file = change_masks(root, lambda m: ((m % 2) * 254).astype(np.uint8))
    words = [str(file), "value 254 is not in the card", "known: 0-1", "Add to a class's ids"]
    return {"classes": two_classes()}, words, True


def spoil_off_by_one(root):
    file = change_masks(root, lambda m: m + 1)
    return {}, [str(file), "begin at 1 and end at 8", "expected 0 to 7", "Shift"], True


def spoil_ade20k_style(root):
    file = change_masks(root, lambda m: np.where(np.arange(m.shape[1]) < 3, 0, m + 1).astype(np.uint8))
    return {}, [str(file), "from 0 to 8", "expected 0 to 7", "0 means unlabelled"], True


def spoil_cityscapes(root):
    raw = np.array([23, 11, 7, 8, 21, 26, 24, 17], np.uint8)
    file = change_masks(root, lambda m: raw[m])
    rows = [{"name": n} for n in ("sky", "building", "road", "sidewalk", "vegetation", "car", "person", "pole")]
    return {"classes": rows}, [str(file), "raw labelIds", "expected trainIds", "Name the raw ids"], True


def spoil_grey_palette(root):
    colors = np.array([[30 * i, 255 - 30 * i, 128] for i in range(8)], np.uint8)
    file = change_masks(root, lambda m: np.asarray(Image.fromarray(colors[m]).convert("L")))
    return {}, [str(file), "brightness of the classes' colours", "expected class ids", "Save the palette"], True


def spoil_stretched(root):
    file = change_masks(root, lambda m: m * 36)
    return {}, [str(file), "evenly spread", "expected 0 to 7", "Name the stretched ids"], True


def spoil_with_card_colors(root):
    colors = np.array([[30 * i, 255 - 30 * i, 128] for i in range(8)], np.uint8)
    file = change_masks(root, lambda m: colors[m])
    return {}, [str(file), "in the card's colours", "expected one channel", "mask_format: rgb"], False


def spoil_with_other_colors(root):
    colors = np.random.default_rng(0).integers(0, 255, (8, 3), dtype=np.uint8)
    file = change_masks(root, lambda m: colors[m])
    return {}, [str(file), "8 colours", "expected one channel of class ids", "mask_format: rgb"], False


def spoil_by_swapping_folders(root):
    (root / "images").rename(root / "other")
    (root / "masks").rename(root / "images")
    (root / "other").rename(root / "masks")
    words = ["masks/train/t0.png", "different values", "expected the photograph to have the more", "change the card's"]
    return {}, words, False


def spoil_size(root):
    file = masks(root)[0]
    Image.fromarray(np.zeros((48, 60), np.uint8)).save(file)
    return {}, [str(file), "the mask is 60x48", "its image 64x48", "export the mask again"], False


def spoil_truncated_png(root):
    file = root / "images/train/t1.png"
    file.write_bytes(file.read_bytes()[:300])
    return {}, [str(file), "cannot be decoded", "truncated", "Replace the file or leave it out"], False


def spoil_truncated_jpeg(root):
    old = root / "images/train/t1.png"
    file = old.with_suffix(".jpg")
    Image.open(old).save(file)
    old.unlink()
    file.write_bytes(file.read_bytes()[:-200])
    return {}, [str(file), "cannot be decoded", "truncated", "Replace the file or leave it out"], False


def spoil_empty_split(root):
    for path in (root / "images/val").iterdir():
        path.unlink()
    return {}, ["images/val", "holds no image", "Expected the images of 'val' there", "see the card's layout"], False


def spoil_orphan_mask(root):
    file = root / "masks/train/extra.png"
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(file)
    return {}, [str(file), "no image for this mask", "expected", "it is not used"], False


def spoil_orphan_image(root):
    masks(root)[0].unlink()
    file = root / "images/train/t0.png"
    return {}, [str(file), "no mask for this image", "Expected", "masks/train/t0.png"], False


def spoil_duplicate(root):
    for kind in ("images", "masks"):
        (root / kind / "val/copy.png").write_bytes((root / kind / "train/t2.png").read_bytes())
    file = root / "images/val/copy.png"
    return {}, [str(file), "same picture as", "images/train/t2.png (train)", "Remove it from one"], False


def spoil_near_duplicate(root):
    image = Image.open(root / "images/train/t2.png").resize((128, 96))
    image.save(root / "images/val/copy.jpg", quality=85)
    Image.open(root / "masks/train/t2.png").resize((128, 96), Image.Resampling.NEAREST).save(
        root / "masks/val/copy.png"
    )
    file = root / "images/val/copy.jpg"
    return {}, [str(file), "nearly the same picture as", "images/train/t2.png (train)", "Remove it"], False


def spoil_by_ignoring_all(root):
    change_masks(root, lambda m: np.full_like(m, 255))
    return {}, ["split 'train'", "every pixel is ignored", "Map at least one id to a class"], False


def spoil_with_floats(root):
    file = change_masks(root, lambda m: m.astype(np.float32), ".tif")
    return {}, [str(file), "floating point", "expected whole numbers", "Save it again"], False


def spoil_with_deep_images(root):
    file = root / "images/train/t0.png"
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(file)
    return {}, [str(file), "more than 8 bits", "expected 8", "Convert it"], False


def spoil_with_jpeg_masks(root):
    file = change_masks(root, lambda m: m * 20, ".jpg")
    return {}, [str(file), "saved as JPEG", "expected at most 8 classes", "Export the masks again as PNG"], False


def spoil_by_a_class_that_never_occurs(root):
    rows = [{"name": name} for name in (*NAMES, "tram")]
    return {"classes": rows}, ["split 'val'", "'tram' has no pixel", "expected id 8", "Correct its ids"], False


SPOILERS = [value for name, value in list(globals().items()) if name.startswith("spoil_")]


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


def test_good_data_has_no_cause_and_no_twins(dataset):
    found, _ = inspect(dataset)
    assert (found.problems, found.warnings, found.causes, found.twins) == ([], [], [], [])


def test_an_unknown_id_without_a_known_cause_can_be_ignored_as_said(dataset):
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(masks(dataset)[0])
    found, _ = inspect(dataset)
    assert found.causes[0].yaml == "ignore: [77]"
    assert mended(dataset, found.causes[0].yaml).problems == []


def test_a_card_that_means_to_ignore_255_is_not_contradicted(dataset):
    change_masks(dataset, lambda m: np.where(m % 2, 255, 0).astype(np.uint8))
    found, _ = inspect(dataset, classes=two_classes(), ignore=[255])
    assert found.problems == [] and any("'cell' has no pixel" in line for line in found.warnings)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_are_counted_as_numpy_counts_them(dtype):
    mask = np.random.default_rng(0).integers(0, 200, (31, 57)).astype(dtype)
    ids, counts = count_ids(mask[:, ::2])
    expected = np.unique(mask[:, ::2], return_counts=True)
    assert np.array_equal(ids, expected[0]) and np.array_equal(counts, expected[1])


def test_mean_and_deviation_are_those_of_all_pixels_together(dataset):
    found, _ = inspect(dataset)
    paths = sorted((dataset / "images").rglob("*.png"))
    pixels = np.concatenate([np.asarray(Image.open(p)).reshape(-1, 3) for p in paths]) / 255
    assert found.mean == pytest.approx(pixels.mean(axis=0), abs=1e-6)
    assert found.std == pytest.approx(pixels.std(axis=0), abs=1e-6)
    assert (found.low, found.high) == (round(255 * pixels.min()), round(255 * pixels.max()))


def test_masks_of_one_class_are_counted(dataset):
    for path in masks(dataset)[:2]:
        Image.fromarray(np.full((48, 64), 3, np.uint8)).save(path)
    found, _ = inspect(dataset)
    assert [split.num_empty for split in found.splits] == [2, 0]


def test_flat_pictures_are_not_taken_for_copies_unless_they_are(dataset):
    for split, name, level in (("train", "t0", 100), ("val", "v0", 101), ("val", "v1", 100)):
        Image.fromarray(np.full((48, 64, 3), level, np.uint8)).save(dataset / f"images/{split}/{name}.png")
    found, _ = inspect(dataset)
    assert [(t.first.name, t.second.name, t.exact) for t in found.twins] == [("t0", "v1", True)]


def test_scenes_that_are_merely_alike_are_not_twins(tmp_path):
    for i in range(30):
        write_pair(tmp_path, "train", f"t{i}", seed=i)
        write_pair(tmp_path, "val", f"v{i}", seed=1000 + i)
    assert inspect(tmp_path)[0].twins == []


def test_the_page_is_whole_and_shows_problems_as_text(dataset, tmp_path):
    spoil_duplicate(dataset)
    Image.fromarray(np.full((48, 64), 99, np.uint8)).save(masks(dataset)[0])
    rows = [{"name": '<b>sky</b> & "co"'}, *({"name": name} for name in NAMES[1:])]
    found, reader = inspect(dataset, classes=rows)
    write_check_page(found, reader, tmp_path / "check.html")
    page = read_page(tmp_path / "check.html")
    assert len(page.images) == 2 * (6 + 6) + 2
    assert '<b>sky</b> & "co"' in page.text
    for words in ("Training may not start: 1 problem", "value 99 is not in the card", "ignore: [99]", "64x48"):
        assert words in page.text


def test_a_page_of_data_that_cannot_be_read_at_all_is_still_a_page(dataset, tmp_path):
    for path in dataset.rglob("*.png"):
        path.write_bytes(b"nothing")
    found, reader = inspect(dataset)
    write_check_page(found, reader, tmp_path / "check.html")
    assert "cannot be decoded" in read_page(tmp_path / "check.html").text
    assert json.loads(json.dumps(check_values(found), allow_nan=False))["image_mean"] == [None] * 3


def test_the_command_writes_json_and_page_and_exits_with_what_they_say(capsys, dataset, tmp_path):
    outputs = ["--json", str(tmp_path / "a/check.json"), "--html", str(tmp_path / "check.html")]
    assert main(["check", "--data", str(dataset / "card.yaml"), *outputs]) == 0
    values = json.loads((tmp_path / "a/check.json").read_text())
    assert values["training_may_start"] and values["shared_between_splits"] == []
    assert [split["pairs"] for split in values["splits"]] == [6, 5]
    assert sum(values["splits"][0]["class_pixels"].values()) == 6 * 48 * 64
    assert values["splits"][1]["sizes"] == {"64x48": 3, "56x40": 2}
    assert values["splits"][0]["image_kinds"] == {"PNG RGB, 3 x uint8": 6}
    read_page(tmp_path / "check.html")

    spoil_off_by_one(dataset)
    capsys.readouterr()
    assert main(["check", "--data", str(dataset / "card.yaml"), *outputs]) == 2
    captured = capsys.readouterr()
    assert "likely cause: " in captured.out and "ids: [8]}" in captured.out
    assert captured.err.startswith("error: ")
    values = json.loads((tmp_path / "a/check.json").read_text())
    assert not values["training_may_start"] and "ids: [8]" in values["likely_causes"][0]["yaml"]


def test_training_says_the_likely_cause_before_it_refuses(capsys, dataset, tmp_path):
    spoil_off_by_one(dataset)
    assert main(["train", "--data", str(dataset / "card.yaml"), "--output_dir", str(tmp_path / "runs")]) == 2
    captured = capsys.readouterr()
    assert captured.out.count("likely cause: ") == 1 and "ids: [8]}" in captured.out
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("error: ") and "value 8 is not in the card" in lines[-1]
    assert not (tmp_path / "runs").exists()


def test_warnings_without_number_do_not_bury_the_rest(capsys, dataset):
    for i in range(50):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(dataset / f"masks/train/orphan{i}.png")
    assert main(["check", "--data", str(dataset / "card.yaml")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 41 and lines[-1] == "warning: 10 more; --json PATH lists all"


def test_a_split_that_training_needs_may_not_be_missing(capsys, dataset):
    for folder in ("images/val", "masks/val"):
        shutil.rmtree(dataset / folder)
    assert main(["check", "--data", str(dataset / "card.yaml")]) == 2
    assert "there is no split 'val'" in capsys.readouterr().err
