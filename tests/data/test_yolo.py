"""Outlines in text files beside the images, and ``data.yaml`` in a card's place."""

import json
import tracemalloc

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.readers.outlines import Pixels, fill_polygon, paint_largest_first
from segnext_pafpn.errors import UserError
from tests.conftest import write_card
from tests.data.layouts import SIZE, build, photo
from tests.data.problems import only

HEIGHT, WIDTH = SIZE


@given(
    points=st.lists(st.tuples(st.floats(-3, 23, width=32), st.floats(-3, 17, width=32)), min_size=3, max_size=9),
)
@settings(max_examples=60, deadline=None)
def test_a_pixel_is_filled_if_its_centre_is_inside_as_opencv_has_it(points):
    """By its test of one point; centres within a thousandth of an outline may be either."""
    pixels = fill_polygon(np.array(points), (15, 20))
    found = np.zeros((15, 20), np.uint8)
    paint_largest_first(found, [(1, pixels)])
    assert found.sum() == pixels.inside.sum()
    contour = np.array(points, np.float32)[:, None]
    for y, x in np.ndindex(found.shape):
        distance = cv2.pointPolygonTest(contour, (x + 0.5, y + 0.5), True)
        if abs(distance) > 1e-3:
            assert found[y, x] == (distance > 0), (x, y)


def test_outlines_become_what_pycocotools_draws(tmp_path):
    from pycocotools import mask as api

    random = np.random.default_rng(0)
    angles = np.sort(random.uniform(0, 2 * np.pi, 24))
    radius = random.uniform(20, 60, 24)
    points = np.stack([100 + radius * np.cos(angles), 70 + radius * np.sin(angles)], axis=1)
    theirs = api.decode(api.frPyObjects([points.ravel().tolist()], 140, 200))[..., 0].astype(bool)
    ours = np.zeros((140, 200), np.uint8)
    paint_largest_first(ours, [(1, fill_polygon(points, (140, 200)))])
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.985


def test_a_data_yaml_is_a_card(tmp_path):
    card = build("yolo", tmp_path)
    assert card.class_names == ("background", "leaf", "spot") and card.name == "yolo"
    reader = build_reader(card)
    assert reader.splits() == ["train", "val"]
    sample = reader.list_samples("train").samples[0]
    mask = LabelMap(card)(reader.read_mask(sample))
    expected = np.zeros(SIZE, np.uint8)
    expected[4:20, 7:21] = 1
    expected[8:12, 14:17] = 2  # to 17.5: the centre of a pixel is on the edge, and counts to the right
    assert np.array_equal(mask[:, :28], expected[:, :28])
    assert (mask[:, 28:] == 1).sum() == pytest.approx(0.5 * 0.4 * WIDTH * 0.5 * HEIGHT, rel=0.05)


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


def test_the_folder_of_a_data_yaml_is_one_and_that_of_another_file_is_pointed_to_it(tmp_path):
    build("yolo", tmp_path)
    assert load_card(str(tmp_path / "yolo")) == load_card(str(tmp_path / "yolo/data.yaml"))
    (tmp_path / "yolo/data.yaml").rename(tmp_path / "yolo/leaves.yaml")
    with pytest.raises(UserError, match="yolo is a folder, expected a card: .* Did you mean .*yolo/leaves.yaml[?]$"):
        load_card(str(tmp_path / "yolo"))


def test_a_label_that_is_no_text_is_named(tmp_path):
    card = build("yolo", tmp_path)
    (tmp_path / "yolo/labels/train/000.txt").write_bytes(b"\xff\xfe\x00\x81")
    only(check_split(card, build_reader(card), "train").problems, "000.txt", "is not a text file of UTF-8")


def rewrite(file, /, **changes):
    content = yaml.safe_load(file.read_text()) | changes
    file.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return str(file)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nc": 3}, "nc is 3, but names has 2"),
        ({"names": {0: "leaf", 2: "spot"}}, r"names: expected the numbers from 0 to 1, found \[0, 2\]"),
        ({"names": {"leaf": 0}}, "names: expected the numbers from 0 to 0"),
        ({"names": []}, r"names: found \[\], expected a name for each class, as in names: \[leaf, spot\]"),
        ({"names": "leaf"}, "names: found 'leaf', expected a name for each class"),
        ({"names": None, "nc": 2}, "names: is missing, expected a name for each class"),
        ({"names": ["Background"]}, r"names: expected a class besides background, found \['Background'\]"),
        ({"names": ["leaf", None]}, "names: 1: expected a name, found None. Put it in quotes"),
        ({"names": ["leaf", True]}, "names: 1: expected a name, found True"),
        ({"names": ["leaf", " "]}, "names: 1: expected a name, found ' '"),
        ({"names": ["leaf", {"name": "spot"}]}, "names: 1: expected a name, found {'name': 'spot'}"),
        ({"train": 7}, "train: expected a folder, a list file, or several, found 7"),
        ({"train": None}, "train: is missing"),
        ({"path": 7}, "path: expected a folder, found 7"),
        ({"kpt_shape": [17, 3]}, "kpt_shape: is of key points"),
    ],
)
def test_a_data_yaml_that_does_not_fit_is_refused(tmp_path, changes, words):
    build("yolo", tmp_path)
    with pytest.raises(UserError, match=f"data.yaml: {words}"):
        load_card(rewrite(tmp_path / "yolo/data.yaml", **changes))


def test_a_folder_or_a_list_that_is_not_there_is_named(tmp_path):
    build("yolo", tmp_path)
    card = load_card(rewrite(tmp_path / "yolo/data.yaml", val="images/vla", test=None))
    assert build_reader(card).splits() == ["train"]
    with pytest.raises(UserError, match=r"no split 'val': .*images/vla is not there. Correct 'val:' in .*data.yaml"):
        build_reader(card).list_samples("val")
    with pytest.raises(UserError, match=r"no split 'test': .*data.yaml does not say where. Correct .* draw it by"):
        build_reader(card).list_samples("test")
    with pytest.raises(UserError, match="expected train, val or test. Did you mean 'train'[?] Found splits: train"):
        build_reader(card).list_samples("trian")
    card = load_card(rewrite(tmp_path / "yolo/data.yaml", train=["images/train", "images/more"]))
    with pytest.raises(UserError, match=r"images/more: no such folder or list of images. Correct it in .*data.yaml"):
        build_reader(card).list_samples("train")


def test_lists_of_images_and_several_folders_are_read(tmp_path):
    build("yolo", tmp_path)
    root = tmp_path / "yolo"
    (root / "train.txt").write_text("./images/train/000.jpg\nimages/train/002.jpg\n")
    (root / "val.txt").write_text(f"{root}/images/val/001.jpg\nimages/val/nowhere.jpg\n")
    reader = build_reader(load_card(rewrite(root / "data.yaml", train="train.txt", val="val.txt")))
    assert [s.name for s in reader.list_samples("train").samples] == ["images/train/000", "images/train/002"]
    listing = reader.list_samples("val")
    assert [s.name for s in listing.samples] == ["images/val/001"]
    (problem,) = listing.problems
    assert f"{root}/images/val/nowhere.jpg: no such image, but a list names it" in problem
    photo(root / "images/more/extra.PNG", seed=1)
    reader = build_reader(load_card(rewrite(root / "data.yaml", train=["images/train", "images/more"])))
    photo(root / "images/more/001.jpg", seed=1)
    names = [s.name for s in reader.list_samples("train").samples]
    assert names == [*(f"images/more/{name}" for name in ("001", "extra")), *(f"images/train/00{i}" for i in range(3))]
    photo(root / "images/more/extra.jpg", seed=1)
    with pytest.raises(UserError, match="two images of one name, 'images/more/extra'"):
        reader.list_samples("train")


def test_lists_of_whole_paths_give_the_same_names_wherever_the_command_runs(tmp_path, monkeypatch):
    build("yolo", tmp_path)
    root = tmp_path / "yolo"
    for folder in ("a", "b"):
        photo(root / f"images/{folder}/001.jpg", seed=1)
    (root / "train.txt").write_text(f"{root}/images/a/001.jpg\n{root}/images/b/001.jpg\n")
    rewrite(root / "data.yaml", train="train.txt")
    monkeypatch.chdir(tmp_path)
    for place in (root / "data.yaml", "yolo/data.yaml"):
        images = build_reader(load_card(str(place))).find_images("train")
        assert list(images) == ["images/a/001", "images/b/001"]


def test_a_split_without_any_label_is_a_problem_and_a_test_split_left_out(tmp_path):
    card = build("yolo", tmp_path)
    (tmp_path / "yolo/labels/train").rename(tmp_path / "yolo/labels/elsewhere")
    (problem,) = build_reader(card).list_samples("train").problems
    assert (
        "split 'train': none of 3 images has a label file, expected " in problem and "labels/train/000.txt" in problem
    )
    (tmp_path / "yolo/labels/elsewhere").rename(tmp_path / "yolo/labels/train")
    photo(tmp_path / "yolo/images/test/a.jpg", seed=1)
    card = load_card(rewrite(tmp_path / "yolo/data.yaml", test="images/test"))
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


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/datasets/leaves"},
        {"path": "C:\\Users\\bob\\leaves", "train": "images\\train", "val": "images\\val"},
        {"path": None, "train": "/content/colab/leaves/images/train", "val": "/content/colab/leaves/images/val"},
        {"train": "train.txt", "val": "images/val"},
        {"names": {"0": "leaf", "1": "spot"}, "nc": "2"},
        {"val": None, "validation": "images/val"},
    ],
)
def test_what_other_machines_and_tools_write_is_read(tmp_path, changes):
    build("yolo", tmp_path)
    root = tmp_path / "yolo"
    lines = ("data/images/train/000.jpg", "/home/bob/images/train/001.jpg", "images\\train\\002.jpg")  # CVAT's first
    (root / "train.txt").write_text("\n".join(lines))
    reader = build_reader(load_card(rewrite(root / "data.yaml", **changes)))
    assert reader.splits() == ["train", "val"]
    assert [sample.mask.name for sample in reader.list_samples("train").samples] == [f"00{i}.txt" for i in range(3)]


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


def test_many_outlines_of_a_large_picture_take_no_more_than_their_boxes():
    tracemalloc.start()
    mask = np.zeros((3000, 4000), np.uint16)
    corners = np.random.default_rng(0).uniform(0, 2900, (200, 1, 2))
    squares = corners + [[0, 0], [30, 0], [30, 30], [0, 30]]
    paint_largest_first(mask, ((1, fill_polygon(points, mask.shape)) for points in squares))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mask.nbytes + 2**20 and 100_000 < (mask == 1).sum() <= 200 * 31 * 31


def test_an_object_of_no_pixel_paints_nothing():
    mask = np.zeros((4, 4), np.uint8)
    line = np.array([[1.0, 1.0], [3.0, 3.0], [1.0, 1.0]])
    paint_largest_first(mask, [(1, Pixels.of(np.zeros((4, 4), bool))), (2, fill_polygon(line, (4, 4)))])
    assert not mask.any()


def test_exports_whose_folders_are_meant_from_another_place(tmp_path):
    """``../train/images`` beside a ``train/images``, as Roboflow has it; not another data set's one folder up."""
    build("yolo", tmp_path)
    root = tmp_path / "yolo"
    for split, folder in (("train", "train"), ("val", "valid")):
        (root / folder).mkdir()
        for kind in ("images", "labels"):
            (root / kind / split).rename(root / folder / kind)
    photo(tmp_path / "train/images/other.jpg", seed=1)
    card = load_card(rewrite(root / "data.yaml", path=None, train="../train/images", val="../valid/images"))
    reader = build_reader(card)
    assert reader.splits() == ["train", "val"]
    assert all(sample.mask is not None for sample in reader.list_samples("train").samples)
    assert reader.list_samples("val").samples[1].mask == root / "valid/labels/001.txt"


def test_a_class_may_call_itself_background(tmp_path):
    build("yolo", tmp_path)
    card = load_card(rewrite(tmp_path / "yolo/data.yaml", names=["leaf", "Background"]))
    assert card.class_names == ("Background", "leaf")
    reader = build_reader(card)
    assert set(np.unique(reader.read_mask(reader.list_samples("train").samples[0]))) == {0, 1}


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
    card = load_card(rewrite(tmp_path / "yolo/data.yaml", val=None))
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
