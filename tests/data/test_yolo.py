"""Outlines in text files beside the images."""

import json

import numpy as np
import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.conftest import write_card
from tests.data.layouts import SIZE, build, photo, rewrite_yaml
from tests.data.problems import only

HEIGHT, WIDTH = SIZE


def test_an_image_without_a_label_is_background_and_told(tmp_path):
    card = build("yolo", tmp_path)
    listing = build_reader(card).list_samples("val")
    (warning,) = listing.warnings
    assert "split 'val': 1 of 3 images without a label file" in warning and "labels/val/000.txt first" in warning
    assert not build_reader(card).read_mask(listing.samples[0]).any()
    (tmp_path / "yolo/images/train/001.jpg").unlink()
    (tmp_path / "yolo/labels/train/classes.txt").write_text("leaf\nspot\n")
    listing = build_reader(card).list_samples("train")
    assert listing.num_unpaired == 1 and "labels/train/001.txt: a label without an image" in listing.warnings[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "0 0.1 0.1 0.5 0.1 0.5 0.5\n\n2 0.1 0.1 0.5 0.1 0.5 0.5\n",
            "line 3: the class 2 has no name. Expected 0 to 1",
        ),
        ("-1 0.1 0.1 0.5 0.1 0.5 0.5\n", "the class -1 has no name"),
        ("0.5 0.1 0.1 0.5 0.1 0.5 0.5\n", "the class 0.5 has no name"),
        ("0 0.5 0.5 0.2 0.2\n", "line 1: is a box, as for detection, expected an outline of 3"),
        ("0 0.5 0.5 0.2 0.2 0.1\n", "has 5 numbers after the class"),
        ("0\n", "has 0 numbers after the class"),
        ("0 10 10 50 10 50 50\n", "has points of 10 to 50, expected 0 to 1, as shares"),
        ("0 0.1 nan 0.5 0.1 0.5 0.5\n", "holds a value that is no number. Correct the line"),
        ("leaf 0.1 0.1 0.5 0.1 0.5 0.5\n", "'leaf 0.1 0.1 0.5 0.1 0.5 0.5' is no list of numbers"),
    ],
)
def test_outlines_of_text_that_do_not_fit(tmp_path, text, words):
    card = build("yolo", tmp_path)
    (tmp_path / "yolo/labels/train/000.txt").write_text(text)
    only(check_split(card, build_reader(card), "train").problems, "labels/train/000.txt", words)


def test_a_label_that_is_no_text_is_named(tmp_path):
    card = build("yolo", tmp_path)
    (tmp_path / "yolo/labels/train/000.txt").write_bytes(b"\xff\xfe\x00\x81")
    only(check_split(card, build_reader(card), "train").problems, "000.txt", "is not a text file of UTF-8")


def test_a_split_without_any_label_is_a_problem_and_a_test_split_left_out(tmp_path):
    card = build("yolo", tmp_path)
    (tmp_path / "yolo/labels/train").rename(tmp_path / "yolo/labels/elsewhere")
    (problem,) = build_reader(card).list_samples("train").problems
    assert (
        "split 'train': none of 3 images has a label file, expected " in problem and "labels/train/000.txt" in problem
    )
    (tmp_path / "yolo/labels/elsewhere").rename(tmp_path / "yolo/labels/train")
    photo(tmp_path / "yolo/images/test/a.jpg", seed=1)
    card = load_card(rewrite_yaml(tmp_path / "yolo/data.yaml", test="images/test"))
    assert build_reader(card).splits() == ["train", "val"]
    (tmp_path / "yolo/images/test/a.jpg").unlink()  # an empty folder is told to whoever asks for the split
    assert build_reader(card).splits() == ["train", "val"]
    with pytest.raises(UserError, match="images/test: holds no image"):
        build_reader(card).find_images("test")
    photo(tmp_path / "yolo/images/test/a.jpg", seed=1)
    (tmp_path / "yolo/labels/test").mkdir()
    (tmp_path / "yolo/labels/test/a.txt").write_text("")
    assert build_reader(card).splits() == ["train", "val", "test"]


def test_a_split_that_is_there_is_not_drawn_besides(tmp_path):
    card = build("yolo", tmp_path)
    with pytest.raises(UserError, match="images/val holds 'val' already. Remove them, or set layout.val to ''"):
        build_reader(card, layout={"val_fraction": 0.3})


def test_boxes_are_left_out_or_filled_where_that_is_asked_for(tmp_path):
    card = build("yolo", tmp_path)
    (tmp_path / "yolo/labels/train/000.txt").write_text("0 0.5 0.5 0.5 0.25\n1 0 0 0.25 0 0.25 0.5 0 0.5\n")
    masks = {}
    for boxes in ("skip", "fill"):
        reader = build_reader(card, layout={"boxes": boxes})
        masks[boxes] = LabelMap(card)(reader.read_mask(reader.list_samples("train").samples[0]))
    expected = np.zeros(SIZE, np.uint8)
    expected[:20, :14] = 2
    assert np.array_equal(masks["skip"], expected)
    expected[15:25, 14:42] = 1
    assert np.array_equal(masks["fill"], expected)
    with pytest.raises(UserError, match="layout.boxes: 'skpi' is not known. Did you mean 'skip'"):
        build_reader(card, layout={"boxes": "skpi"})


def test_a_card_without_a_class_for_what_no_outline_covers_is_told(tmp_path):
    build("yolo", tmp_path)
    layout = {"reader": "yolo", "names": ["leaf", "spot"]}
    card = write_card(tmp_path / "yolo", classes=[{"name": "leaf"}, {"name": "spot"}], layout=layout)
    (warning,) = build_reader(load_card(str(card))).list_samples("train").warnings
    assert "layout.names: 'leaf' is the card's first class, which pixels in no outline are, too" in warning


def test_a_card_joins_classes_and_leaves_some_out(tmp_path):
    build("yolo", tmp_path)
    layout = {"reader": "yolo", "names": ["plant", ""]}
    classes = [{"name": "soil", "ids": [4]}, {"name": "plant", "ids": [9]}]
    card = write_card(tmp_path / "yolo", classes=classes, layout=layout)
    reader = build_reader(load_card(str(card)))
    assert set(np.unique(reader.read_mask(reader.list_samples("train").samples[0]))) == {4, 9}
    with pytest.raises(UserError, match="layout.names: 'plnt' is no class of the card. Did you mean 'plant'"):
        build_reader(load_card(str(card)), layout={"names": ["plnt"]})


def test_training_images_can_be_divided(tmp_path):
    build("yolo", tmp_path)
    card = load_card(rewrite_yaml(tmp_path / "yolo/data.yaml", val=None))
    reader = build_reader(card, layout={"val_fraction": 0.34})
    assert [len(reader.list_samples(split).samples) for split in ("train", "val")] == [2, 1]


def test_the_outlines_of_coco_and_of_text_are_the_same_masks(tmp_path):
    """The same objects, given to both readers, differ at their edges alone."""
    build("coco", tmp_path)
    content = json.loads((tmp_path / "coco/annotations/train.json").read_text())
    numbers = {18: 0, 44: 1}
    (tmp_path / "coco/labels/train").mkdir(parents=True)
    for image in content["images"]:
        lines = []
        for item in content["annotations"]:
            if item["image_id"] == image["id"] and not item["iscrowd"]:
                shares = [v / (HEIGHT if i % 2 else WIDTH) for i, v in enumerate(item["segmentation"][0])]
                lines.append(" ".join(map(str, [numbers[item["category_id"]], *shares])))
        (tmp_path / f"coco/labels/train/{image['id']:012}.txt").write_text("\n".join(lines))
    (tmp_path / "coco/data.yaml").write_text("train: images/train\nnames: [dog, cup]\n")
    masks = []
    for path in (tmp_path / "coco/card.yaml", tmp_path / "coco/data.yaml"):
        card = load_card(str(path))
        reader = build_reader(card)
        masks.append(LabelMap(card)(reader.read_mask(reader.list_samples("train").samples[0])))
    known = masks[0] != 255  # crowds, which text has not
    assert np.array_equal(masks[0][known], masks[1][known]) and set(np.unique(masks[1])) == {0, 1, 2}
