"""The sky, and the ground with its markings, shadows and haze."""

from __future__ import annotations

import cv2
import numpy as np

from segnext_pafpn.data.synthetic.camera import SUBPIXEL, View
from segnext_pafpn.data.synthetic.street_plan import PAVEMENT, ROAD, SKY, Street, flat, strip
from segnext_pafpn.data.synthetic.texture import dim, pick, value_noise


def paint_sky(view: View, rng: np.random.Generator) -> None:
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
    view.canvas[: view.horizon, :, 3] = SKY


def paint_ground(street: Street) -> None:
    """Pavement everywhere, the road on it with kerbs, gutters, wear and markings, then shadows and haze."""
    view, rng, (left, right) = street.view, street.rng, street.kerbs
    paving = pick(rng, ((150, 145, 138), (128, 126, 124), (162, 152, 138)))
    tar = pick(rng, ((106, 106, 110), (92, 92, 94), (120, 117, 112)), 6)
    view.canvas[view.horizon :] = (*map(round, paving), PAVEMENT)
    rows = np.arange(2.0, 24.0, rng.uniform(1.0, 1.8))
    for kerb, wall in zip(street.kerbs, street.walls, strict=True):  # joints between the slabs
        view.paint(flat(kerb, wall * 1.5, rows, rows + 0.04 + rows * 0.004), dim(paving, 0.88), PAVEMENT)
        view.paint(strip((kerb + wall) / 2, (kerb + wall) / 2 + 0.06, 24.0), dim(paving, 0.88), PAVEMENT)
    view.paint(strip(left - 0.28, right + 0.28), dim(paving, 1.18), PAVEMENT)
    view.paint(strip(left, right), dim(tar, 0.78), ROAD)
    view.paint(strip(left + 0.25, right - 0.25), tar, ROAD)
    for x, z, wide, shade in zip(*rng.uniform((left, 4, 0.2, 0.84), (right - 2, 24, 1.8, 0.96), (4, 4)).T, strict=True):
        view.paint(strip(x, x + wide / 3), dim(tar, shade + 0.1), ROAD)  # worn tracks
        view.paint(flat(x, x + wide, z, z + 1.5 * wide), dim(tar, shade), ROAD)  # patches
    paint_markings(street)
    shade_ground(view, street.cast, street.contact)


def paint_markings(street: Street) -> None:
    """Centre line, edge lines and zebra crossing; all of them are road."""
    view, rng, (left, right) = street.view, street.rng, street.kerbs
    paint = pick(rng, ((216, 216, 212), (216, 216, 212), (218, 186, 92)))
    middle = sum(x for x, _ in street.lanes) / 2
    dashes = np.arange(rng.uniform(1, 4), 55, 5.0)
    view.paint(flat(middle - 0.09, middle + 0.09, dashes, dashes + 2.6), paint, ROAD)
    for x in (left + 0.5, right - 0.5):
        if rng.random() < 0.4:
            view.paint(strip(x - 0.06, x + 0.06), paint, ROAD)
    if street.crossing is not None:
        x = np.arange(left + 0.4, right - 0.6, 1.05)
        view.paint(flat(x, x + 0.55, street.crossing - 1.4, street.crossing + 1.4), (220, 220, 216), ROAD)


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
