"""Lists, folds and layouts that users get wrong: one line that names the file, what was found and what to do."""

import pytest

from tests.data.layouts import blocks, photo, save
from tests.data.problems import only, problems


def test_good_data_have_no_problem(folder):
    assert problems(folder) == []


def test_a_missing_list_of_a_split(folder):
    (folder / "val.txt").write_text("p0_0")
    only(problems(folder, lists="{split}.txt"), "train.txt is not there", "Found splits: val")


def test_a_list_that_names_a_missing_file(folder):
    (folder / "train.txt").write_text("p0_0\np9_9\n")
    only(problems(folder, lists="{split}.txt"), "train.txt: line 2: 'p9_9' names no image")


def test_an_empty_list_and_one_that_is_no_text(folder):
    (folder / "train.txt").write_text("\n")
    only(problems(folder, lists="{split}.txt"), "train.txt: the list is empty")
    (folder / "train.txt").write_bytes(b"\xff\xfe\x00")
    only(problems(folder, lists="{split}.txt"), "train.txt: is not a text file")


def test_a_list_whose_line_may_be_two_pictures(folder):
    for part in "ab":
        photo(folder / f"i/{part}/1.png", seed=0)
        save(folder / f"m/{part}/1.png", blocks(0, [0, 1]))
    (folder / "train.txt").write_text("1.png\n")
    found = problems(folder, lists="{split}.txt", recursive=True)
    only(found, "line 1: '1.png' may be a/1 or b/1. Write the path.")


def test_lists_and_fractions_contradict_each_other(folder):
    only(problems(folder, lists="{split}.txt", val_fraction=0.5), "layout.lists", "must not be set")


def test_two_masks_for_one_image(folder):
    save(folder / "m/p0_0.bmp", blocks(0, [0, 1]))
    only(problems(folder), "p0_0.bmp and ", "p0_0.png: two files of one name", "which is the mask 'p0_0'")


def test_nested_names_that_collide(folder):
    photo(folder / "i/sub/p0_0.png", seed=0)
    only(
        problems(folder, images="i/**/{name}.png", masks="m/{name}.png"),
        "i/p0_0.png and", "i/sub/p0_0.png: two files of one name", "which is the image 'p0_0'",
    )  # fmt: skip


def test_a_group_pattern_that_does_not_match(folder):
    found = problems(folder, folds=2, group=r"^patient(\d+)_")
    only(found, r"layout.group: '^patient(\d+)_' does not match the name 'p0_0'")


def test_a_group_pattern_that_is_none(folder):
    only(problems(folder, folds=2, group="(p"), "layout.group: '(p' is not a regular expression")


@pytest.mark.parametrize("fold", [3, -1])
def test_a_fold_out_of_range(folder, fold):
    only(problems(folder, folds=3, fold=fold), f"layout.fold: expected 0 to 2, found {fold}")


def test_more_folds_than_groups(folder):
    only(problems(folder, folds=4, group="p."), "4 folds of 3 groups leave one empty")


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"fold": 1}, "layout.fold: expected 0, as folds is not set"),
        ({"folds": 1}, "layout.folds: expected 2 or more"),
        ({"folds": 2, "val_fraction": 0.2}, "folds and val_fraction both say"),
        ({"mask_format": "rgba"}, "'rgba' is not known. Did you mean 'rgb'"),
        ({"mask_format": "binary", "threshold": 300}, "expected 0 to 254"),
        ({"threshold": 100}, "needs mask_format: binary or files"),
        ({"mask_format": "files"}, "mask_format: files needs class_suffixes, by which a picture's mask files are told"),
        (
            {"class_suffixes": {"yes": "_y"}},
            "class_suffixes: is for a mask file for each class, found",
        ),
        ({"mask_format": "files", "class_suffixes": {"yess": "_y"}}, "'yess' is no class. Did you mean 'yes'"),
        ({"masks": "i"}, "images and masks are both 'i/{name}.*'"),
        ({"images": "/data/i"}, "'/data/i': expected a path below the root"),
        ({"images": "{1st}/{name}.png"}, "'{1st}' in '{1st}/{name}.png' is no field"),
        ({"valid": "v"}, "v: no such folder. Expected the valid regions of 'train' there"),
        ({"images": "i/*.png"}, "has no {name}"),
        ({"images": "i/{name}.png", "recursive": True}, "is a pattern already"),
        ({"images": "{who}/{name}.png"}, "must have the same fields, found who, name and name"),
        ({"split_names": ["train"]}, "layout.split_names: expected dict[str, str], found ['train']"),
        ({"recursive": 1}, "layout.recursive: expected bool, found 1"),
    ],
)
def test_layouts_that_contradict_themselves(folder, layout, words):
    only(problems(folder, **layout), words)


def test_the_mask_of_a_nested_image_is_expected_beside_its_namesakes(folder):
    photo(folder / "i/x/y/9.png", seed=9)
    only(problems(folder, recursive=True, mask_suffix=""), "i/x/y/9.png: no mask for this image", "/m/x/y/9.png.")
