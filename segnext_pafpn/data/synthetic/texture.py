"""What all synthetic pictures are made with: a checked seed, noise, mixed colours, and a sensor."""

from __future__ import annotations

import math

import cv2
import numpy as np

MIN_SIDE = 33  # pixels; below this the drawn things are no longer recognisable
REFERENCE_HEIGHT = 128  # pixels; texture spacings are given for pictures this high

RGB = tuple[float, float, float]


def checked_rng(seed: int, size: tuple[int, int]) -> np.random.Generator:
    """Random generator for `seed`, after refusing seeds and (height, width) that cannot be drawn.

    Raises:
        ValueError: if the seed is not a non-negative int, or a side not an int of at least 33 px.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a non-negative int, got {seed!r}")
    sides = tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(sides) != 2 or not all(isinstance(side, (int, np.integer)) for side in sides):
        raise ValueError(f"size must be two ints (height, width), got {size!r}")
    if min(sides) < MIN_SIDE:
        raise ValueError(f"size must be at least {MIN_SIDE} px on each side, got {sides[0]}x{sides[1]}")
    return np.random.default_rng(int(seed))


def value_noise(rng: np.random.Generator, size: tuple[int, int], spacing: float | tuple[float, float]) -> np.ndarray:
    """Smooth random field: a coarse grid of normal deviates, enlarged.

    Args:
        rng: source of randomness.
        size: (height, width) of the field in pixels.
        spacing: distance of the grid points in pixels; a pair stands for (down, across).

    Returns:
        (H, W) float32, mean about 0, standard deviation somewhat below 1.
    """
    down, across = spacing if isinstance(spacing, tuple) else (spacing, spacing)
    grid = (max(3, math.ceil(size[0] / down) + 1), max(3, math.ceil(size[1] / across) + 1))
    field = rng.standard_normal(grid, dtype=np.float32)
    return cv2.resize(field, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def pick(rng: np.random.Generator, palette: tuple[RGB, ...], spread: float = 10.0) -> RGB:
    """A colour of the palette, brighter or darker by about `spread` grey levels, and a little off."""
    r, g, b = palette[rng.integers(len(palette))]
    change, dr, dg, db = rng.standard_normal(4).tolist()
    change *= spread
    return (r + change + 4 * dr, g + change + 4 * dg, b + change + 4 * db)


def dim(colour: RGB, factor: float, lift: float = 0.0) -> RGB:
    """`colour` times `factor` plus `lift`."""
    return (colour[0] * factor + lift, colour[1] * factor + lift, colour[2] * factor + lift)


def mottling(rng: np.random.Generator, mask: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """How much brighter or darker than its paint each pixel of a rough surface is.

    Args:
        rng: source of randomness.
        mask: (H, W) uint8 class ids.
        strengths: (classes, 3) relative strengths of the coarse, middle and fine mottling.

    Returns:
        (H, W) float32 factor around 1.
    """
    unit = mask.shape[0] / REFERENCE_HEIGHT
    factor = np.ones(mask.shape, np.float32)
    for strength, spacing in zip(strengths.T.astype(np.float32), (22.0, 5.0, 1.6), strict=True):
        factor += strength[mask] * value_noise(rng, mask.shape, max(1.0, spacing * unit))
    return factor


def vignette(size: tuple[int, int], strength: float) -> np.ndarray:
    """(H, W) float32 factor: 1 in the centre, 1 - `strength` in the corners."""
    y = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[1], dtype=np.float32)[None, :]
    return 1 - np.float32(strength / 2) * (x * x + y * y)


def sensor(rng: np.random.Generator, image: np.ndarray, shot: float, read: float) -> np.ndarray:
    """What the sensor makes of a noiseless picture: shot and read noise, then 8 bits.

    Shot noise is Poisson noise in its normal limit (variance in proportion to the signal): at the counts of a
    picture the two cannot be told apart, and normal deviates are several times cheaper to draw.

    Args:
        rng: source of randomness.
        image: float32 of any shape, in grey levels 0..255.
        shot: variance of the shot noise per grey level.
        read: standard deviation of the read noise, in grey levels.

    Returns:
        uint8 of the same shape.
    """
    deviation = np.sqrt(np.maximum(image, 0) * np.float32(shot) + np.float32(read * read))
    noisy = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(noisy + np.float32(0.5), 0, 255).astype(np.uint8)
