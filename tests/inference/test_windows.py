from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices

from segnext_pafpn.inference.windows import upsampled_rows, window_shares, window_starts


@st.composite
def sides(draw):
    length = draw(st.integers(1, 500))
    return length, draw(st.integers(1, length)), draw(st.floats(0, 0.9))


@settings(max_examples=50, deadline=None)
@given(sides())
def test_windows_cover_the_side_from_border_to_border_and_overlap_as_asked(side):
    length, window, overlap = side
    starts = window_starts(length, window, overlap)
    assert starts[0] == 0
    assert starts[-1] + window == length
    steps = [right - left for left, right in pairwise(starts)]
    assert all(1 <= step <= max(1, window * (1 - overlap)) for step in steps)


@settings(max_examples=50, deadline=None)
@given(sides())
def test_every_pixel_gets_positive_shares_that_sum_to_one(side):
    length, window, overlap = side
    starts = window_starts(length, window, overlap)
    shares = window_shares(length, window, starts)
    assert shares.shape == (len(starts), window)
    assert (shares > 0).all()
    total = torch.zeros(length)
    for start, share in zip(starts, shares, strict=True):
        total[start : start + window] += share
    torch.testing.assert_close(total, torch.ones(length))


@pytest.mark.parametrize(
    ("length", "window", "overlap", "starts"),
    [
        (8, 8, 0.5, [0]),
        (9, 8, 0.5, [0, 1]),
        (16, 8, 0.5, [0, 4, 8]),
        (17, 8, 0.5, [0, 4, 8, 9]),
        (16, 8, 0.0, [0, 8]),
        (3, 1, 0.9, [0, 1, 2]),
    ],
)
def test_windows_are_as_few_as_can_be_and_the_last_is_drawn_back(length, window, overlap, starts):
    assert window_starts(length, window, overlap) == starts


@settings(max_examples=50, deadline=None)
@given(sides())
def test_windows_lie_where_those_of_monai_do(side):
    length, window, overlap = side
    step = max(1, int(window * (1 - overlap)))
    slices = dense_patch_slices((length,), (window,), (step,))
    assert window_starts(length, window, overlap) == [one.start for (one,) in slices]


def test_shares_follow_a_gaussian_of_an_eighth_of_the_window():
    # Window 8 has a standard deviation of one pixel. Pixel 4 lies 0.5 from the first window's middle and 3.5 from
    # the second's, and exp(-0.5 * 0.5**2) / exp(-0.5 * 3.5**2) = exp(6); pixel 5 has 1.5 and 2.5, thus exp(2).
    first, second = window_shares(12, 8, [0, 4])
    expected = torch.sigmoid(torch.tensor([6.0, 2.0, -2.0, -6.0]))
    torch.testing.assert_close(first, torch.cat([torch.ones(4), expected]))
    torch.testing.assert_close(second, first.flip(0))


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(1, 4000),
)  # fmt: skip
def test_rows_upsampled_apart_are_those_of_the_whole(small, large, max_pixels):
    logits = torch.rand(2, *small, generator=torch.Generator().manual_seed(0))
    parts = list(upsampled_rows(logits, large, max_pixels))
    assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(range(large[0]))
    whole = F.interpolate(logits[None], size=large, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(torch.cat([part for _, part in parts], dim=1), whole, atol=2e-5, rtol=0)
