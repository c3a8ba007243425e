"""How often a picture is drawn, by the rarest class that it holds."""

from collections.abc import Sequence

import numpy as np


def repeat_factors(holds: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """Repeat factors of the pictures, (N,) float64 of 1 or more: repeat-factor sampling (LVIS, arXiv 1908.03195, 3.2).

    A class that the share f of the pictures holds has the factor max(1, sqrt(threshold / f)); a picture has that of
    its rarest class.

    Args:
        holds: which classes each picture holds, N of (K,) bool.
        threshold: classes that a larger share of the pictures holds are not repeated.
    """
    table = np.asarray(holds, dtype=bool)
    shares = table.mean(axis=0)
    factors = np.sqrt(threshold / np.where(shares > 0, shares, 1)).clip(min=1)
    return np.where(table, factors, 1).max(axis=1)
