import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.data.readers.files import read_ids, read_rgb
from segnext_pafpn.inference.writer import overlay, save_mask, save_rgb, with_ids

COLORS = [(100, 0, 0), (0, 200, 0)]


def test_a_mask_comes_back_as_it_was(tmp_path):
    mask = np.arange(256, dtype=np.uint8).reshape(8, 32)
    save_mask(mask, tmp_path / "masks" / "a.png")
    with Image.open(tmp_path / "masks" / "a.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (32, 8))
    np.testing.assert_array_equal(read_ids(tmp_path / "masks" / "a.png"), mask)


def test_ids_stand_in_the_file_in_place_of_places(tmp_path):
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    for ids, mode in ((7, 11, 255), "L"), ((7, 300, 65535), "I;16"):
        save_mask(with_ids(mask, ids), tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as image:
            assert image.mode == mode
        np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), np.array(ids)[mask])


def test_a_place_without_an_id_is_no_id():
    with pytest.raises(IndexError):
        with_ids(np.array([[2]], np.uint8), (7, 11))


def test_a_picture_comes_back_as_it_was(tmp_path, make_image):
    picture = make_image(5, 9)
    save_rgb(picture, tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), picture)


def test_nothing_else_is_left_in_the_folder(tmp_path):
    save_mask(np.zeros((2, 2), np.uint8), tmp_path / "a.png")
    save_mask(np.ones((2, 2), np.uint8), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert read_ids(tmp_path / "a.png").all()


@pytest.mark.parametrize(
    ("save", "pixels"),
    [
        (save_mask, np.zeros((2, 2), np.int64)),
        (save_mask, np.zeros((2, 2, 3), np.uint8)),
        (save_rgb, np.zeros((2, 2), np.uint8)),
        (save_rgb, np.zeros((2, 2, 3), np.float32)),
    ],
)
def test_pixels_of_another_kind_are_refused(tmp_path, save, pixels):
    with pytest.raises(ValueError, match="expected uint8"):
        save(pixels, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_an_overlay_is_half_image_half_colour_and_the_image_where_ignored():
    image = np.full((1, 3, 3), 50, np.uint8)
    mask = np.array([[0, 1, 255]], np.uint8)
    result = overlay(image, mask, COLORS)
    assert result.tolist() == [[[75, 25, 25], [25, 125, 25], [50, 50, 50]]]
    assert (image == 50).all()


@pytest.mark.parametrize(("alpha", "expected"), [(0, [50, 50, 50]), (1, [0, 200, 0])])
def test_alpha_is_the_share_of_the_colour(alpha, expected):
    result = overlay(np.full((1, 1, 3), 50, np.uint8), np.ones((1, 1), np.uint8), COLORS, alpha)
    assert result.tolist() == [[expected]]


def test_an_overlay_of_other_sizes_or_shares_is_refused():
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(ValueError, match="the mask"):
        overlay(image, np.zeros((6, 4), np.uint8), COLORS)
    with pytest.raises(ValueError, match="alpha"):
        overlay(image, np.zeros((4, 6), np.uint8), COLORS, alpha=1.5)
