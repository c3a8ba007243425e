"""Pictures that two splits share: a network that has trained on them is not being tested on them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from segnext_pafpn.data.check.report import SplitReport, Twins

NEAR_BITS = 24  # of 256 differences between neighbouring pixels of the fingerprint
NEAR_LEVELS = 3.0  # mean absolute difference of the fingerprints, in grey levels of 255
_FLAT = 4.0  # standard deviation below which a fingerprint says nothing
_ROWS = 256  # of the first split at a time, to bound memory


def find_twins(splits: Sequence[SplitReport]) -> list[Twins]:
    """Pairs of pictures of different splits with equal pixels, and pairs that differ in size or compression alone.

    The fingerprint is the difference hash: each picture shrunk to 16 x 17 in grey, a bit per pair of neighbours
    that says which is the brighter (N. Krawetz, "Kind of Like That", 2013, there of 8 x 9). Two count as nearly
    the same if at most 24 of 256 bits differ and the shrunk pictures differ by at most 3 levels on average.
    """
    found: list[Twins] = []
    for first, second in combinations(splits, 2):
        exact = _exact(first, second)
        known = {(twins.first, twins.second) for twins in exact}
        found += exact + [twins for twins in _near(first, second) if (twins.first, twins.second) not in known]
    return found


def _exact(first: SplitReport, second: SplitReport) -> list[Twins]:
    by_digest = {details.digest: sample for sample, details in first.details}
    return [
        Twins(first.name, by_digest[details.digest], second.name, sample, exact=True)
        for sample, details in second.details
        if details.digest in by_digest
        and (sample.case is None or details.low < details.high)  # empty slices of two volumes say nothing
    ]


def _near(first: SplitReport, second: SplitReport) -> list[Twins]:
    if not first.details or not second.details:
        return []
    ours, theirs = (np.stack([d.thumb for _, d in split.details]).astype(np.int16) for split in (first, second))
    our_bits, their_bits = _bits(ours), _bits(theirs)
    speaks = theirs.std(axis=(1, 2)) >= _FLAT
    found = []
    for start in range(0, len(ours), _ROWS):
        distance = _hamming(our_bits[start : start + _ROWS], their_bits)
        for row, column in zip(*np.nonzero((distance <= NEAR_BITS) & speaks), strict=True):
            i = start + int(row)
            if np.abs(ours[i] - theirs[column]).mean() <= NEAR_LEVELS:
                a, b = first.details[i][0], second.details[int(column)][0]
                found.append(Twins(first.name, a, second.name, b, exact=False))
    return found


def _bits(thumbs: np.ndarray) -> np.ndarray:
    """-1 or 1 for each pair of neighbours, (N, 256) float32."""
    brighter = thumbs[:, :, 1:] > thumbs[:, :, :-1]
    return np.where(brighter, np.float32(1), np.float32(-1)).reshape(len(thumbs), -1)


def _hamming(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How many bits differ, (n, m): with -1 and 1 a matrix product counts them."""
    return (ours.shape[1] - ours @ theirs.T) / 2
