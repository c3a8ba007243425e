"""Outlined objects to pixels."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pixels:
    """Pixels of a picture: ``inside`` (h, w) bool, in a box whose first row and column are ``top`` and ``left``."""

    top: int
    left: int
    inside: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray) -> "Pixels":
        """Those that are True in ``(H, W)`` bool."""
        rows, columns = (np.flatnonzero(picture.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            return cls(0, 0, np.zeros((0, 0), bool))
        inside = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(int(rows[0]), int(columns[0]), inside.copy())


def fill_polygon(points: np.ndarray, size: tuple[int, int]) -> Pixels:
    """The pixels whose centres lie inside an outline, by the even-odd rule.

    Args:
        points: ``(N, 2)``, x and y in pixels; the picture is from (0, 0) to (W, H), and what lies beyond it is cut off.
        size: height and width.
    """
    limits = size[::-1]  # of x and y
    left, top = np.floor(points.min(axis=0)).clip(0, limits).astype(int).tolist()
    right, bottom = np.ceil(points.max(axis=0)).clip((left, top), limits).astype(int).tolist()
    height, width = bottom - top, right - left
    (x, y), (to_x, to_y) = points.T - [[left], [top]], np.roll(points, -1, axis=0).T - [[left], [top]]
    rows = np.arange(height) + 0.5
    edge, row = np.nonzero((y[:, None] <= rows) != (to_y[:, None] <= rows))
    crossing = x[edge] + (rows[row] - y[edge]) * (to_x - x)[edge] / (to_y - y)[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)  # the first whose centre is not left of it
    changes = np.zeros((height, width + 1), bool)
    np.logical_xor.at(changes, (row, column), True)
    return Pixels(top, left, np.logical_xor.accumulate(changes, axis=1)[:, :width])


def paint_largest_first(mask: np.ndarray, objects: Iterable[tuple[int, Pixels]]) -> None:
    """Write objects into a mask ``(H, W)``, the smaller over the larger; of equal ones the later over the earlier."""
    for value, pixels in sorted(objects, key=lambda item: -int(item[1].inside.sum())):
        height, width = pixels.inside.shape
        box = mask[pixels.top : pixels.top + height, pixels.left : pixels.left + width]
        box[pixels.inside] = value
