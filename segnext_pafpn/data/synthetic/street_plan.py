"""The ground plan of a street scene in metres, its classes, and the shapes that things are built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from segnext_pafpn.data.synthetic.camera import View
from segnext_pafpn.data.synthetic.light import random_light

STREET_CLASSES: tuple[str, ...] = ("sky", "building", "road", "pavement", "tree", "car", "person", "pole")
SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE = range(len(STREET_CLASSES))

OVERSAMPLING = 2  # canvas pixels per picture pixel
FAR = 80.0  # metres: where the street ends
DETAIL = 36.0  # metres: what is farther gets no detail, and is not worth a shadow

# Colours that things of more than one kind have: cars and front doors, clothes and awnings.
# fmt: off
PAINTS = ((206, 206, 206), (36, 38, 42), (116, 120, 126), (166, 34, 30), (38, 72, 140), (46, 92, 60),
          (88, 110, 64), (172, 162, 138), (204, 172, 56), (132, 78, 46), (234, 234, 230))
CLOTHES = ((44, 48, 66), (164, 46, 42), (58, 90, 144), (100, 100, 96), (204, 194, 172), (64, 98, 68),
           (118, 80, 56), (216, 164, 60), (32, 32, 36), (146, 112, 146), (224, 224, 222))
# fmt: on

ALONG = np.concatenate((np.linspace(0, 1, 12), np.linspace(1, 0, 12)))
Item = tuple[float, Callable[[], None]]  # distance in metres, what paints it


@dataclass
class Street:
    """Ground plan of one scene, in metres.

    Attributes:
        view: the camera and its canvas.
        rng: source of all randomness.
        kerbs: x of the left and right kerb.
        walls: x of the left and right building line.
        lanes: (x of the middle, yaw of the traffic in radians) of the driving lanes.
        bays: x of the middle of the rows of parked cars.
        crossing: z of the middle of the zebra crossing, or None.
        cast: outlines (N, 3) of shadows thrown by the sun.
        contact: outlines (N, 3) of the dark under things.
    """

    view: View
    rng: np.random.Generator
    kerbs: tuple[float, float]
    walls: tuple[float, float]
    lanes: tuple[tuple[float, float], ...]
    bays: tuple[float, ...]
    crossing: float | None
    cast: list[np.ndarray] = field(default_factory=list)
    contact: list[np.ndarray] = field(default_factory=list)

    def throw_shadow(self, base: np.ndarray, low: float, high: float) -> None:
        """Note the shadow of a body over `base` (N, 3), between two heights."""
        if base[0, 2] < DETAIL:
            towards = np.array((self.view.light.sun[0], 0.0, self.view.light.sun[1]))
            self.cast.append(np.concatenate((base + towards * low, base + towards * high)))


def random_street(rng: np.random.Generator, size: tuple[int, int]) -> Street:
    """An empty street: viewpoint, light and ground plan."""
    height, width = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    view = View(
        canvas=np.zeros((height, width, 4), np.uint8),
        light=random_light(rng),
        focal=height * rng.uniform(0.85, 1.05),
        vanishing=(width * rng.uniform(0.3, 0.7), height * rng.uniform(0.41, 0.54)),
        eye=rng.uniform(1.8, 2.6),
        bend=float(np.clip(rng.normal(0, 0.0012), -0.0025, 0.0025)),
    )
    side = rng.choice((-1, 1))  # of the road we drive on
    parking = rng.random(2) < 0.55  # a row of parked cars on our side, on the other
    ends = (side * (1.9 + 2.1 * parking[0]), -side * (5.0 + 2.1 * parking[1]))
    kerbs = (min(ends), max(ends))
    return Street(
        view=view,
        rng=rng,
        kerbs=kerbs,
        walls=(kerbs[0] - rng.uniform(3.0, 5.5), kerbs[1] + rng.uniform(3.0, 5.5)),
        lanes=((0.0, 0.0), (-side * 3.3, np.pi)),
        bays=tuple(kerb - np.sign(kerb) * 1.05 for kerb, row in zip(ends, parking, strict=True) if row),
        crossing=rng.uniform(7, 11) if rng.random() < 0.5 else None,
    )


def upright(
    x: ArrayLike, y0: ArrayLike, y1: ArrayLike, z0: ArrayLike, z1: ArrayLike, x1: float | None = None
) -> np.ndarray:
    """Vertical rectangles (..., 4, 3), y0 to y1 high, from (x, z0) to (x1 or x, z1); arguments broadcast."""
    corners = np.empty((*np.broadcast(x, y0, y1, z0, z1).shape, 4, 3))
    for corner, (a, b, c) in enumerate(((x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1))):
        corners[..., corner, 0], corners[..., corner, 1], corners[..., corner, 2] = a, b, c
    if x1 is not None:
        corners[..., 2:, 0] = x1
    return corners


def flat(x0: ArrayLike, x1: ArrayLike, z0: ArrayLike, z1: ArrayLike) -> np.ndarray:
    """Rectangles (..., 4, 3) on the ground; arguments broadcast."""
    return upright(0.0, x0, x1, z0, z1)[..., (1, 0, 2)]


def strip(x0: float, x1: float, end: float = FAR) -> np.ndarray:
    """(24, 3) outline of a strip of ground along the street, with corners enough to follow its bend."""
    points = np.zeros((24, 3))
    points[:12, 0], points[12:, 0] = x0, x1
    points[:, 2] = end**ALONG  # geometric steps from 1 m to the end, and back
    return points
