"""Data sets as their owners give them out: what is listed, what masks become, and that training starts from them."""

import json
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.data.card import load_card, shipped_cards
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.conftest import SMALL_RUN
from tests.data.layouts import BUILDERS, CARD_OF, NO_CARD, SIZE, blocks, build, isbi2012, make_camvid, photo, shifted

COUNTS = {
    "cityscapes": {"train": 4, "val": 2},
    "ade20k": {"train": 4, "val": 2},
    "voc2012": {"train": 4, "val": 2},
    "camvid-rgb": {"train": 4, "val": 2},
    "drive": {"train": 5, "val": 1, "test": 2},
    "kvasir": {"train": 8, "val": 1, "test": 1},
    "isic2018": {"train": 4, "val": 2, "test": 1},
    "isbi2012-folds": {"train": 8, "val": 2},
    "coco": {"train": 4, "val": 2},
    "rle": {"train": 4, "val": 2},
    "yolo": {"train": 3, "val": 3},
}


def opened(name, folder, **layout):
    card = build(name, folder)
    return card, build_reader(card, str(folder / name), layout)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_split_is_complete_and_passes_the_check(name, tmp_path):
    card, reader = opened(name, tmp_path)
    assert {s: len(reader.list_samples(s).samples) for s in reader.splits()} == COUNTS[name]
    for split in reader.splits():
        report = check_split(card, reader, split)
        assert report.problems == []
        assert sum(report.sizes.values()) == COUNTS[name][split]
        sample = reader.list_samples(split).samples[0]
        assert reader.size(sample) == reader.read_image(sample).shape[:2] == reader.read_mask(sample).shape


def first_mask(name, folder, **layout):
    card, reader = opened(name, folder, **layout)
    sample = reader.list_samples("train").samples[0]
    return LabelMap(card)(reader.read_mask(sample)), card


def test_cityscapes_ids_become_train_ids(tmp_path):
    mask, card = first_mask("cityscapes", tmp_path)
    raw = blocks(0, [*range(34)])
    expected = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13}
    expected |= {27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    for i in range(34):
        assert (mask[raw == i] == expected.get(i, 255)).all(), i
    assert len(card.classes) == 19


def test_cityscapes_takes_the_cities_it_is_told(tmp_path):
    _, reader = opened("cityscapes", tmp_path, cities=["bremen", "lindau"])
    assert {s.name.split("/")[0] for s in reader.list_samples("train").samples} == {"bremen"}
    assert reader.list_samples("train").warnings == []
    card = load_card("cityscapes")
    with pytest.raises(UserError, match="layout.cities: 'bremn' is not in .*leftImg8bit. Did you mean 'bremen'"):
        build_reader(card, str(tmp_path / "cityscapes"), {"cities": ["bremn"]})
    with pytest.raises(UserError, match="none of bremen is in split 'val'. It has lindau"):
        build_reader(card, str(tmp_path / "cityscapes"), {"cities": ["bremen"]}).list_samples("val")


def test_cityscapes_coarse_has_train_extra(tmp_path):
    _, reader = opened("cityscapes", tmp_path, annotations="gtCoarse")
    assert reader.splits() == ["train", "train_extra", "val"]
    assert "gtCoarse_labelIds" in str(reader.list_samples("train_extra").samples[0].mask)
    with pytest.raises(UserError, match="'gtfine' is not known. Did you mean 'gtFine'"):
        build_reader(load_card("cityscapes"), str(tmp_path / "cityscapes"), {"annotations": "gtfine"})


def test_cityscapes_says_that_test_labels_are_dummies(tmp_path):
    _, reader = opened("cityscapes", tmp_path)
    listing = reader.list_samples("test")
    assert len(listing.samples) == 2 and "dummies" in listing.warnings[-1]


def test_ade20k_counts_its_classes_from_one(tmp_path):
    mask, card = first_mask("ade20k", tmp_path)
    raw = blocks(1, [0, 1, 3, 17, 150])
    assert [int(mask[raw == i][0]) for i in (0, 1, 3, 17, 150)] == [255, 0, 2, 16, 149]
    assert card.class_names[0] == "wall" and card.class_names[149] == "flag" and len(card.classes) == 150


def test_voc_palettes_give_ids_and_borders_are_ignored(tmp_path):
    mask, _ = first_mask("voc2012", tmp_path)
    assert np.array_equal(mask, blocks(0, [0, 5, 20, 255]))
    reader = build_reader(load_card("voc2012"), str(tmp_path / "voc2012"))
    assert len(reader.list_samples("trainval").samples) == 6


def test_32_camvid_colours_become_11_classes(tmp_path):
    mask, card = first_mask("camvid-rgb", tmp_path)
    colors = [(color, i) for i, row in enumerate(card.classes) for color in row.mask_colors] + [((0, 0, 0), 255)]
    assert len(colors) == len({color for color, _ in colors}) == 32
    raw = blocks(0, [color for color, _ in colors])
    for color, index in colors:
        assert (mask[(raw == color).all(axis=-1)] == index).all(), color


def test_both_camvid_cards_have_the_same_classes():
    ours, theirs = load_card("camvid-rgb"), load_card("camvid")
    assert ours.class_names == theirs.class_names and ours.class_colors == theirs.class_colors


def test_drive_counts_the_field_of_view_alone(tmp_path):
    _, reader = opened("drive", tmp_path)
    sample = reader.list_samples("test").samples[0]
    mask = LabelMap(load_card("drive"))(reader.read_mask(sample))
    inside = np.asarray(Image.open(sample.valid).convert("L")) > 0
    assert (mask[~inside] == 255).all() and set(np.unique(mask[inside])) == {0, 1}
    assert np.array_equal(mask[inside] == 1, (blocks(1, [0, 255]) == 255)[inside])


def test_drive_without_labels_of_test_can_still_be_checked(tmp_path):
    _, reader = opened("drive", tmp_path)
    shutil.rmtree(tmp_path / "drive/test/1st_manual")
    assert reader.splits() == ["train", "val"]
    with pytest.raises(UserError, match="test/1st_manual: no such folder"):
        reader.list_samples("test")


def test_jpeg_masks_of_kvasir_are_thresholded(tmp_path):
    _, reader = opened("kvasir", tmp_path)
    for sample in reader.list_samples("train").samples:
        i = int(sample.name[3:])
        raw = np.asarray(Image.open(sample.mask))
        assert len(np.unique(raw)) > 2  # JPEG: not two tones any more
        assert np.array_equal(reader.read_mask(sample) == 1, shifted(i, raw.shape[:2]) == 255)


def test_folds_of_isbi_cover_every_slice_once(tmp_path):
    card = build("isbi2012-folds", tmp_path)
    readers = [build_reader(card, str(tmp_path / "isbi2012-folds"), {"fold": i}) for i in range(5)]
    parts = [[s.name for s in reader.list_samples("val").samples] for reader in readers]
    assert [len(part) for part in parts] == [2] * 5
    assert sorted(sum(parts, [])) == [f"{i:02}" for i in range(10)]
    assert set(parts[3]).isdisjoint(s.name for s in readers[3].list_samples("train").samples)


def test_coco_draws_small_objects_over_large_ones_and_ignores_crowds(tmp_path):
    mask, _ = first_mask("coco", tmp_path)
    expected = np.zeros(SIZE, np.uint8)
    expected[4:28, 4:28] = 1
    expected[8:16, 8:16] = 2
    expected[:, -4:] = 255
    assert np.array_equal(mask, expected)


def test_coco_reads_its_packed_run_lengths(tmp_path):
    from pycocotools import mask as api

    card, reader = opened("coco", tmp_path)
    expected = blocks(3, [0, 1])
    packed = api.encode(np.asfortranarray(expected))
    path = tmp_path / "coco/annotations/val.json"
    content = json.loads(path.read_text())
    shape = {"size": list(SIZE), "counts": packed["counts"].decode()}
    content["annotations"] = [{"id": 1, "image_id": 0, "category_id": 44, "segmentation": shape}]
    path.write_text(json.dumps(content))
    sample = reader.list_samples("val").samples[0]
    assert np.array_equal(LabelMap(card)(reader.read_mask(sample)), 2 * expected)


def test_coco_finds_the_outlines_of_an_image_by_its_whole_path(tmp_path):
    card, reader = opened("coco", tmp_path)
    path = tmp_path / "coco/annotations/val.json"
    content = json.loads(path.read_text())
    (tmp_path / "coco/images/val/images").mkdir()
    photo(tmp_path / "coco/images/val/1.png", seed=0)
    photo(tmp_path / "coco/images/val/images/1.png", seed=0)
    for image, name in zip(content["images"], ("./1.png", "images\\1.png"), strict=True):
        image["file_name"] = name
    content["annotations"] = [{**content["annotations"][0], "image_id": 1}]
    path.write_text(json.dumps(content))
    listing = reader.list_samples("val")
    assert [sample.name for sample in listing.samples] == ["1", "images/1"] and not listing.problems
    assert [bool(LabelMap(card)(reader.read_mask(sample)).any()) for sample in listing.samples] == [False, True]


def test_run_lengths_go_down_the_columns_from_one(tmp_path):
    mask, _ = first_mask("rle", tmp_path)
    expected = np.zeros(SIZE, np.uint8)  # columns of 40 pixels: 1 40 is the first, 81 20 half the third
    expected[:, 0] = 1
    expected[:20, 2] = 1
    expected[:, 10:12] = 2
    assert np.array_equal(mask, expected)


def test_run_lengths_along_rows_from_zero(tmp_path):
    card, reader = opened("rle", tmp_path, order="row", first_pixel=0)
    (tmp_path / "rle/train.csv").write_text("ImageId,ClassId,EncodedPixels\n000.jpg,scratched,56 3\n")
    samples = {s.name: s for split in ("train", "val") for s in reader.list_samples(split).samples}
    mask = reader.read_mask(samples["000"])
    assert mask[1, :3].tolist() == [2, 2, 2] and mask.sum() == 6
    assert reader.read_mask(samples["001"]).sum() == 0


@pytest.mark.parametrize("name", BUILDERS)
def test_readers_can_be_sent_to_worker_processes(name, tmp_path):
    _, reader = opened(name, tmp_path)
    sample = reader.list_samples("train").samples[0]
    sent_reader, sent_sample = pickle.loads(pickle.dumps((reader, sample)))
    assert np.array_equal(sent_reader.read_mask(sent_sample), reader.read_mask(sample))


def test_a_single_coco_file_can_be_divided(tmp_path):
    _, reader = opened("coco", tmp_path, annotations="annotations/train.json", images="images/train", val_fraction=0.25)
    assert reader.splits() == ["train", "val"]
    assert [len(reader.list_samples(split).samples) for split in ("train", "val")] == [3, 1]


def readme_commands() -> list[list[str]]:
    text = (Path(__file__).parents[2] / "datasets/README.md").read_text()
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def test_the_readme_has_a_command_for_every_card_that_needs_data():
    named = {word for words in readme_commands() for word in words} | {"camvid", "isbi2012"}
    assert set(shipped_cards()) - {"streets", "cells"} <= named


def test_training_starts_from_every_layout(tmp_path):
    """The commands of datasets/README.md, cut to two steps, and the layouts without a card; one process for all."""
    smaller = [
        *SMALL_RUN, "--data.crop_size=[32, 32]", "--data.val_batch_size=2", "--data.samples_per_epoch=4",
        "--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1", "--trainer.limit_val_batches=1",
    ]  # fmt: skip
    runs = []
    for words in readme_commands():
        given = dict(zip(words[2::2], words[3::2], strict=True))
        name = given.get("--data") or given["--config"].removesuffix("-cpu")
        {**BUILDERS, "camvid": make_camvid, "isbi2012": isbi2012}[name](tmp_path / name)
        given |= {"--data.root": str(tmp_path / name), "--name": name}
        runs.append(["train", *[word for pair in given.items() for word in pair], *smaller])
    for name in (*CARD_OF, *NO_CARD):
        runs.append(["train", "--data", str(build(name, tmp_path).path), "--name", name, *smaller])
    code = f"from segnext_pafpn.cli import main\nfor arguments in {runs!r}: assert main(arguments) == 0, arguments"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    finished = {path.parent.name for path in tmp_path.glob("runs/*/metrics_val.json")}
    assert finished == {*BUILDERS, "camvid", "isbi2012"}
