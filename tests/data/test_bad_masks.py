"""Masks that users get wrong: one line that names the file, what was found and what to do."""

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.errors import UserError
from tests.conftest import write_card
from tests.data.layouts import SIZE, blocks, save, shifted
from tests.data.problems import TWO, only, problems


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
