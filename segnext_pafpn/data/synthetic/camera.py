"""A camera with the canvas it paints on, and flat things to stand before it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from segnext_pafpn.data.synthetic.light import Light
from segnext_pafpn.data.synthetic.texture import RGB

SUBPIXEL = 4  # fractional bits of the coordinates handed to OpenCV
NEAR = 1.0  # metres; what is nearer to the camera is drawn as if it were here


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
