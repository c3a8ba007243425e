"""What users get wrong: each in one line that names the file, what was found and what to do."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.conftest import write_card
from tests.data.layouts import SIZE, blocks, build, photo, save, shifted

TWO = [{"name": "no", "color": [0, 0, 0]}, {"name": "yes", "color": [255, 0, 0]}]


@pytest.fixture
def folder(tmp_path):
    """Six images and two-tone masks."""
    for i in range(6):
        photo(tmp_path / f"i/p{i // 2}_{i}.png", seed=i)
        save(tmp_path / f"m/p{i // 2}_{i}.png", blocks(i, [0, 1]))
    return tmp_path


def problems(root, split="train", classes=TWO, card=None, **layout):
    """All that the check says of a split, or what stops it from being listed."""
    layout = {"reader": "folder", "images": "i", "masks": "m", **layout}
    loaded = load_card(str(write_card(root, classes=classes, layout=layout, **(card or {}))))
    try:
        found = check_split(loaded, build_reader(loaded), split).problems
    except UserError as error:
        found = [str(error)]
    assert all("\n" not in line for line in found)
    return found


def only(found, *words):
    assert len(found) == 1, found
    for word in words:
        assert word in found[0], found[0]


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


def test_an_unknown_colour_in_a_mask(folder):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[3, 5] = 10, 200, 30
    save(folder / "m/p0_0.png", mask)
    for i in range(1, 6):
        save(folder / f"m/p{i // 2}_{i}.png", blocks(i, [(0, 0, 0), (255, 0, 0)]))
    only(
        problems(folder, mask_format="rgb"),
        "m/p0_0.png: the colour [10, 200, 30] (first at x 5, y 3) is in no row of the card. Add it to",
    )


def test_colours_that_jpeg_has_changed(folder):
    for i in range(6):
        (folder / f"m/p{i // 2}_{i}.png").unlink()
        red = np.zeros((*SIZE, 3), np.uint8)
        red[..., 0] = shifted(i, SIZE)
        save(folder / f"m/p{i // 2}_{i}.jpg", red, quality=90)
    found = problems(folder, mask_format="rgb")
    assert len(found) == 6
    assert "more (first at x" in found[0] and "is in no row of the card" in found[0]


def test_a_colour_near_a_known_one_says_why(folder):
    save(folder / "m/p0_0.png", np.full((*SIZE, 3), (250, 4, 1), np.uint8))
    found = problems(folder, mask_format="rgb")
    assert "It is near [255, 0, 0] of 'yes': was the mask saved as JPEG" in found[0]


def test_a_colour_of_two_classes(folder):
    classes = [{"name": "no", "color": [1, 2, 3]}, {"name": "yes", "color": [1, 2, 3]}]
    only(problems(folder, classes=classes, mask_format="rgb"), "[1, 2, 3] stands in more than one row")


def test_colours_where_ids_are_expected(folder):
    save(folder / "m/p0_0.png", blocks(0, [(0, 0, 0), (255, 0, 0)]))
    only(problems(folder), "p0_0.png: the mask has 3 channels of colours", "layout.mask_format: rgb")


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
        ({"mask_format": "files"}, "mask_format: files and class_suffixes belong together"),
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


def test_binary_masks_of_three_classes(folder):
    only(problems(folder, classes=[*TWO, {"name": "third"}], mask_format="binary"), "is for two classes, found 3")


def test_a_jpeg_mask_without_threshold(folder):
    (folder / "m/p0_0.png").unlink()
    save(folder / "m/p0_0.jpg", shifted(0, SIZE), quality=60)
    only(
        problems(folder, mask_format="binary"),
        "p0_0.jpg: the mask has", "expected 0 and one other. JPEG changes values. Set layout.threshold, such as 127",
    )  # fmt: skip
    classes = [{"name": "no", "ids": [0]}, {"name": "yes", "ids": [1, 255]}]
    found = problems(folder, classes=classes)
    only(found, "p0_0.jpg: values 2, 3,")


def test_values_around_those_of_the_card(folder):
    mask = blocks(0, [0, 1, 2, 3, 250, 252, 254])
    save(folder / "m/p0_0.png", mask)
    classes = [{"name": "no", "ids": [0]}, {"name": "yes", "ids": [1, 255]}]
    only(problems(folder, classes=classes), "values 2, 3, 250, 252, 254 are", "not in the card")


def test_an_array_of_floats(folder):
    (folder / "m/p0_0.png").unlink()
    np.save(folder / "m/p0_0.npy", blocks(0, [0, 1]).astype(np.float32))
    only(
        problems(folder), "p0_0.npy: the mask holds float32 values of 0 to 1, expected integers", "mask.astype('uint8')"
    )


def test_arrays_of_channels_and_arrays_that_are_none(folder):
    (folder / "m/p0_0.png").unlink()
    np.save(folder / "m/p0_0.npy", np.zeros((*SIZE, 4), np.uint8))
    only(problems(folder), "p0_0.npy: the array has the shape (40, 56, 4), expected (height, width)")
    (folder / "m/p0_0.npy").write_bytes(b"no array")
    only(problems(folder), "p0_0.npy: cannot be decoded")


@pytest.mark.parametrize("kind", ["i", "m"])
def test_a_tiff_of_several_pages(folder, kind):
    (folder / f"{kind}/p0_0.png").unlink()
    page = Image.fromarray(blocks(0, [0, 1]))
    page.save(folder / f"{kind}/p0_0.tif", save_all=True, append_images=[page, page])
    only(problems(folder), f"{kind}/p0_0.tif: holds 3 pages, expected one picture")


def test_class_files_that_are_missing_or_of_another_size(folder):
    save(folder / "m/p0_0_yes.png", blocks(0, [0, 1]))
    found = problems(folder, mask_format="files", class_suffixes={"yes": "_yes"})
    assert len(found) == 5 and "p0_1.png: no mask for this image. Expected" in found[0] and "p0_1_yes.png" in found[0]
    save(folder / "m/p0_0_no.png", np.zeros((9, 9), np.uint8))
    found = problems(folder, mask_format="files", class_suffixes={"no": "_no", "yes": "_yes"})
    assert any("p0_0_yes.png: the mask is 56x40, those of the classes before 9x9" in line for line in found)


def test_a_valid_region_that_is_missing_or_of_another_size(folder):
    for i in range(1, 6):
        save(folder / f"v/p{i // 2}_{i}.png", np.full(SIZE if i > 1 else (8, 8), 255, np.uint8))
    found = problems(folder, valid="v/{name}.png")
    assert len(found) == 2
    assert "i/p0_0.png: no valid region for this image. Expected" in found[0] and "v/p0_0.png" in found[0]
    assert "v/p0_1.png: the valid region is 8x8, its mask 56x40" in found[1]


def rle_problems(tmp_path, text, **layout):
    card = build("rle", tmp_path)
    (tmp_path / "rle/train.csv").write_text(text)
    reader = build_reader(card, None, {"val_fraction": 0.0, **layout})
    return check_split(card, reader, "train").problems


HEAD = "ImageId,ClassId,EncodedPixels\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "000.jpg,1,2230 20\n", "line 2, 000.jpg: the run of 20 pixels from 2230 leaves the picture of 56x40"),
        (HEAD + "000.jpg,1,0 20\n", "the run of 20 pixels from 0 leaves the picture"),
        (HEAD + "000.jpg,1,1 20 50\n", "3 numbers, expected pairs of start and length"),
        (HEAD + "000.jpg,1,one two\n", "'one two' is no list of run lengths"),
        (HEAD + "000.jpg,rust,1 20\n", "line 2: class 'rust' is neither an id nor a class of the card (steel, pitted"),
        (HEAD + "000.jpg,7,1 20\n", "value 7 is not in the card (known: 0-2)"),
        (HEAD + "000.jpg,1,1 20\nxyz.jpg,1,1 20\n", "line 3: there is no image 'xyz.jpg'"),
        (HEAD + "xyz.jpg,1,1 20\n", "none of its 1 images is in"),
        (HEAD, "holds no rows"),
        ("Image,ClassId,EncodedPixels\na,1,1 2\n", "has no column 'ImageId' (layout.image_column). Found: Image,"),
    ],
)
def test_run_lengths_that_do_not_fit(tmp_path, text, words):
    only(rle_problems(tmp_path, text), "train.csv", words)


def coco_problems(tmp_path, change):
    card = build("coco", tmp_path)
    path = tmp_path / "coco/annotations/train.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    try:
        return check_split(card, build_reader(card), "train").problems
    except UserError as error:
        return [str(error)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["annotations"][0].update(segmentation=[]), "its list of polygons is empty. Outline the object"),
        (
            lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]),
            "a polygon has 4 numbers, expected x and y",
        ),
        (
            lambda c: c["annotations"][2]["segmentation"].update(counts=[5, 6]),
            "run lengths of 11 pixels, expected 2240",
        ),
        (lambda c: c["annotations"][2]["segmentation"].update(size=[9, 9]), "run lengths of 9x9 pixels"),
        (lambda c: c["annotations"][0].update(image_id=77), "its image 77 is not among the images"),
        (lambda c: c["annotations"][0].update(category_id=77), "its category 77 is not among the categories"),
        (
            lambda c: c["categories"][0].update(name="dogs"),
            "category 'dogs' is no class of the card. Did you mean 'dog'",
        ),
        (lambda c: c["images"][0].update(height=9), "is 56x40, but"),
        (lambda c: c["images"][0].update(file_name="no.jpg"), "no.jpg: no such image, but"),
        (lambda c: c["images"][0].pop("file_name"), "an entry lacks 'file_name'"),
        (lambda c: c.pop("categories"), "has no images, annotations or categories"),
    ],
)
def test_outlines_that_do_not_fit(tmp_path, change, words):
    only(coco_problems(tmp_path, change), "train.json", words)


def test_coco_without_pycocotools_names_the_extra(tmp_path, monkeypatch):
    card = build("coco", tmp_path)
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(UserError, match=r"pip install 'segnext-pafpn\[coco\]'"):
        build_reader(card)


def test_colours_in_cards_are_checked(tmp_path):
    for changes, words in (
        ({"classes": [TWO[0], {"name": "b", "mask_colors": [1, 2, 3]}]}, r"classes\[1\]: mask_colors: expected three"),
        ({"ignore_colors": [[0, 0]]}, "ignore_colors: expected three integers"),
    ):
        with pytest.raises(UserError, match=words):
            load_card(str(write_card(tmp_path, **changes)))


def test_masks_of_0_and_255_under_a_card_of_0_and_1(folder):
    for i in range(6):
        save(folder / f"m/p{i // 2}_{i}.png", blocks(i, [0, 255]))
    only(problems(folder), "hold 0 and 255 alone", "class 'yes' has no pixel. Give it ids: [255]")
    assert problems(folder, card={"ignore": [255]}) == []


def test_the_mask_of_a_nested_image_is_expected_beside_its_namesakes(folder):
    photo(folder / "i/x/y/9.png", seed=9)
    only(problems(folder, recursive=True, mask_suffix=""), "i/x/y/9.png: no mask for this image", "/m/x/y/9.png.")
