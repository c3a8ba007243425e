"""Scores of a segmentation into cells, whose numbers mean nothing: as in the ISBI 2012 challenge on neurons.

V^Rand and V^Info of Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015), over the pixels that the truth
has inside cells ("foreground-restricted"). Label 0 is the boundary between cells. Scores are fractions 0..1.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage, sparse

from segnext_pafpn.evaluation.medical import Array


@dataclass(frozen=True, kw_only=True)
class SegmentScores:
    """With p(i, j) the share of the pixels in predicted segment i and true segment j; all NaN without a true cell.

    Attributes:
        rand: V^Rand, harmonic mean of split and merge score.
        rand_split: two pixels of one true cell, drawn at random, are in one segment: sum p(i, j)^2 / sum p(j)^2.
        rand_merge: two pixels of one segment are of one true cell: sum p(i, j)^2 / sum p(i)^2.
        info: V^Info, harmonic mean of split and merge score.
        info_split: mutual information / entropy of the prediction; 1 if that is one segment.
        info_merge: mutual information / entropy of the truth; 1 if that is one cell.
        vi_split: variation of information by false splits: H(prediction | truth), in bits.
        vi_merge: variation of information by false merges: H(truth | prediction), in bits.
    """

    rand: float
    rand_split: float
    rand_merge: float
    info: float
    info_split: float
    info_merge: float
    vi_split: float
    vi_merge: float


def segments_from_boundaries(
    probability: Array, threshold: float = 0.5, connectivity: int = 1, fill: bool = False
) -> np.ndarray:
    """Number the cells that boundaries divide: (H, W) or (D, H, W) int32, 0 on boundaries.

    Args:
        probability: of a boundary, or a label map with 1 on boundaries; any number of axes.
        threshold: a pixel is a boundary where its probability is at least this.
        connectivity: 1 joins pixels across faces (4 neighbours in a picture), 2 across corners too.
        fill: give each boundary pixel to the nearest cell, so that the width of boundaries does not matter. It is not
            the challenge's thinning of boundaries to one pixel, but serves the same end.
    """
    boundary = np.asarray(probability) >= threshold
    neighbours = ndimage.generate_binary_structure(boundary.ndim, connectivity)
    segments, count = ndimage.label(~boundary, neighbours)
    if fill and count:
        nearest = ndimage.distance_transform_edt(boundary, return_distances=False, return_indices=True)
        segments = segments[tuple(nearest)]
    return segments


def segment_scores(
    prediction: Array, truth: Array, background: Literal["singletons", "segment"] = "singletons"
) -> SegmentScores:
    """Compare predicted segments with true cells.

    Args:
        prediction: number of each pixel's segment, 0 on boundaries, any shape, any integer type.
        truth: number of each pixel's cell, 0 outside cells, of the same shape.
        background: what a predicted 0 inside a true cell is: each such pixel a segment of its own, as the SNEMI3D
            challenge has it; or all of them one segment, as scikit-image has it.

    Raises:
        ValueError: if the shapes differ or labels are negative.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction is {prediction.shape}, truth {truth.shape}: expected one shape.")
    if background not in ("singletons", "segment"):
        raise ValueError(f"background is {background!r}, expected 'singletons' or 'segment'.")
    inside = truth != 0
    both, segments, cells, alone = _sizes(prediction[inside], truth[inside], background == "singletons")
    pixels = float(cells.sum())
    if not pixels:
        return SegmentScores(**dict.fromkeys(SegmentScores.__dataclass_fields__, math.nan))
    # a segment of one pixel adds 1 to a sum of squares and nothing to a sum of n log n
    pairs, pairs_predicted, pairs_true = both @ both + alone, segments @ segments + alone, cells @ cells
    joint, predicted, true = (math.log2(pixels) - _n_log_n(sizes) / pixels for sizes in (both, segments, cells))
    shared = max(0.0, predicted + true - joint)
    return SegmentScores(
        rand=float(2 * pairs / (pairs_predicted + pairs_true)),
        rand_split=float(pairs / pairs_true),
        rand_merge=float(pairs / pairs_predicted),
        info=_share(2 * shared, predicted + true),
        info_split=_share(shared, predicted),
        info_merge=_share(shared, true),
        vi_split=max(0.0, joint - true),
        vi_merge=max(0.0, joint - predicted),
    )


def _sizes(
    prediction: np.ndarray, truth: np.ndarray, singletons: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Pixels in each pair of segment and cell, in each segment, in each cell; and how many segments have one pixel."""
    if truth.size and min(prediction.min(), truth.min()) < 0:
        raise ValueError("labels are negative, expected 0 for boundaries and positive numbers for segments.")
    cells = np.bincount(_dense(truth)).astype(np.float64)
    if singletons:
        alone = int(np.count_nonzero(prediction == 0))
        prediction, truth = prediction[prediction != 0], truth[prediction != 0]
    else:
        alone = 0
    rows, columns = _dense(prediction), _dense(truth)
    segments = np.bincount(rows).astype(np.float64)
    both = sparse.coo_array((np.ones(len(rows)), (rows, columns))).tocsr().data if len(rows) else np.zeros(0)
    return both, segments, cells, alone


def _dense(labels: np.ndarray) -> np.ndarray:
    """The labels, numbered anew without gaps where they are so large that a table of them would be too."""
    if labels.size and labels.max() > 4 * labels.size + 1000:
        return np.unique(labels, return_inverse=True)[1]
    return labels.astype(np.int64)


def _n_log_n(sizes: np.ndarray) -> float:
    sizes = sizes[sizes > 0]
    return float(sizes @ np.log2(sizes))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0
