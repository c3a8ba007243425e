"""Images and masks of one's own: how they are paired, divided, and what a mask file may hold."""

import itertools
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import FolderReader, build_reader
from segnext_pafpn.data.readers.files import read_rgb, read_size
from segnext_pafpn.data.readers.splits import Draw
from tests.conftest import random_mask, write_card
from tests.data.layouts import SIZE, blocks, photo, save


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def pairs(root, split="train", **options):
    listing = FolderReader(root=root, **options).list_samples(split)
    assert listing.problems == []
    short = {
        s.name: (s.image.relative_to(root).as_posix(), s.mask.relative_to(root).as_posix()) for s in listing.samples
    }
    return short, listing.warnings


def test_prefixes_and_suffixes_are_taken_off(tmp_path):
    touch(tmp_path, "i/img_7.jpg", "m/seg_7_gt.png")
    options = dict(images="i", masks="m", image_prefix="img_", mask_prefix="seg_", mask_suffix="_gt")
    assert pairs(tmp_path, **options) == ({"7": ("i/img_7.jpg", "m/seg_7_gt.png")}, [])


def test_images_and_masks_may_lie_in_one_folder(tmp_path):
    touch(tmp_path, "a.png", "a_mask.png", "b.jpg", "b_mask.png", "notes.txt", ".hidden.png")
    found, warnings = pairs(tmp_path, images=".", masks=".", mask_suffix="_mask")
    assert found == {"a": ("a.png", "a_mask.png"), "b": ("b.jpg", "b_mask.png")} and warnings == []


def test_the_file_type_may_tell_image_and_mask_apart(tmp_path):
    touch(tmp_path, "d/a.jpg", "d/a.png")
    assert pairs(tmp_path, images="d/{name}.jpg", masks="d/{name}.png")[0] == {"a": ("d/a.jpg", "d/a.png")}


def test_nested_folders_are_searched_when_asked(tmp_path):
    touch(tmp_path, "i/train/x/1.png", "i/train/y/z/1.png", "m/train/x/1_m.png", "m/train/y/z/1_m.png")
    found, _ = pairs(tmp_path, images="i/{split}", masks="m/{split}", mask_suffix="_m", recursive=True)
    assert found == {
        "x/1": ("i/train/x/1.png", "m/train/x/1_m.png"),
        "y/z/1": ("i/train/y/z/1.png", "m/train/y/z/1_m.png"),
    }


def test_a_pattern_finds_a_folder_for_each_patient(tmp_path):
    touch(tmp_path, "p1/images/1.tif", "p1/masks/1_seg.png", "p2/images/1.tif", "p2/masks/1_seg.png", "p2/report.pdf")
    found, _ = pairs(tmp_path, images="{patient}/images/{name}.tif", masks="{patient}/masks/{name}_seg.*")
    assert found["p2/1"] == ("p2/images/1.tif", "p2/masks/1_seg.png") and len(found) == 2


def test_stars_stand_for_what_says_nothing(tmp_path):
    touch(tmp_path, "scan_1_2019.jpg", "seg/9/1.png")
    assert list(pairs(tmp_path, images="scan_{name}_*.jpg", masks="seg/**/{name}.png")[0]) == ["1"]


def test_lists_may_name_pictures_in_several_ways(tmp_path):
    touch(tmp_path, *(f"i/{n}.jpg" for n in "abcde"), *(f"m/{n}.png" for n in "abcd"))
    (tmp_path / "train.txt").write_text("a\n# a remark\n\nb.jpg\n/old/place/i/c.jpg /old/place/m/c.png\n")
    (tmp_path / "val.txt").write_text("i/d.jpg\n")
    options = dict(images="i", masks="m", lists="{split}.txt")
    assert list(pairs(tmp_path, **options)[0]) == ["a", "b", "c"]
    assert list(pairs(tmp_path, "val", **options)[0]) == ["d"]
    assert FolderReader(root=tmp_path, **options).splits() == ["train", "val"]


def test_lists_work_from_the_folder_itself(tmp_path, monkeypatch):
    touch(tmp_path, "i/a.jpg", "m/a.png")
    (tmp_path / "train.txt").write_text("i/a.jpg\n")
    monkeypatch.chdir(tmp_path)
    assert list(pairs(Path("."), images="i", masks="m", lists="{split}.txt")[0]) == ["a"]


def test_split_folders_may_have_other_names(tmp_path):
    touch(tmp_path, "training/a.jpg", "training_m/a.png")
    options = dict(images="{split}", masks="{split}_m", split_names={"train": "training", "val": "validation"})
    assert pairs(tmp_path, **options)[0] == {"a": ("training/a.jpg", "training_m/a.png")}


def test_val_is_drawn_from_train_where_only_test_has_a_folder(tmp_path):
    for folder in ("images/train", "images/test", "masks/train", "masks/test"):
        touch(tmp_path, *(f"{folder}/{i}.png" for i in range(10)))
    options = dict(val_fraction=0.3)
    counts = [len(pairs(tmp_path, split, **options)[0]) for split in ("train", "val", "test")]
    assert counts == [7, 3, 10]


@settings(max_examples=100, deadline=None)
@given(
    patients=st.lists(st.integers(1, 5), min_size=5, max_size=9),
    folds=st.integers(2, 5),
    seed=st.integers(0, 99),
    test=st.sampled_from([0.0, 0.2]),
)
def test_no_patient_is_on_both_sides_and_every_picture_is_val_once(patients, folds, seed, test):
    names = [f"p{p}_{i}" for p, count in enumerate(patients) for i in range(count)]
    folds = min(folds, len(patients) - 3)
    draws = [
        Draw(folds=max(2, folds), fold=f, seed=seed, group=r"^(p\d+)_", test_fraction=test)
        for f in range(max(2, folds))
    ]
    kept = set(names).difference(draws[0].part(names, "test") if test else [])
    assume(len({name.split("_")[0] for name in kept}) >= len(draws))
    seen = []
    for draw in draws:
        parts = {split: draw.part(names, split) for split in draw.splits}
        owners = [{name.split("_")[0] for name in part} for part in parts.values()]
        assert all(a.isdisjoint(b) for a, b in itertools.combinations(owners, 2))
        assert sorted(itertools.chain(*parts.values())) == sorted(names)
        seen += parts["val"]
    assert len(seen) == len(set(seen)) == len(kept)


def test_folds_without_groups_differ_by_one_at_most():
    names = [str(i) for i in range(11)]
    assert sorted(len(Draw(folds=4, fold=f).part(names, "val")) for f in range(4)) == [2, 3, 3, 3]


def test_fractions_keep_groups_whole():
    names = [f"p{p}_{i}" for p in range(10) for i in range(3)]
    draw = Draw(val_fraction=0.2, group=r"p\d+")
    assert len(draw.part(names, "val")) == 6
    assert {n[:2] for n in draw.part(names, "val")}.isdisjoint(n[:2] for n in draw.part(names, "train"))


def mask_of(root, classes, layout, **card):
    """The training ids of the first picture."""
    path = write_card(root, classes=classes, layout={"reader": "folder", "images": "i", "masks": "m", **layout}, **card)
    loaded = load_card(str(path))
    reader = build_reader(loaded)
    return LabelMap(loaded)(reader.read_mask(reader.list_samples("train").samples[0]))


TWO = [{"name": "no"}, {"name": "yes"}]


@pytest.mark.parametrize("value", [1, 255])
def test_binary_masks_may_have_any_second_value(tmp_path, value):
    photo(tmp_path / "i/a.png", seed=0)
    save(tmp_path / "m/a.png", blocks(0, [0, value]))
    assert np.array_equal(mask_of(tmp_path, TWO, {"mask_format": "binary"}), blocks(0, [0, 1]))


def test_a_threshold_cuts_grey_values(tmp_path):
    photo(tmp_path / "i/a.png", seed=0)
    save(tmp_path / "m/a.png", blocks(0, [3, 100, 101, 240]))
    mask = mask_of(tmp_path, TWO, {"mask_format": "binary", "threshold": 100})
    assert np.array_equal(mask, blocks(0, [0, 0, 1, 1]))


def test_a_file_per_class_is_put_together_in_the_cards_order(tmp_path):
    photo(tmp_path / "i/a.png", seed=0)
    disc, cup = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    disc[8:32, 8:32] = cup[16:24, 16:24] = 255
    save(tmp_path / "m/a_disc.png", disc)
    save(tmp_path / "m/a_cup.tif", cup)
    classes = [{"name": "eye"}, {"name": "disc"}, {"name": "cup"}]
    layout = {"mask_format": "files", "class_suffixes": {"cup": "_cup", "disc": "_disc"}}
    expected = (disc > 0).astype(np.uint8) + (cup > 0)
    assert np.array_equal(mask_of(tmp_path, classes, layout), expected)
    (tmp_path / "m/a_cup.tif").unlink()
    assert np.array_equal(mask_of(tmp_path, classes, {**layout, "allow_missing": True}), disc > 0)


def test_the_classes_of_a_pattern_are_folders_by_their_names_and_the_first_needs_none(tmp_path):
    photo(tmp_path / "i/a.png", seed=0)
    values = blocks(0, [0, 1, 2])
    for name, value in (("blood_vessel", 1), ("cup", 2)):
        save(tmp_path / f"m/{name}/a.png", np.uint8(255) * (values == value))
    classes = [{"name": "eye"}, {"name": "blood vessel"}, {"name": "cup"}]
    layout = {"images": "i/{name}.png", "masks": "m/{class}/{name}.png", "mask_format": "files"}
    assert np.array_equal(mask_of(tmp_path, classes, layout), values)


def test_what_no_class_claims_is_ignored_if_all_have_files(tmp_path):
    photo(tmp_path / "i/a.png", seed=0)
    for name, value in (("no", 1), ("yes", 2)):
        save(tmp_path / f"m/{name}/a.png", (blocks(0, [0, 1, 2]) == value).astype(np.uint8))
    layout = {"masks": "m/{class}/{name}.png", "mask_format": "files", "class_suffixes": {"no": "no", "yes": "yes"}}
    mask = mask_of(tmp_path, TWO, {**layout, "images": "i/{name}.png"})
    assert np.array_equal(mask, blocks(0, [255, 0, 1]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_npy_arrays_of_integers_are_masks(tmp_path, dtype):
    photo(tmp_path / "i/a.png", seed=0)
    (tmp_path / "m").mkdir()
    np.save(tmp_path / "m/a.npy", blocks(0, [0, 1]).astype(dtype)[None])
    assert np.array_equal(mask_of(tmp_path, TWO, {}), blocks(0, [0, 1]))


def test_a_class_at_255_and_a_valid_region_do_not_meet(tmp_path):
    photo(tmp_path / "i/a.png", seed=0)
    save(tmp_path / "m/a.png", np.full(SIZE, 255, np.uint8))
    save(tmp_path / "v/a.png", blocks(0, [0, 255]))
    mask = mask_of(tmp_path, [{"name": "no", "ids": [0]}, {"name": "yes", "ids": [255]}], {"valid": "v/{name}.png"})
    assert np.array_equal(mask, np.where(blocks(0, [0, 255]) > 0, 1, 255))


def test_the_size_of_a_png_is_read_without_its_pixels(tmp_path):
    save(tmp_path / "a.png", random_mask(0, (300, 400), 200))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])  # cannot be decoded
    assert read_size(tmp_path / "a.png") == read_size(tmp_path / "cut.png") == (300, 400)


@pytest.mark.parametrize("late", [False, True])
def test_a_turned_png_has_the_size_it_is_read_with(tmp_path, late):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.fromarray(random_mask(0, (5, 7), 200)).save(path, **({} if late else {"exif": exif}))
    if late:  # PNG allows it behind the pixels
        body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\x00\x00")
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        whole = path.read_bytes()
        path.write_bytes(whole[:-12] + chunk + whole[-12:])
    assert read_size(path) == read_rgb(path).shape[:2] == (7, 5)


def test_listing_ten_thousand_pairs_asks_for_no_file(tmp_path, monkeypatch):
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        for i in range(10_000):
            os.close(os.open(tmp_path / folder / f"{i:05}.png", os.O_CREAT))
    asked = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *a, **k: asked.append(path) or real(path, *a, **k))
    reader = FolderReader(root=tmp_path, images="i", masks="m", val_fraction=0.1)
    start = time.process_time()
    assert len(reader.list_samples("train").samples) == 9000
    assert len(asked) < 20
    assert time.process_time() - start < 2
