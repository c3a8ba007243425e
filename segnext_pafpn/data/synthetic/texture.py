"""What the synthetic pictures are made with: noise, light, a camera with its canvas, and a sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

MIN_SIDE = 33  # pixels; below this the drawn things are no longer recognisable
REFERENCE_HEIGHT = 128  # pixels; texture spacings are given for pictures this high
SUBPIXEL = 4  # fractional bits of the coordinates handed to OpenCV
NEAR = 1.0  # metres; what is nearer to the camera is drawn as if it were here

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


def value_noise(
    rng: np.random.Generator, size: tuple[int, int], spacing: float | tuple[float, float]
) -> np.ndarray:
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


# -- light -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Light:
    """The one light of an outdoor scene.

    Attributes:
        zenith: sky colour at the top.
        horizon: sky colour at the horizon; far things fade into it.
        gain: colour temperature times exposure, applied to the whole picture.
        sun: (right, away) displacement of a shadow in metres per metre of height.
        shadow: share of the light that is missing in a cast shadow, 0..1.
        haze: extinction per metre.
        cloud: cloud cover, 0..1.
    """

    zenith: RGB
    horizon: RGB
    gain: RGB
    sun: tuple[float, float]
    shadow: float
    haze: float
    cloud: float

    def seen(self, colour: RGB, depth: float, shade: float = 1.0) -> RGB:
        """`colour`, shaded, as it looks through `depth` metres of haze."""
        through = math.exp(-self.haze * depth)
        direct, veil = shade * through, 1.0 - through
        (r, g, b), (hr, hg, hb) = colour, self.horizon
        return (r * direct + hr * veil, g * direct + hg * veil, b * direct + hb * veil)


# zenith, horizon, gain, shadow, haze, cloud
_WEATHER: tuple[tuple[RGB, RGB, RGB, float, float, float], ...] = (
    ((88, 148, 216), (192, 214, 234), (1.08, 1.05, 1.02), 0.44, 0.004, 0.45),  # clear
    ((80, 134, 210), (204, 218, 230), (1.13, 1.07, 0.99), 0.48, 0.003, 0.20),  # bright
    ((160, 167, 174), (206, 209, 212), (0.98, 1.01, 1.05), 0.12, 0.007, 0.90),  # overcast
    ((188, 193, 196), (216, 218, 217), (1.02, 1.03, 1.03), 0.14, 0.014, 0.60),  # misty
    ((112, 130, 180), (252, 206, 158), (1.14, 0.99, 0.86), 0.40, 0.006, 0.50),  # evening
)


def random_light(rng: np.random.Generator) -> Light:
    """Light of a random weather and hour."""
    zenith, horizon, gain, shadow, haze, cloud = _WEATHER[rng.integers(len(_WEATHER))]
    exposure = rng.uniform(0.84, 1.12)
    length = rng.uniform(0.4, 1.2)
    return Light(
        zenith=tuple(np.clip(zenith + rng.normal(0, 5, 3), 0, 255).tolist()),
        horizon=tuple(np.clip(horizon + rng.normal(0, 3.5, 3), 0, 255).tolist()),
        gain=tuple((exposure * (1 + rng.normal(0, 0.02, 3)) * gain).tolist()),
        sun=(float(rng.choice((-length, length))), rng.uniform(-0.5, 0.8)),
        shadow=shadow * rng.uniform(0.8, 1.1),
        haze=haze * rng.uniform(0.7, 1.5),
        cloud=float(np.clip(cloud + rng.normal(0, 0.12), 0, 1)),
    )


# -- camera ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A pinhole camera and the canvas it paints on.

    Points are in metres: x to the right of the camera, y up from the ground, z away from the camera. Colour
    and class are written by one call into one canvas, so that a mask cannot disagree with its picture.

    Attributes:
        canvas: (H, W, 4) uint8: red, green, blue, class id.
        light: the light on everything.
        focal: focal length in canvas pixels.
        vanishing: (across, down) position of the vanishing point in canvas pixels.
        eye: height of the camera in metres.
        bend: curvature of the ground plan: metres to the right per square metre of distance.
    """

    canvas: np.ndarray
    light: Light
    focal: float
    vanishing: tuple[float, float]
    eye: float
    bend: float

    @property
    def horizon(self) -> int:
        """First canvas row of the ground."""
        return min(max(round(self.vanishing[1]), 1), self.canvas.shape[0] - 1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres -> (..., 2) canvas pixels (across, down)."""
        z = np.maximum(points[..., 2], NEAR)
        scale = self.focal / z
        out = np.empty((*z.shape, 2))
        out[..., 0] = scale * points[..., 0] + (self.focal * self.bend) * z + self.vanishing[0]
        out[..., 1] = scale * (self.eye - points[..., 1]) + self.vanishing[1]
        return out

    def entry(self, x: float) -> float:
        """Distance in metres at which the line at lateral position x enters the picture."""
        room = self.canvas.shape[1] - self.vanishing[0] if x > 0 else self.vanishing[0]
        return max(3.0, self.focal * abs(x) / room)

    def fill(self, pixels: np.ndarray, colour: RGB, cls: int) -> None:
        """Fill a polygon (N, 2), or a stack (M, N, 2) of disjoint ones, given in canvas pixels."""
        corners = np.rint(pixels * (1 << SUBPIXEL)).astype(np.int32)
        stack = [corners] if corners.ndim == 2 else list(corners)
        cv2.fillPoly(self.canvas, stack, (*colour, cls), cv2.LINE_8, SUBPIXEL)

    def disc(self, across: float, down: float, radius: float, colour: RGB, cls: int) -> None:
        """Fill a circle given in canvas pixels."""
        one = 1 << SUBPIXEL
        middle = (round(across * one), round(down * one))
        cv2.circle(self.canvas, middle, round(radius * one), (*colour, cls), -1, cv2.LINE_8, SUBPIXEL)

    def paint(self, points: np.ndarray, colour: RGB, cls: int, z: float = 0.0, shade: float = 1.0) -> None:
        """Fill a polygon (N, 3), or a stack of disjoint ones, given in metres and seen from z metres."""
        self.fill(self.project(points), self.light.seen(colour, z, shade), cls)


class CutOut:
    """A flat thing that stands at (x, z), facing the camera; in metres to the right of and above its foot."""

    def __init__(self, view: View, cls: int, x: float, z: float) -> None:
        self.view, self.cls, self.z = view, cls, z
        self.scale = view.focal / z  # canvas pixels per metre
        self.foot = view.project(np.array((x, 0.0, z)))

    def fill(self, outline: ArrayLike, colour: RGB, shade: float = 1.0) -> None:
        """Fill a polygon (N, 2)."""
        pixels = self.foot + np.array(outline) * (self.scale, -self.scale)
        self.view.fill(pixels, self.view.light.seen(colour, self.z, shade), self.cls)

    def box(self, x: tuple[float, float], y: tuple[float, float], colour: RGB, shade: float = 1.0) -> None:
        """Fill an upright rectangle."""
        self.fill(((x[0], y[0]), (x[0], y[1]), (x[1], y[1]), (x[1], y[0])), colour, shade)

    def disc(self, x: float, y: float, radius: float, colour: RGB, shade: float = 1.0) -> None:
        """Fill a circle."""
        across, down = self.foot[0] + x * self.scale, self.foot[1] - y * self.scale
        seen = self.view.light.seen(colour, self.z, shade)
        self.view.disc(across, down, radius * self.scale, seen, self.cls)


def paint_sky(view: View, rng: np.random.Generator, cls: int) -> None:
    """Fill the canvas above the horizon: a gradient from the zenith, and clouds that lie flat."""
    height, width = view.canvas.shape[0] // 2, view.canvas.shape[1] // 2  # half is fine enough for clouds
    rows = view.horizon // 2 + 1
    fall = np.linspace(0, 1, rows, dtype=np.float32)[:, None] ** 0.8
    billows = np.zeros((rows, width), np.float32)
    for down, across, weight in ((9, 4, 1.0), (20, 10, 0.5), (48, 30, 0.25)):
        billows += weight * value_noise(rng, billows.shape, (height / down, width / across))
    cover = np.clip((billows + 2.2 * view.light.cloud - 1.3) * 0.9, 0, 0.85)
    white = 112 - 12 * np.clip(billows, -1, 2)
    channels = []
    for top, low in zip(view.light.zenith, view.light.horizon, strict=True):
        sky = top + (low - top) * fall
        channels.append(sky + cover * (0.55 * low + white - sky))
    sky = np.clip(cv2.merge(channels), 0, 255).astype(np.uint8)
    view.canvas[: view.horizon, :, :3] = cv2.resize(sky, (view.canvas.shape[1], view.horizon))
    view.canvas[: view.horizon, :, 3] = cls


def shade_ground(view: View, cast: list[np.ndarray], contact: list[np.ndarray]) -> None:
    """Darken the ground in shadows `cast` by the sun and in those under things, and fade it into the haze."""
    height, width = view.canvas.shape[:2]
    # At half the canvas' resolution: the enlargement gives the shadows their soft edge.
    shade = np.full((height // 2, width // 2), 255, np.uint8)
    for outlines, value in ((cast, 255 * (1 - view.light.shadow)), (contact, 110)):
        for outline in outlines:
            corners = np.rint(view.project(outline) * (1 << SUBPIXEL - 1)).astype(np.int32)
            cv2.fillConvexPoly(shade, cv2.convexHull(corners), value, cv2.LINE_8, SUBPIXEL)
    shade = cv2.resize(cv2.blur(shade, (3, 3)), (width, height))[view.horizon :]
    rows = np.arange(view.horizon, height, dtype=np.float32)[:, None]
    depth = view.focal * view.eye / np.maximum(rows - view.vanishing[1], 1)
    through = np.exp(-view.light.haze * np.minimum(depth, 200))
    veil = np.zeros((len(rows), width, 4), np.uint8)
    veil[..., :3] = ((1 - through) * np.float32(view.light.horizon))[:, None]
    # The class channel is multiplied by one (opaque alpha) and nothing is added to it.
    factor = cv2.cvtColor((shade * through).astype(np.uint8), cv2.COLOR_GRAY2BGRA)
    ground = view.canvas[view.horizon :]
    ground[:] = cv2.add(cv2.multiply(ground, factor, scale=1 / 255), veil)


# -- the finished picture ----------------------------------------------------------------------------------


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
