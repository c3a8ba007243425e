"""Outlined objects become the pixels whose centres they hold."""

import tracemalloc

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segnext_pafpn.data.readers.outlines import Pixels, fill_polygon, paint_largest_first
from tests.data.layouts import SIZE

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
