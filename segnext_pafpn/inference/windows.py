"""Where overlapping windows lie along one side of an image, and what each contributes to a pixel.

Windows form a grid, so rows and columns are placed and weighted apart: a window's weights are the outer
product of its row's and its column's.
"""

import math

import torch

GAUSSIAN_SIGMA = 1 / 8  # in window sides, as nnU-Net has it; at a window's border the weight is 3e-4 of its middle's


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First pixels of the fewest windows that cover ``length`` pixels and overlap by at least ``overlap`` of a window.

    The first window begins at the image's border, the last one ends at it, the others lie evenly between.

    Args:
        length: pixels along this side of the image.
        window: pixels along this side of a window, at most ``length``.
        overlap: of neighbours, as a fraction of the window, at least 0 and less than 1.
    """
    free = length - window
    step = max(1, int(window * (1 - overlap)))
    gaps = math.ceil(free / step)
    return [0] + [round(i * free / gaps) for i in range(1, gaps + 1)]


def window_shares(length: int, window: int, starts: list[int]) -> torch.Tensor:
    """Gaussian weights ``(len(starts), window)`` of the windows at ``starts``; over each pixel they sum to 1.

    The Gaussian's standard deviation is :data:`GAUSSIAN_SIGMA` of the window.
    """
    distance = (torch.arange(window, dtype=torch.float64) - (window - 1) / 2) / (GAUSSIAN_SIGMA * window)
    gaussian = torch.exp(-0.5 * distance**2)
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start : start + window] += gaussian
    return torch.stack([gaussian / total[start : start + window] for start in starts]).float()
