"""Outlines to pixels."""

import numpy as np


def fill_polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``(H, W)`` bool: the pixels whose centres lie inside an outline, by the even-odd rule.

    Args:
        points: ``(N, 2)``, x and y in pixels; the picture is from (0, 0) to (W, H), and what lies beyond it is cut off.
        size: height and width.
    """
    height, width = size
    filled = np.zeros(size, bool)
    top = int(np.clip(np.floor(points[:, 1].min()), 0, height))
    rows = np.arange(top, int(np.clip(np.ceil(points[:, 1].max()), top, height))) + 0.5
    (x, y), (to_x, to_y) = points.T, np.roll(points, -1, axis=0).T
    edge, row = np.nonzero((y[:, None] <= rows) != (to_y[:, None] <= rows))
    crossing = x[edge] + (rows[row] - y[edge]) * (to_x - x)[edge] / (to_y - y)[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)  # the first whose centre is not left of it
    changes = np.bincount(row * (width + 1) + column, minlength=len(rows) * (width + 1)).reshape(-1, width + 1)
    filled[top : top + len(rows)] = np.logical_xor.accumulate(changes % 2 == 1, axis=1)[:, :width]
    return filled
