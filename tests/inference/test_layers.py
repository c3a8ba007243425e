"""Files of predictions with several labels per pixel."""

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.inference.writer import class_paths, overlay, save_layers


def test_each_class_has_a_folder_and_no_two_share_one(tmp_path):
    names = ("disc", "blood vessel", "blood/vessel", "color")
    folders = [path.parent.name for path in class_paths(tmp_path, names, "a")]
    assert folders == ["disc", "1_blood_vessel", "2_blood_vessel", "3_color"]
    assert {path.name for path in class_paths(tmp_path, names, "a")} == {"a.png"}
    awkward = class_paths(tmp_path, ("1_x_", "x!", "x?"), "a")  # numbered for another's sake, as the first is called
    assert len({path.parent for path in awkward}) == 3
    assert all(path.parent.parent == tmp_path for path in class_paths(tmp_path, ("..", "/etc"), "a"))


def test_layers_become_black_and_white_files(tmp_path):
    layers = np.array([[[0, 1, 255]], [[1, 1, 0]]], np.uint8)
    paths = class_paths(tmp_path, ("a", "b"), "x")
    save_layers(layers, paths)
    assert [np.array(Image.open(path)).tolist() for path in paths] == [[[0, 255, 0]], [[255, 255, 0]]]
    with pytest.raises(ValueError, match="zip"):
        save_layers(layers, paths[:1])


def test_the_image_is_left_where_no_class_is():
    image = np.full((1, 3, 3), 100, np.uint8)
    layers = np.array([[[0, 1, 0]], [[0, 1, 1]]], np.uint8)
    blended = overlay(image, layers, [(200, 0, 0), (0, 0, 200)])
    assert blended[0].tolist() == [[100, 100, 100], [100, 50, 100], [50, 50, 150]]
