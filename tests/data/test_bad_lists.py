"""Lists and groups as people send them: from Windows, with marks, with paths; and groups that are none."""

import json

import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.data.layouts import blocks, photo, save
from tests.data.problems import only, problems
from tests.data.test_bad_files import load_card_of
from tests.data.volumes import nnunet


def listed(folder, content, **layout):
    (folder / "train.txt").write_bytes(content)
    reader = build_reader(load_card_of(folder), layout={"lists": "{split}.txt", **layout})
    listing = reader.list_samples("train")
    return [sample.name for sample in listing.samples], listing.problems


@pytest.mark.parametrize(
    "content",
    [
        b"p0_0\np0_1",
        b"p0_0\r\np0_1\r\n",
        b"\xef\xbb\xbfp0_0\r\np0_1\r\n",
        b"# chosen by hand\n\n  p0_0.png  \np0_1.png\n",
        b"i/p0_0.png m/p0_0.png\ni/p0_1.png m/p0_1.png\n",
        b"i\\p0_0.png\r\nC:\\data\\study\\i\\p0_1.png\r\n",
        b"/home/else/i/p0_0.png\np0_0\np0_1\n",
    ],
)
def test_lists_of_windows_and_of_other_machines_are_understood(folder, content):
    assert listed(folder, content) == (["p0_0", "p0_1"], [])


def test_a_path_of_windows_tells_folders_apart(folder):
    for part in "ab":
        photo(folder / f"i/{part}/1.png", seed=0)
        save(folder / f"m/{part}/1.png", blocks(0, [0, 1]))
    assert listed(folder, b"b\\1.png\r\n", recursive=True) == (["b/1"], [])


def test_a_line_does_not_take_a_picture_of_another_folder_or_another_number(folder):
    photo(folder / "i/a/1.png", seed=0)
    save(folder / "m/a/1.png", blocks(0, [0, 1]))
    for name in ("s_0", "s_0.5"):
        photo(folder / f"i/{name}.png", seed=0)
        save(folder / f"m/{name}.png", blocks(0, [0, 1]))
    names, found = listed(folder, b"c/1\ns_0.7\ns_0.5\na/1.nii.gz\n.\n", recursive=True)
    assert names == ["s_0.5", "a/1"]
    assert [line.split("'")[1] for line in found] == ["c/1", "s_0.7", "."]


def test_a_share_that_leaves_a_split_empty_is_told(folder):
    with pytest.raises(UserError, match=r"val_fraction 0.05 and test_fraction 0 of 6 pictures leave 'val' empty"):
        build_reader(load_card_of(folder), layout={"val_fraction": 0.05}).list_samples("val")


def test_names_with_spaces_and_umlauts_are_found(folder):
    for name in ("Bild 1 ä", "Bild 2"):
        photo(folder / f"i/{name}.png", seed=0)
        save(folder / f"m/{name}.png", blocks(0, [0, 1]))
    assert listed(folder, "Bild 1 ä\nBild 2.png\n".encode()) == (["Bild 1 ä", "Bild 2"], [])


@pytest.mark.parametrize("content", ["p0_0\n".encode("utf-16"), "müller\n".encode("latin-1")])
def test_a_list_in_another_encoding_says_which_is_expected(folder, content):
    with pytest.raises(UserError, match=r"train.txt: is not a text file of UTF-8 .* save it as UTF-8"):
        listed(folder, content)


def test_every_wrong_line_of_a_list_is_named_by_its_number(folder):
    names, found = listed(folder, b"p0_0\nD:\\x\\p9.png\np8\n")
    assert names == ["p0_0"] and len(found) == 2
    assert "train.txt: line 2: 'D:\\x\\p9.png' names no image" in found[0] and "line 3: 'p8'" in found[1]


def test_a_group_that_has_no_part_in_a_match_is_told(folder):
    found = problems(folder, folds=2, group=r"^p1_(\d)|^p")
    only(found, r"layout.group: '^p1_(\d)|^p' matches the name 'p0_0', but its first group has no part in that")
    only(problems(folder, val_fraction=0.5, group="(x)?"), "its first group has no part in that, so the picture has")
    assert problems(folder, folds=2, group=r"^p(\d)(x)?") == []  # a second group need not


def test_annotations_that_begin_with_a_mark_are_read(tmp_path):
    from tests.data.layouts import build

    card = build("coco", tmp_path)
    path = tmp_path / "coco/annotations/train.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(build_reader(card).list_samples("train").samples) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a readable JSON file"),
        (b"<html>", "is not a readable JSON file"),
        (b"\xff\xfe{", "is not a readable JSON file"),
        (b"[1, 2]", "has no images, annotations or categories"),
        (json.dumps({"images": [{}], "annotations": [{}], "categories": [{}]}).encode(), "an entry lacks"),
    ],
)
def test_annotations_that_are_no_json(tmp_path, content, words):
    from tests.data.layouts import build

    card = build("coco", tmp_path)
    (tmp_path / "coco/annotations/train.json").write_bytes(content)
    with pytest.raises(UserError, match=f"train.json: .*{words}"):
        build_reader(card).list_samples("train")


def test_a_patient_whom_lists_have_put_on_both_sides(folder):
    (folder / "val.txt").write_text("p1_3\np2_4\n")
    (folder / "test.txt").write_text("p2_5\n")
    layout = {"group": r"^(p\d)_"}
    names, found = listed(folder, b"p0_0\np0_1\np1_2\n", **layout)
    assert names == ["p0_0", "p0_1", "p1_2"]
    only(found, "layout.group: 'p1' is in split 'train' (p1_2) and in split 'val' (p1_3), expected it in one. Move")
    found = problems(folder, split="val", lists="{split}.txt", **layout)
    assert len(found) == 2 and "'p1' is in split 'val' (p1_3) and in split 'train' (p1_2)" in found[0]
    assert "'p2' is in split 'val' (p2_4) and in split 'test' (p2_5)" in found[1]
    assert listed(folder, b"p0_0\np0_1\n", **layout)[1] == []


def test_a_patient_whom_folders_have_put_on_both_sides(folder):
    for name, split in (("p0_0", "train"), ("p1_2", "train"), ("p0_1", "val"), ("p2_4", "test")):
        for kind in "im":
            (folder / kind / split).mkdir(exist_ok=True)
            (folder / kind / f"{name}.png").rename(folder / kind / split / f"{name}.png")
    layout = {"images": "i/{split}", "masks": "m/{split}", "group": r"^(p\d)_"}
    only(problems(folder, **layout), "layout.group: 'p0' is in split 'train' (p0_0) and in split 'val' (p0_1)")
    assert problems(folder, split="test", **layout) == []


@pytest.mark.parametrize(
    ("fold", "words"),
    [
        (
            {"train": ["case_000", "case_001"], "val": ["case_001"]},
            "the case 'case_001' is in train and in val, expected",
        ),
        (
            {"train": ["case_000", "case_009"], "val": ["case_001"]},
            "train has the case 'case_009', of which there is no",
        ),
        ({"train": [0], "val": ["case_001"]}, "expected a list of two folds or more"),
    ],
)
def test_folds_of_nnunet_that_cannot_be(tmp_path, fold, words):
    nnunet(tmp_path)
    (tmp_path / "splits_final.json").write_text(json.dumps([fold, {"train": ["case_002"], "val": ["case_003"]}]))
    try:
        found = build_reader(load_card(str(tmp_path))).list_samples("train").problems
    except UserError as error:
        found = [str(error)]
    only(found, "splits_final.json", words)
