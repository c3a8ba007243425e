"""Run lengths and outlines that users get wrong: one line that names the file, what was found and what to do."""

import json
import sys

import numpy as np
import pycocotools.mask
import pytest

from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.data.layouts import SIZE, build
from tests.data.problems import only


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


def packed(height, width):
    """COCO's packed run lengths of a mask of that size."""
    mask = np.random.default_rng(0).integers(0, 2, (height, width), dtype=np.uint8)
    return pycocotools.mask.encode(np.asfortranarray(mask))["counts"].decode()


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
        (
            lambda c: c["annotations"][2]["segmentation"].update(counts=packed(SIZE[0], SIZE[1] - 7)),
            "run lengths of 1960 pixels, expected 2240",
        ),
        (
            lambda c: c["annotations"][2]["segmentation"].update(counts=packed(*SIZE)[:-1] + "X"),
            "run lengths that are cut short",
        ),
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
    with pytest.raises(UserError, match=r'needs pycocotools, .* pip install "segnext-pafpn\[coco\]"'):
        build_reader(card)
