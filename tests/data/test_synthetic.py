from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segnext_pafpn.data.readers.synthetic import SyntheticReader
from segnext_pafpn.data.synthetic import CELL_CLASSES, STREET_CLASSES, cell_image, street_scene
from segnext_pafpn.data.synthetic.cells import BORDER, CELL, grow, touching
from segnext_pafpn.errors import UserError

GENERATORS = pytest.mark.parametrize(
    ("draw", "classes"),
    [(street_scene, STREET_CLASSES), (cell_image, CELL_CLASSES)],
    ids=["streets", "cells"],
)
sides = st.integers(33, 300)


@GENERATORS
def test_same_seed_same_bytes(draw, classes):
    first, second = draw(7, (64, 80)), draw(7, (64, 80))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


@GENERATORS
def test_numpy_seed_draws_the_same(draw, classes):
    np.testing.assert_array_equal(draw(np.int64(7), (64, 80))[0], draw(7, (64, 80))[0])


@GENERATORS
def test_global_random_state_is_left_alone(draw, classes):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    draw(3, (48, 48))
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@GENERATORS
def test_neighbouring_seeds_differ(draw, classes):
    masks = [draw(seed)[1] for seed in range(6)]
    for one, other in pairwise(masks):
        assert (one != other).mean() > 0.05


@settings(max_examples=20, deadline=None)
@given(height=sides, width=sides, seed=st.integers(0, 2**32))
@GENERATORS
def test_any_size(draw, classes, height, width, seed):
    image, mask = draw(seed, (height, width))
    assert image.shape == (height, width, 3) and image.dtype == np.uint8
    assert mask.shape == (height, width) and mask.dtype == np.uint8
    assert mask.max() < len(classes)
    assert image.flags["C_CONTIGUOUS"] and mask.flags["C_CONTIGUOUS"]
    assert image.std() > 2


@GENERATORS
def test_default_size(draw, classes):
    image, mask = draw(0)
    assert mask.shape == {"sky": (128, 192), "background": (192, 192)}[classes[0]]
    assert image.shape[:2] == mask.shape


def test_every_street_class_is_in_most_scenes():
    pixels = np.stack([np.bincount(street_scene(seed)[1].ravel(), minlength=8) for seed in range(20)])
    assert pixels.shape[1] == len(STREET_CLASSES)
    assert ((pixels >= 20).mean(0) >= 0.7).all()


def test_every_cell_class_is_in_nearly_every_image():
    pixels = np.stack([np.bincount(cell_image(seed)[1].ravel(), minlength=3) for seed in range(20)])
    assert pixels.shape[1] == len(CELL_CLASSES)
    assert ((pixels >= 20).mean(0) >= 0.9).all()


def test_sky_is_above_and_road_below():
    for seed in range(10):
        _, mask = street_scene(seed)
        sky, road = (np.nonzero(mask == STREET_CLASSES.index(name))[0] for name in ("sky", "road"))
        assert np.median(sky) < 0.5 * mask.shape[0] < np.median(road)


def test_people_and_poles_are_wide_enough_to_be_learnt():
    widths = {"person": [], "pole": []}
    for seed in range(20):
        _, mask = street_scene(seed)
        for name, found in widths.items():
            blobs = cv2.connectedComponentsWithStats(np.uint8(mask == STREET_CLASSES.index(name)))[2][1:]
            found += blobs[:, cv2.CC_STAT_WIDTH].tolist()
    assert np.median(widths["person"]) >= 6
    assert np.mean(np.array(widths["pole"]) >= 2) > 0.85


def test_mask_edges_are_picture_edges():
    """Picture and mask are drawn together: the picture changes more across class edges than elsewhere."""
    for seed in range(5):
        image, mask = street_scene(seed)
        step = np.abs(np.diff(image.astype(float), axis=1)).mean(-1)
        edge = mask[:, 1:] != mask[:, :-1]
        assert step[edge].mean() > 2 * step[~edge].mean()


def test_cell_images_are_grey():
    image, _ = cell_image(1)
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("seed", range(8))
def test_border_is_where_two_cells_touch(seed):
    labels = grow(np.random.default_rng(seed), (96, 128)).labels.astype(int)
    border = touching(labels.astype(np.uint16))
    padded = np.pad(labels, 2)
    for y, x in np.argwhere(border):
        near = set(padded[y : y + 5, x : x + 5].ravel()) - {0}
        assert labels[y, x] in near and len(near) >= 2
    # And the other way round: two cells side by side always have a border between them, two pixels wide.
    for axis in (0, 1):
        one, other = (np.delete(labels, end, axis) for end in (0, -1))
        meet = (one != other) & (one > 0) & (other > 0)
        assert np.delete(border, 0, axis)[meet].all() and np.delete(border, -1, axis)[meet].all()


def test_border_keeps_cells_apart():
    """With the border taken away the cells fall apart: around a border pixel at least two are left."""
    near = np.ones((13, 13), np.uint8)
    for seed in range(10):
        _, mask = cell_image(seed)
        cells = cv2.connectedComponents(np.uint8(mask == CELL))[1].astype(np.uint16)
        highest = cv2.dilate(cells, near)
        lowest = cv2.erode(np.where(cells > 0, cells, np.uint16(65535)), near)
        assert (highest != lowest)[mask == BORDER].mean() > 0.99


@GENERATORS
@pytest.mark.parametrize("size", [(32, 99), (99, 32), (0, 0), (99,), (99, 99, 3), 99, (64.0, 64), "ab", None])
def test_bad_size_is_refused(draw, classes, size):
    with pytest.raises(ValueError, match="size must be"):
        draw(0, size)


@GENERATORS
@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, True])
def test_bad_seed_is_refused(draw, classes, seed):
    with pytest.raises(ValueError, match="seed must be a non-negative int"):
        draw(seed, (64, 64))


def test_a_split_of_none_is_not_there_and_a_side_too_small_is_refused():
    assert SyntheticReader(num_test=0).splits() == ["train", "val"]
    with pytest.raises(UserError, match="there is no split 'test'. Found splits: train, val"):
        SyntheticReader(num_test=0).list_samples("test")
    with pytest.raises(UserError, match=r"layout.height, layout.width: expected at least 33, found 32 and 192"):
        SyntheticReader(height=32)
