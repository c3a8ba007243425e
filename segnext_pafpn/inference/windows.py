"""Where overlapping windows lie along one side of an image, and what each contributes to a pixel.

Windows form a grid, so rows and columns are placed and weighted apart: a window's weights are the outer
product of its row's and its column's.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

GAUSSIAN_SIGMA = 1 / 8  # in window sides, as nnU-Net has it; at a window's border the weight is 3e-4 of its middle's


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First pixels of the fewest windows that cover ``length`` pixels and overlap by at least ``overlap`` of a window.

    They lie in equal steps, but for the last one, which is drawn back to end at the image's border: MONAI and
    mmsegmentation place them so, too. A step that is a multiple of the network's largest stride, such as half of
    768, puts a pixel on the same place of the network's grid in all of its windows.

    Args:
        length: pixels along this side of the image.
        window: pixels along this side of a window, at most ``length``.
        overlap: of neighbours, as a fraction of the window, at least 0 and less than 1.
    """
    free = length - window
    step = max(1, int(window * (1 - overlap)))
    return [*range(0, free, step), free]


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


def blend_rows(
    image: np.ndarray,
    forward: Callable[[np.ndarray], torch.Tensor],
    window: tuple[int, int],
    overlap: float,
    batch_size: int,
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Predict an image in windows; what no later window touches comes out at once, from the top down.

    A pixel's logits are the mean over the windows that hold it, weighted by :func:`window_shares`. Logits are held
    for as many rows as a window has, however high the image is.

    Args:
        image: (H, W, C).
        forward: from images (B, h, w, C) to logits (B, K, h, w).
        window: height and width of the windows; on a smaller side the image's own.
        overlap: of neighbouring windows, as a fraction of the window.
        batch_size: windows that go through ``forward`` at once.

    Yields:
        Rows of the image, and their logits (K, rows, W), which are overwritten afterwards.
    """
    height, width = image.shape[:2]
    window_height, window_width = min(window[0], height), min(window[1], width)
    tops, lefts = window_starts(height, window_height, overlap), window_starts(width, window_width, overlap)
    row_shares = window_shares(height, window_height, tops)
    column_shares = window_shares(width, window_width, lefts)
    blended = None
    for top, end, row_share in zip(tops, [*tops[1:], height], row_shares, strict=True):
        rows = image[top : top + window_height]
        for first in range(0, len(lefts), batch_size):
            batch = lefts[first : first + batch_size]
            logits = forward(np.stack([rows[:, left : left + window_width] for left in batch]))
            if blended is None:
                blended = logits.new_zeros(logits.shape[1], window_height, width)
            batch_shares = column_shares[first : first + batch_size].to(logits.device)
            shares = row_share.to(logits.device)[:, None] * batch_shares[:, None, :]
            for left, part, share in zip(batch, logits, shares, strict=True):
                blended[:, :, left : left + window_width].addcmul_(part, share)
        done = end - top
        yield slice(top, end), blended[:, :done]
        kept = window_height - done
        for plane in blended:  # moves up; class by class, as it takes a copy
            plane[:kept] = plane[done:].clone()
            plane[kept:] = 0


def upsampled_rows(
    logits: torch.Tensor, size: tuple[int, int], max_pixels: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Bilinear upsampling, as :func:`torch.nn.functional.interpolate` does it, some rows at a time.

    Args:
        logits: (K, h, w).
        size: H and W of the whole.
        max_pixels: of the rows at a time, of which there is at least one.

    Yields:
        Rows of the whole, and their logits (K, rows, W).
    """
    height, width = size
    at = ((torch.arange(height, device=logits.device) + 0.5) * (logits.shape[1] / height) - 0.5).clamp(min=0)
    above = at.long()
    below = (above + 1).clamp(max=logits.shape[1] - 1)
    share = (at - above)[:, None]
    step = max(1, max_pixels // width)
    for first in range(0, height, step):
        rows = slice(first, min(first + step, height))
        part = torch.lerp(logits[:, above[rows]], logits[:, below[rows]], share[rows])
        yield rows, F.interpolate(part[None], size=(part.shape[1], width), mode="bilinear", align_corners=False)[0]
