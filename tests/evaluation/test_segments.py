"""Rand and information scores beside scikit-image's, and on pictures worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error, contingency_table, variation_of_information

from segnext_pafpn.evaluation.segments import SegmentScores, segment_scores, segments_from_boundaries

label_pairs = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12)).map(
    lambda drawn: (
        np.random.default_rng(drawn[0]).integers(0, drawn[1] + 1, size=(9, 11)),
        np.random.default_rng(drawn[0] + 1).integers(0, drawn[2] + 1, size=(9, 11)),
    )
)


def own_segments(prediction):
    """Each 0 a segment of its own."""
    alone = prediction == 0
    return np.where(alone, prediction.max() + np.cumsum(alone).reshape(alone.shape), prediction)


@settings(deadline=None, max_examples=50)
@given(label_pairs, st.sampled_from(["singletons", "segment"]))
def test_rand_scores_are_scikit_images(labels, background):
    """scikit-image counts pairs of different pixels, the challenge a pixel with itself too.

    That difference is one pair for each pixel; it vanishes where every pixel is counted very many times.
    """
    prediction, truth = labels
    seen = own_segments(prediction) if background == "singletons" else prediction
    table = contingency_table(truth, seen, ignore_labels=(0,), sparse_type="array") * 1e12
    error, merge, split = adapted_rand_error(table=table)
    # scikit-image's rows are the truth: what it calls precision is over the pairs in the truth
    scores = segment_scores(prediction, truth, background)
    assert scores.rand == pytest.approx(1 - error, rel=1e-9)
    assert sorted([scores.rand_split, scores.rand_merge]) == pytest.approx(sorted([merge, split]), rel=1e-9)
    rows = np.asarray(table.sum(axis=1)).ravel()
    assert scores.rand_split == pytest.approx(table.data @ table.data / (rows @ rows), rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(label_pairs, st.sampled_from(["singletons", "segment"]))
def test_variation_of_information_is_scikit_images(labels, background):
    prediction, truth = labels
    seen = own_segments(prediction) if background == "singletons" else prediction
    splits, merges = variation_of_information(truth, seen, ignore_labels=(0,))
    scores = segment_scores(prediction, truth, background)
    assert (scores.vi_split, scores.vi_merge) == (pytest.approx(splits, abs=1e-9), pytest.approx(merges, abs=1e-9))


@settings(deadline=None, max_examples=50)
@given(label_pairs)
def test_the_truth_itself_is_perfect_and_names_do_not_matter(labels):
    prediction, truth = labels
    perfect = segment_scores(truth, truth)
    assert perfect.rand == 1 and perfect.info == pytest.approx(1) and perfect.vi_split == pytest.approx(0, abs=1e-9)
    renamed = segment_scores(
        np.where(prediction > 0, 10**9 - 7 * prediction, 0), np.where(truth > 0, truth + 10**12, 0)
    )
    scores = segment_scores(prediction, truth)
    for name in SegmentScores.__dataclass_fields__:
        assert getattr(renamed, name) == pytest.approx(getattr(scores, name), abs=1e-9), name


def test_information_score_is_the_harmonic_mean_of_its_parts():
    random = np.random.default_rng(0)
    scores = segment_scores(random.integers(0, 5, 400), random.integers(0, 4, 400))
    for whole, split, merge in (
        (scores.rand, scores.rand_split, scores.rand_merge),
        (scores.info, scores.info_split, scores.info_merge),
    ):
        assert whole == pytest.approx(2 / (1 / split + 1 / merge))


def test_two_cells_that_are_merged_worked_by_hand():
    """Two cells of 2 pixels in one segment: of 16 pairs of the segment 8 belong together."""
    scores = segment_scores(np.array([1, 1, 1, 1]), np.array([1, 1, 2, 2]))
    assert (scores.rand_split, scores.rand_merge, scores.rand) == (1, 1 / 2, 2 / 3)
    assert (scores.info_split, scores.info_merge, scores.info) == (1, 0, 0)
    assert (scores.vi_split, scores.vi_merge) == (0, 1)


def test_one_cell_that_is_split_worked_by_hand():
    scores = segment_scores(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 5]))
    assert (scores.rand_split, scores.rand_merge) == (1 / 2, 1)
    assert (scores.info_split, scores.info_merge) == (0, 1)
    assert (scores.vi_split, scores.vi_merge) == (1, 0)


def test_a_boundary_inside_a_cell_is_segments_of_their_own_or_one_segment():
    """Cell of 4 pixels, 2 of them predicted as boundary: pairs 2*2 + 1 + 1, or 2*2 + 2*2."""
    prediction, truth = np.array([7, 7, 0, 0]), np.array([1, 1, 1, 1])
    assert segment_scores(prediction, truth).rand_split == 6 / 16
    assert segment_scores(prediction, truth, background="segment").rand_split == 8 / 16


def test_only_the_true_foreground_counts():
    prediction, truth = np.array([1, 1, 2, 2, 1, 3]), np.array([1, 1, 2, 2, 0, 0])
    assert segment_scores(prediction, truth).rand == 1
    assert math.isnan(segment_scores(prediction, np.zeros(6, dtype=int)).rand)


def test_cells_are_what_boundaries_divide():
    probability = np.zeros((5, 7))
    probability[:, 3] = 0.9
    segments = segments_from_boundaries(probability)
    assert np.unique(segments).tolist() == [0, 1, 2] and (segments[:, 3] == 0).all()
    probability[2, 3] = 0.4
    assert segments_from_boundaries(probability).max() == 1
    assert segments_from_boundaries(probability, threshold=0.3).max() == 2


def test_cells_that_touch_at_a_corner_are_joined_only_if_asked():
    boundary = np.array([[0, 1], [1, 0]])
    assert segments_from_boundaries(boundary).max() == 2
    assert segments_from_boundaries(boundary, connectivity=2).max() == 1


def test_filled_boundaries_leave_the_width_out_of_the_score():
    truth = np.zeros((20, 21), dtype=int)
    truth[:, :10], truth[:, 11:] = 1, 2
    wide = np.zeros((20, 21))
    wide[:, 8:13] = 1
    assert segment_scores(segments_from_boundaries(wide), truth).rand < 0.9
    filled = segments_from_boundaries(wide, fill=True)
    assert (filled > 0).all() and segment_scores(filled, truth).rand == 1
    assert not segments_from_boundaries(np.ones((3, 3)), fill=True).any()


def test_shapes_and_labels_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"prediction is \(2,\), truth \(3,\)"):
        segment_scores(np.ones(2, dtype=int), np.ones(3, dtype=int))
    with pytest.raises(ValueError, match="labels are negative"):
        segment_scores(np.array([-1, 1]), np.array([1, 1]))
    with pytest.raises(ValueError, match="background is 'none'"):
        segment_scores(np.ones(2, dtype=int), np.ones(2, dtype=int), background="none")
