"""Microscope pictures of cells with ground truth by construction: background, cell, and where cells touch.

Each cell is a star-shaped outline r = R(angle). A pixel's *reach* in a cell is its distance from the cell's
middle as a share of R in that direction: 0 in the middle, 1 on the rim. Where outlines overlap, a pixel is of
the cell with the smaller reach, so that crowded cells flatten against each other as real ones do.

A larger picture shows more cells, not larger ones: lengths are in pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segnext_pafpn.data.synthetic.texture import checked_rng, sensor, value_noise, vignette

CELL_CLASSES: tuple[str, ...] = ("background", "cell", "border")
BACKGROUND, CELL, BORDER = range(len(CELL_CLASSES))

COVER = 0.52  # cells' share of the field if none overlapped, on average
OUTSIDE = 2.0  # reach of the pixels far from any cell
SLIVER = 60  # square pixels: what is left of a crowded-out cell is dropped below this
TOUCH = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))  # the border: cells that meet within 2 px
ANGLES = np.linspace(0, 2 * np.pi, 128, endpoint=False)


@dataclass
class Culture:
    """The cells of one picture; index 0 of the per-cell arrays stands for the background.

    Attributes:
        labels: (H, W) uint16, number of the cell that a pixel belongs to, 0 for none.
        reach: (H, W) float32, 0 in the middle of the nearest cell, 1 on its rim.
        nuclei: (H, W) float32, 1 inside a nucleus, 0 outside.
        brightness: (cells + 1,) float32, relative to a typical cell.
        focus: (cells + 1,) float32, 1 for sharp, 0 for far out of focus.
    """

    labels: np.ndarray
    reach: np.ndarray
    nuclei: np.ndarray
    brightness: np.ndarray
    focus: np.ndarray


def scatter(rng: np.random.Generator, size: tuple[int, int], radius: float) -> np.ndarray:
    """Middles of the cells, (N, 2) as (across, down) in pixels: loose ones and clusters that touch."""
    wanted = max(3, rng.poisson(COVER * rng.uniform(0.7, 1.3) * size[0] * size[1] / (np.pi * radius**2)))
    field, middles, found = np.array((size[1], size[0])), np.full((wanted, 2), np.inf), 0
    for _ in range(4 * wanted):
        spot = rng.uniform(0, 1, 2) * field
        if found and rng.random() < 0.75:
            angle, step = rng.uniform(0, 2 * np.pi), radius * rng.uniform(1.45, 1.95)
            spot = middles[rng.integers(found)] + (step * np.cos(angle), step * np.sin(angle))
        crowded = np.square(middles[:found] - spot).sum(1) < (1.4 * radius) ** 2
        if found < wanted and (spot >= 0).all() and (spot < field).all() and not crowded.any():
            middles[found] = spot
            found += 1
    return middles[:found]


def grow(rng: np.random.Generator, size: tuple[int, int]) -> Culture:
    """Outlines, nuclei and character of all cells of a picture."""
    radius = rng.uniform(9.5, 15.0)
    middles = scatter(rng, size, radius)
    number_of_labels = len(middles) + 1
    labels, reach = np.zeros(size, np.uint16), np.full(size, OUTSIDE, np.float32)
    nuclei = np.zeros(size, np.uint8)
    for number, middle in enumerate(middles, start=1):
        add_cell(rng, labels, reach, number, middle, radius * rng.uniform(0.75, 1.25))
        add_nucleus(rng, nuclei, middle, radius)
    # Opened, because a gap of a pixel or two is no gap: those cells touch.
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    gaps = cv2.morphologyEx((reach > 1).astype(np.uint8), cv2.MORPH_OPEN, cross)
    labels[gaps > 0] = 0
    kept = np.bincount(labels.ravel(), minlength=number_of_labels) >= SLIVER
    kept[0] = False
    labels *= kept[labels]
    return Culture(
        labels=labels,
        reach=reach,
        nuclei=np.float32(nuclei > 0) * (labels > 0) * (reach < 0.85),
        brightness=np.exp(rng.normal(0, 0.28, number_of_labels)).astype(np.float32),
        focus=np.clip(rng.uniform(0, 4, number_of_labels), 0, 1).astype(np.float32),
    )


def add_cell(
    rng: np.random.Generator,
    labels: np.ndarray,
    reach: np.ndarray,
    number: int,
    middle: np.ndarray,
    radius: float,
) -> None:
    """Claim the pixels that are nearer to this cell, in terms of reach, than to the cells before it."""
    stretch, turn = np.sqrt(rng.uniform(1.0, 2.0)), rng.uniform(0, np.pi)
    outline = np.ones(len(ANGLES))
    for lobes, depth in ((3, 0.09), (4, 0.06), (5, 0.05), (7, 0.03)):
        outline += depth * rng.normal() * np.cos(lobes * ANGLES + rng.uniform(0, 2 * np.pi))
    half = int(radius * stretch * 1.7) + 2
    left, top = (max(0, int(edge) - half) for edge in middle)
    window = np.s_[top : int(middle[1]) + half + 1, left : int(middle[0]) + half + 1]
    height, width = labels[window].shape
    x = np.arange(left, left + width, dtype=np.float32) - np.float32(middle[0])
    y = np.arange(top, top + height, dtype=np.float32)[:, None] - np.float32(middle[1])
    cos, sin = np.float32(np.cos(turn) / radius), np.float32(np.sin(turn) / radius)
    along, aside = (cos * x + sin * y) / np.float32(stretch), (cos * y - sin * x) * np.float32(stretch)
    distance, angle = cv2.cartToPolar(along, aside)
    sector = (angle * np.float32(len(ANGLES) / (2 * np.pi))).astype(np.uint8) % len(ANGLES)
    own = distance / outline.astype(np.float32)[sector]
    nearer = own < reach[window]
    np.copyto(reach[window], own, where=nearer)
    np.copyto(labels[window], number, where=nearer)


def add_nucleus(rng: np.random.Generator, nuclei: np.ndarray, middle: np.ndarray, radius: float) -> None:
    """Draw one oval nucleus somewhere near the middle of its cell."""
    centre = middle + rng.normal(0, 0.1 * radius, 2)
    axes = radius * rng.uniform(0.3, 0.48, 2)
    corner = tuple(np.rint(centre * 16).astype(int).tolist())
    size = tuple(np.rint(axes * 16).astype(int).tolist())
    cv2.ellipse(nuclei, corner, size, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_8, 4)


def touching(labels: np.ndarray) -> np.ndarray:
    """(H, W) uint16 cell numbers -> (H, W) bool: pixels of a cell with another cell within 2 px."""
    largest = cv2.dilate(labels, TOUCH)
    smallest = cv2.erode(np.where(labels > 0, labels, np.uint16(65535)), TOUCH)
    return (labels > 0) & (largest != smallest)


def debris(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 brightness of specks, fibres and smudges that are not cells."""
    height, width = size
    sharp, faint = np.zeros(size, np.float32), np.zeros(size, np.float32)
    area = height * width / 192**2
    for _ in range(rng.poisson(14 * area) + 1):
        spot = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(sharp, spot, int(rng.integers(1, 4)), rng.uniform(0.3, 1.0), -1)
    for _ in range(rng.poisson(2 * area)):
        start, bend = rng.uniform(0, 1, 2) * (width, height), rng.uniform(-1.2, 1.2)
        turn = rng.uniform(0, 2 * np.pi) + np.linspace(0, bend, 8)
        fibre = start + np.cumsum(np.stack((np.cos(turn), np.sin(turn)), 1) * rng.uniform(2, 5), 0)
        cv2.polylines(sharp, [np.rint(fibre).astype(np.int32)], False, rng.uniform(0.4, 0.8), 1)
    for _ in range(rng.poisson(3 * area)):
        spot = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(faint, spot, int(rng.integers(4, 9)), rng.uniform(0.2, 0.5), -1)
    return sharp + cv2.GaussianBlur(faint, (0, 0), 3.0)


def fluorescence(rng: np.random.Generator, culture: Culture, gaps: np.ndarray, dirt: np.ndarray) -> np.ndarray:
    """Stained cells glowing on black, dimmer towards the rim and where they meet; (H, W) float32."""
    inside = culture.labels > 0
    body = 1.0 - np.float32(rng.uniform(0.35, 0.6)) * np.minimum(culture.reach, 1) ** 2
    body *= 1 + np.float32(rng.choice((-0.45, 0.6, 0.9))) * culture.nuclei
    body *= 1 - np.float32(rng.uniform(0.45, 0.75)) * gaps
    glow = body * culture.brightness[culture.labels] * mottled(rng, inside.shape, 0.16)
    return np.where(inside, glow, dirt) * np.float32(0.55) + np.float32(rng.uniform(0.04, 0.14))


def phase_contrast(rng: np.random.Generator, culture: Culture, gaps: np.ndarray, dirt: np.ndarray) -> np.ndarray:
    """Unstained cells, darker than the grey around them, each in its bright halo; (H, W) float32."""
    inside = culture.labels > 0
    tone = 0.16 + 0.08 * (culture.brightness[culture.labels] - 1)
    body = -tone * mottled(rng, inside.shape, 0.45) - np.float32(0.12) * culture.nuclei
    halo = np.exp(-np.square((culture.reach - 1.06) / np.float32(0.1)))
    around = np.float32(0.2) * halo - np.float32(0.28) * dirt * (1 - halo)
    return np.float32(0.5) + np.where(inside, body + np.float32(rng.uniform(0.2, 0.32)) * gaps, around)


def mottled(rng: np.random.Generator, size: tuple[int, int], strength: float) -> np.ndarray:
    """(H, W) float32 texture around 1, at two scales."""
    noise = value_noise(rng, size, 5.0) + np.float32(0.7) * value_noise(rng, size, 2.0)
    return 1 + np.float32(strength) * noise


def optics(rng: np.random.Generator, scene: np.ndarray, culture: Culture) -> np.ndarray:
    """Blur by the point spread function, more for cells out of focus, under uneven light; (H, W) float32."""
    sharp = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.7, 1.1))
    soft = cv2.GaussianBlur(scene, (0, 0), 2.4)
    focus = cv2.blur(culture.focus[culture.labels], (5, 5))
    uneven = 1 + np.float32(0.16) * value_noise(rng, scene.shape, max(scene.shape) / 2)
    return (soft + focus * (sharp - soft)) * uneven * vignette(scene.shape, rng.uniform(0.1, 0.35))


def cell_image(seed: int, size: tuple[int, int] = (192, 192)) -> tuple[np.ndarray, np.ndarray]:
    """Draw the microscope picture number `seed`.

    Args:
        seed: a non-negative int; the same seed and size give the same bytes.
        size: (height, width) in pixels, at least 33 each.

    Returns:
        The picture, (H, W, 3) uint8, grey and thus the same in all channels, and its mask, (H, W) uint8 of
        indices into `CELL_CLASSES`.

    Raises:
        ValueError: if the seed is not a non-negative int or a side is below 33 px.
    """
    rng = checked_rng(seed, size)
    culture = grow(rng, tuple(size))
    border = touching(culture.labels)
    mask = np.where(border, BORDER, culture.labels > 0).astype(np.uint8)
    gaps = cv2.blur(border.astype(np.float32), (3, 3))
    style = fluorescence if rng.random() < 0.65 else phase_contrast
    scene = optics(rng, style(rng, culture, gaps, debris(rng, mask.shape)), culture)
    exposed = scene * np.float32(rng.uniform(210, 300))
    grey = sensor(rng, exposed, shot=rng.uniform(0.2, 0.9), read=rng.uniform(2, 5))
    return cv2.merge((grey, grey, grey)), mask
