"""``data.yaml`` in a card's place, with the folders and lists that it names, as other tools and machines write them."""

import numpy as np
import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.data.layouts import SIZE, build, photo, rewrite_yaml

HEIGHT, WIDTH = SIZE


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


def test_the_folder_of_a_data_yaml_is_one_and_that_of_another_file_is_pointed_to_it(tmp_path):
    build("yolo", tmp_path)
    assert load_card(str(tmp_path / "yolo")) == load_card(str(tmp_path / "yolo/data.yaml"))
    (tmp_path / "yolo/data.yaml").rename(tmp_path / "yolo/leaves.yaml")
    with pytest.raises(UserError, match="yolo is a folder, expected a card: .* Did you mean .*yolo/leaves.yaml[?]$"):
        load_card(str(tmp_path / "yolo"))


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
        load_card(rewrite_yaml(tmp_path / "yolo/data.yaml", **changes))


def test_a_folder_or_a_list_that_is_not_there_is_named(tmp_path):
    build("yolo", tmp_path)
    card = load_card(rewrite_yaml(tmp_path / "yolo/data.yaml", val="images/vla", test=None))
    assert build_reader(card).splits() == ["train"]
    with pytest.raises(UserError, match=r"no split 'val': .*images/vla is not there. Correct 'val:' in .*data.yaml"):
        build_reader(card).list_samples("val")
    with pytest.raises(UserError, match=r"no split 'test': .*data.yaml does not say where. Correct .* draw it by"):
        build_reader(card).list_samples("test")
    with pytest.raises(UserError, match="expected train, val or test. Did you mean 'train'[?] Found splits: train"):
        build_reader(card).list_samples("trian")
    card = load_card(rewrite_yaml(tmp_path / "yolo/data.yaml", train=["images/train", "images/more"]))
    with pytest.raises(UserError, match=r"images/more: no such folder or list of images. Correct it in .*data.yaml"):
        build_reader(card).list_samples("train")


def test_lists_of_images_and_several_folders_are_read(tmp_path):
    build("yolo", tmp_path)
    root = tmp_path / "yolo"
    (root / "train.txt").write_text("./images/train/000.jpg\nimages/train/002.jpg\n")
    (root / "val.txt").write_text(f"{root}/images/val/001.jpg\nimages/val/nowhere.jpg\n")
    reader = build_reader(load_card(rewrite_yaml(root / "data.yaml", train="train.txt", val="val.txt")))
    assert [s.name for s in reader.list_samples("train").samples] == ["images/train/000", "images/train/002"]
    listing = reader.list_samples("val")
    assert [s.name for s in listing.samples] == ["images/val/001"]
    (problem,) = listing.problems
    assert f"{root}/images/val/nowhere.jpg: no such image, but a list names it" in problem
    photo(root / "images/more/extra.PNG", seed=1)
    reader = build_reader(load_card(rewrite_yaml(root / "data.yaml", train=["images/train", "images/more"])))
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
    rewrite_yaml(root / "data.yaml", train="train.txt")
    monkeypatch.chdir(tmp_path)
    for place in (root / "data.yaml", "yolo/data.yaml"):
        images = build_reader(load_card(str(place))).find_images("train")
        assert list(images) == ["images/a/001", "images/b/001"]


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
    reader = build_reader(load_card(rewrite_yaml(root / "data.yaml", **changes)))
    assert reader.splits() == ["train", "val"]
    assert [sample.mask.name for sample in reader.list_samples("train").samples] == [f"00{i}.txt" for i in range(3)]


def test_exports_whose_folders_are_meant_from_another_place(tmp_path):
    """``../train/images`` beside a ``train/images``, as Roboflow has it; not another data set's one folder up."""
    build("yolo", tmp_path)
    root = tmp_path / "yolo"
    for split, folder in (("train", "train"), ("val", "valid")):
        (root / folder).mkdir()
        for kind in ("images", "labels"):
            (root / kind / split).rename(root / folder / kind)
    photo(tmp_path / "train/images/other.jpg", seed=1)
    card = load_card(rewrite_yaml(root / "data.yaml", path=None, train="../train/images", val="../valid/images"))
    reader = build_reader(card)
    assert reader.splits() == ["train", "val"]
    assert all(sample.mask is not None for sample in reader.list_samples("train").samples)
    assert reader.list_samples("val").samples[1].mask == root / "valid/labels/001.txt"


def test_a_class_may_call_itself_background(tmp_path):
    build("yolo", tmp_path)
    card = load_card(rewrite_yaml(tmp_path / "yolo/data.yaml", names=["leaf", "Background"]))
    assert card.class_names == ("Background", "leaf")
    reader = build_reader(card)
    assert set(np.unique(reader.read_mask(reader.list_samples("train").samples[0]))) == {0, 1}
