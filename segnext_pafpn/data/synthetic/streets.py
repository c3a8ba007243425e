"""Street scenes with ground truth by construction: a stylised view from a car, in eight classes.

A scene is laid out in metres (see `View`) and painted from far to near. Many colours are shared between classes
on purpose - grey facade, grey road, grey sky; green car, green tree - so that a pixel can be told from its
surroundings only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np

from .texture import RGB, View, checked_rng, random_light, roughen, sensor, value_noise, vignette

STREET_CLASSES: tuple[str, ...] = ("sky", "building", "road", "pavement", "tree", "car", "person", "pole")
SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE = range(len(STREET_CLASSES))

OVERSAMPLING = 2  # canvas pixels per picture pixel
FAR = 95.0  # metres: where the street ends
POLE_WIDTH = 2.6 / 128  # of the picture's height: poles are drawn no thinner, or nobody could learn them

FACADES = ((150, 146, 140), (176, 160, 136), (132, 84, 66), (112, 88, 70), (196, 184, 160), (128, 132, 138),
           (186, 150, 116), (158, 168, 170), (206, 200, 192), (146, 118, 104), (122, 130, 112))  # fmt: skip
PAINTS = ((206, 206, 206), (34, 36, 40), (110, 114, 120), (150, 32, 30), (36, 66, 128), (44, 86, 58),
          (84, 104, 62), (168, 158, 136), (196, 168, 60), (126, 74, 46), (232, 232, 228))  # fmt: skip
CLOTHES = ((40, 44, 60), (150, 44, 40), (56, 84, 130), (96, 96, 92), (200, 190, 170), (62, 92, 66),
           (110, 76, 54), (210, 160, 60), (30, 30, 32), (140, 110, 140), (222, 222, 220))  # fmt: skip
SKINS = ((236, 196, 168), (206, 158, 124), (160, 112, 82), (104, 70, 52))
HAIRS = ((34, 28, 26), (80, 56, 36), (150, 112, 66), (150, 146, 142))
LEAVES = ((62, 92, 44), (82, 104, 50), (52, 80, 52), (108, 112, 54), (136, 104, 48))
BARKS = ((86, 68, 54), (104, 84, 66), (74, 62, 54))

# Strength of the coarse, middle and fine mottling of each class, in the order of STREET_CLASSES.
ROUGHNESS = np.array(
    [(0, 0, 0.004), (0.04, 0.02, 0.03), (0.05, 0.03, 0.05), (0.05, 0.03, 0.045),
     (0.06, 0.08, 0.10), (0.02, 0.01, 0.01), (0.02, 0.03, 0.03), (0.02, 0.02, 0.03)]
)  # fmt: skip

# Side of a car, from the tail up, over the roof and down the nose: (along, up) in metres.
SALOON = ((-2.1, 0.32), (-2.15, 0.72), (-2.05, 0.98), (-1.5, 1.02), (-0.85, 1.45), (0.35, 1.47), (1.05, 1.02),
          (1.95, 0.88), (2.1, 0.68), (2.1, 0.32))  # fmt: skip
HATCH = ((-1.85, 0.32), (-1.9, 0.72), (-1.85, 0.98), (-1.82, 1.04), (-1.45, 1.5), (0.3, 1.54), (1.0, 1.06),
         (1.75, 0.9), (1.9, 0.68), (1.9, 0.32))  # fmt: skip
VAN = ((-2.4, 0.35), (-2.42, 0.8), (-2.4, 1.1), (-2.4, 1.12), (-2.3, 2.0), (1.15, 2.02), (1.8, 1.25),
       (2.3, 1.1), (2.4, 0.75), (2.4, 0.35))  # fmt: skip
REAR_WINDOW, WINDSCREEN = 3, 5  # edges of these outlines, by the number of their first corner
WHEEL = 0.33 * np.array([(np.cos(turn), np.sin(turn) + 1) for turn in np.linspace(0, 2 * np.pi, 13)[:-1]])
RUBBER = (26, 26, 28)

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

    def throw_shadow(self, base: np.ndarray, height: float) -> None:
        """Note the shadow of something `height` metres high that stands on `base` (N, 3)."""
        right, away = self.view.light.sun
        self.cast.append(np.concatenate((base, base + (right * height, 0.0, away * height))))


def upright(x0, x1, y0, y1, z0, z1) -> np.ndarray:
    """Vertical rectangles (..., 4, 3) from (x0, z0) to (x1, z1), y0 to y1 high; arguments broadcast."""
    x0, x1, y0, y1, z0, z1 = np.broadcast_arrays(x0, x1, y0, y1, z0, z1)
    corners = np.empty((*x0.shape, 4, 3))
    corners[..., :2, 0], corners[..., 2:, 0] = x0[..., None], x1[..., None]
    corners[..., ::3, 1], corners[..., 1:3, 1] = y0[..., None], y1[..., None]
    corners[..., :2, 2], corners[..., 2:, 2] = z0[..., None], z1[..., None]
    return corners


def flat(x0, x1, z0, z1) -> np.ndarray:
    """Rectangles (..., 4, 3) on the ground; arguments broadcast."""
    return upright(x0, x1, z0, z1, 0.0, 0.0)[..., (0, 2, 1)]


def strip(x0: float, x1: float, z1: float = FAR) -> np.ndarray:
    """(24, 3) outline of a strip of ground along the street, with corners enough to follow its bend."""
    z = np.geomspace(1.0, z1, 12)
    points = np.zeros((24, 3))
    points[:12, 0], points[12:, 0] = x0, x1
    points[:12, 2], points[12:, 2] = z, z[::-1]
    return points


def pick(rng: np.random.Generator, palette: tuple[RGB, ...], spread: float = 10.0) -> RGB:
    """A colour of the palette, brighter or darker, and a little off."""
    change = rng.normal(0, spread) + rng.normal(0, 4, 3)
    return tuple((change + palette[rng.integers(len(palette))]).tolist())


# -- the still background -------------------------------------------------------------------------------------


def paint_sky(street: Street) -> None:
    """Gradient from the zenith to the horizon, and clouds that lie flat."""
    view, light = street.view, street.view.light
    height, width = view.canvas.shape[:2]
    rows = int(np.clip(view.vanishing[1] + 1, 2, height))
    fall = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None] ** 0.8
    sky = np.float32(light.zenith) * (1 - fall) + np.float32(light.horizon) * fall
    billows = sum(
        value_noise(street.rng, (rows, width), (height / down, width / across)) / weight
        for down, across, weight in ((9, 4, 1.0), (20, 10, 2.0), (48, 30, 4.0))
    )
    cover = np.clip((billows + 2.2 * light.cloud - 1.3) * 0.9, 0, 0.85)[..., None]
    cloud = np.float32(light.horizon) * 0.55 + 112 - 12 * np.clip(billows, -1, 2)[..., None]
    view.canvas[:rows, :, :3] = np.clip(sky + cover * (cloud - sky), 0, 255)
    view.canvas[:rows, :, 3] = SKY


def paint_ground(street: Street) -> None:
    """Pavement everywhere, the road on it with kerbs, gutters, joints and markings, then shadows and haze."""
    view, rng = street.view, street.rng
    (left, right), (wall_left, wall_right) = street.kerbs, street.walls
    horizon = int(np.clip(view.vanishing[1], 0, view.canvas.shape[0] - 1))
    grey = rng.uniform(84, 128)
    road = (grey + rng.normal(0, 3), grey, grey + rng.normal(2, 4))
    paving = tuple(rng.uniform(112, 160) + np.array((5.0, 0.0, -6.0)) * rng.normal(0.6, 1.0))
    darker, lighter = tuple(c * 0.84 for c in paving), tuple(c * 1.16 for c in paving)
    view.canvas[horizon:] = (*(round(c) for c in paving), PAVEMENT)
    paint_joints(street, darker)

    def lay(outline: np.ndarray, colour: RGB, cls: int) -> None:
        view.fill(view.project(outline), colour, cls)

    lay(strip(left - 0.28, right + 0.28), lighter, PAVEMENT)
    lay(strip(left, right), tuple(c * 0.8 for c in road), ROAD)
    lay(strip(left + 0.3, right - 0.3), road, ROAD)
    for x in rng.uniform(left + 1, right - 1, 3):  # worn tracks and tar seams
        lay(strip(x, x + rng.uniform(0.15, 0.6)), tuple(c * rng.uniform(0.88, 1.06) for c in road), ROAD)
    for x, z in zip(rng.uniform(left + 1, right - 2, 3), rng.uniform(4, 24, 3), strict=True):
        patch = flat(x, x + rng.uniform(0.6, 1.8), z, z + rng.uniform(0.6, 3))
        lay(patch, tuple(c * rng.uniform(0.78, 0.94) for c in road), ROAD)
    paint_markings(street)
    shade_ground(view, horizon, street.cast, street.contact)


def paint_joints(street: Street, colour: RGB) -> None:
    """Joints between the paving slabs, as far as they can be told apart."""
    z = np.arange(2.0, 26.0, street.rng.uniform(1.0, 1.8))
    for kerb, wall in zip(street.kerbs, street.walls, strict=True):
        across = flat(kerb, wall * 1.4, z, z + 0.05 + z * 0.004)
        street.view.fill(street.view.project(across), colour, PAVEMENT)
        along = strip((kerb + wall) / 2, (kerb + wall) / 2 + 0.07, 26.0)
        street.view.fill(street.view.project(along), colour, PAVEMENT)


def paint_markings(street: Street) -> None:
    """Centre line, edge lines and zebra crossing; all of them are road."""
    view, rng = street.view, street.rng
    left, right = street.kerbs
    paint = (rng.uniform(190, 225),) * 3 if rng.random() < 0.85 else (214, 180, 84)
    middle = (left + right) / 2 + rng.normal(0, 0.2)
    z = np.arange(rng.uniform(1, 4), 60, 5.0)
    view.fill(view.project(flat(middle - 0.09, middle + 0.09, z, z + 2.6)), paint, ROAD)
    for x in (left + 0.55, right - 0.55):
        if rng.random() < 0.4:
            view.fill(view.project(strip(x - 0.06, x + 0.06)), paint, ROAD)
    if street.crossing is not None:
        x = np.arange(left + 0.5, right - 0.6, 1.05)
        bars = flat(x, x + 0.55, street.crossing - 1.4, street.crossing + 1.4)
        view.fill(view.project(bars), (214, 214, 210), ROAD)


def shade_ground(view: View, horizon: int, cast: list[np.ndarray], contact: list[np.ndarray]) -> None:
    """Darken the ground where shadows lie, then fade it into the haze row by row."""
    height, width = view.canvas.shape[:2]
    # At half the canvas' resolution: the enlargement gives the shadows their soft edge.
    shade = np.full((height // 2, width // 2), 255, np.uint8)
    for outlines, value in ((cast, 255 * (1 - view.light.shadow)), (contact, 112)):
        for outline in outlines:
            corners = np.rint(view.project(outline) * 8).astype(np.int32)
            cv2.fillConvexPoly(shade, cv2.convexHull(corners), value, cv2.LINE_8, 4)
    shade = cv2.resize(cv2.blur(shade, (3, 3)), (width, height))[horizon:, :, None] / np.float32(255)
    rows = np.arange(horizon, height, dtype=np.float32)
    depth = np.minimum(view.focal * view.eye / np.maximum(rows - view.vanishing[1], 0.5), 2 * FAR)
    through = np.exp(-view.light.haze * depth, dtype=np.float32)[:, None, None]
    ground = view.canvas[horizon:, :, :3]
    ground[:] = np.clip(ground * (shade * through) + np.float32(view.light.horizon) * (1 - through), 0, 255)


def paint_skyline(street: Street) -> None:
    """What closes the street: blocks and treetops too far away for detail."""
    view, rng = street.view, street.rng
    base, unit = view.vanishing[1] + 2, view.canvas.shape[0] / 100
    x = -10.0 * unit
    while x < view.canvas.shape[1]:
        width, height = rng.uniform(5, 18) * unit, rng.uniform(2, 13) * unit
        colour, roof = view.light.seen(pick(rng, FACADES), FAR * 1.2), rng.choice((0.0, 0.0, 0.4)) * width
        outline = ((x, base), (x, base - height), (x + width / 2, base - height - roof),
                   (x + width, base - height), (x + width, base))  # fmt: skip
        view.fill(np.array(outline), colour, BUILDING)
        x += width * rng.uniform(0.8, 1.1)
    leaf = view.light.seen(pick(rng, LEAVES), FAR)
    for x in rng.uniform(0, view.canvas.shape[1], rng.integers(4, 14)):
        view.disc((x, base - 2 * unit), rng.uniform(1.5, 4) * unit, leaf, TREE)


# -- buildings ------------------------------------------------------------------------------------------------


def plan_buildings(street: Street) -> Iterator[Item]:
    """Two rows of houses, with a gap here and there; some gaps hold a tree."""
    rng = street.rng
    storeys = rng.uniform(1.6, 4.2)
    for side in (0, 1):
        wall, z = street.walls[side], 3.0
        while z < FAR:
            end = z + rng.uniform(7, 15)
            floors = int(np.clip(round(rng.normal(storeys, 0.9)), 1, 6))
            yield end, partial(paint_building, street, wall, z, end, floors)
            height = min(3.1 * floors, 10.0)
            street.throw_shadow(np.array(((wall, 0, z), (wall, 0, end))), height)
            z = end
            if rng.random() < 0.25:
                gap = rng.uniform(4, 8)
                yield z + gap, partial(paint_tree, street, wall * 1.35, z + gap / 2, rng.uniform(5, 8))
                z += gap
def paint_building(street: Street, wall: float, near: float, far: float, floors: int) -> None:
    """One house: gable towards the camera, facade along the street, roof, windows, ground floor."""
    view, rng = street.view, street.rng
    outward = 1.0 if wall > 0 else -1.0
    back, top, z = wall + outward * 9, 3.1 * floors + rng.uniform(0.4, 1.0), (near + far) / 2
    colour = pick(rng, FACADES)
    sunny = outward * view.light.sun[0] > 0
    lit, gable = (1.06, 0.86) if sunny else (0.74, 0.94)
    view.paint(upright(wall, back, 0, top, near, near), colour, BUILDING, near, gable)
    if rng.random() < 0.55:
        paint_roof(view, (wall, back, top, near), far, pick(rng, FACADES, 6))
    view.paint(upright(wall, wall, 0, top, near, far), colour, BUILDING, z, lit)
    trim = tuple(c * rng.uniform(0.7, 1.3) for c in colour)
    eaves = wall - outward * 0.3
    view.paint(upright(eaves, eaves, top - 0.25, top + 0.1, near, far), trim, BUILDING, z, lit)
    paint_windows(street, wall, near, far, floors, trim, lit)
    paint_ground_floor(street, wall, near, far, trim, lit)


def paint_roof(view: View, front: tuple[float, float, float, float], far: float, colour: RGB) -> None:
    """A pitched roof with its ridge along the street, over the gable `front`: (wall, back, top, near)."""
    wall, back, top, near = front
    ridge = ((wall + back) / 2, top + 2.6)
    eaves, peak = np.array(((wall, top, near), (wall, top, far))), np.array(((*ridge, near), (*ridge, far)))
    view.paint(np.array((eaves[0], peak[0], (back, top, near))), colour, BUILDING, near, 0.95)
    view.paint(np.concatenate((eaves, peak[::-1])), colour, BUILDING, near, 0.75)


def paint_windows(street: Street, wall: float, near: float, far: float, floors: int, trim: RGB,
                  lit: float) -> None:  # fmt: skip
    """Upper floors: a grid of framed windows, some of them lit or with the blind down."""
    view, rng = street.view, street.rng
    bays = max(2, round((far - near) / rng.uniform(2.2, 3.4)))
    pitch = (far - near) / bays
    z = near + pitch * (np.arange(bays)[:, None] + 0.5)
    sill = 3.1 * np.arange(1, floors)[None, :] + 0.8
    half, tall = pitch * rng.uniform(0.18, 0.3), rng.uniform(1.2, 1.7)
    middle = (near + far) / 2
    if floors > 1:
        frame = upright(wall, wall, sill - 0.15, sill + tall + 0.15, z - half - 0.14, z + half + 0.14)
        view.paint(frame.reshape(-1, 4, 3), trim, BUILDING, middle, lit * 1.15)
        panes = upright(wall, wall, sill, sill + tall, z - half, z + half).reshape(-1, 4, 3)
        dark = rng.random(len(panes)) < rng.uniform(0.5, 0.95)
        glass = tuple(0.35 * c + 22 for c in view.light.zenith)
        bright = (232, 206, 150) if view.light.gain[2] < 0.75 else tuple(0.8 * c for c in view.light.horizon)
        for chosen, colour in ((panes[dark], glass), (panes[~dark], bright)):
            if len(chosen):
                view.paint(chosen, colour, BUILDING, middle)


def paint_ground_floor(street: Street, wall: float, near: float, far: float, trim: RGB, lit: float) -> None:
    """A plinth, a door, and either windows or a shop front under an awning."""
    view, rng = street.view, street.rng
    middle, length = (near + far) / 2, far - near
    glass = tuple(0.3 * c + 26 for c in view.light.zenith)
    view.paint(upright(wall, wall, 0, 0.5, near, far), trim, BUILDING, middle, lit * 0.8)
    door = near + length * rng.uniform(0.1, 0.75)
    view.paint(upright(wall, wall, 0, 2.3, door, door + 1.3), pick(rng, PAINTS), BUILDING, middle, lit * 0.8)
    if rng.random() < 0.5:
        starts = np.array((near + 0.5, door + 1.7))
        ends = np.array((door - 0.4, far - 0.5))
        shop = upright(wall, wall, 0.6, 2.5, starts, ends)[ends - starts > 0.8]
        out = wall - np.sign(wall) * 0.9
        awning = np.array(((wall, 3.1, near + 0.4), (wall, 3.1, far - 0.4), (out, 2.5, far - 0.4),
                           (out, 2.5, near + 0.4)))  # fmt: skip
        view.paint(shop, glass, BUILDING, middle)
        view.paint(awning, pick(rng, CLOTHES), BUILDING, middle, lit)
    else:
        z = np.arange(near + 0.9, far - 1.2, 2.6)
        z = z[abs(z - door) > 1.5]
        view.paint(upright(wall, wall, 1.0, 2.3, z, z + 1.1), glass, BUILDING, middle)


# -- things ---------------------------------------------------------------------------------------------------


def billboard(view: View, x: float, z: float, outline: np.ndarray) -> np.ndarray:
    """Canvas pixels (..., 2) of an `outline` (..., 2) in metres, right and up from a point on the ground."""
    foot = view.project(np.array((x, 0.0, z)))
    return foot + np.asarray(outline) * (view.focal / z, -view.focal / z)


def paint_tree(street: Street, x: float, z: float, height: float) -> None:
    """Trunk with two boughs, and a crown of some forty leafy clumps: dark ones behind, sunlit ones before."""
    view, rng = street.view, street.rng
    radius = height * rng.uniform(0.24, 0.36)
    crown = np.array((rng.normal(0, 0.2), height - radius))
    scale, light = view.focal / z, view.light
    bark, leaf = pick(rng, BARKS), np.array(pick(rng, LEAVES, 6))
    girth = 0.018 * height + 0.06
    trunk = ((-1.3 * girth, 0), (-girth, crown[1] - radius / 2), (crown[0] - 0.5 * radius, crown[1]),
             (crown[0], crown[1] - 0.5 * radius), (crown[0] + 0.5 * radius, crown[1]),
             (girth, crown[1] - radius / 2), (1.3 * girth, 0))  # fmt: skip
    view.fill(billboard(view, x, z, np.array(trunk)), light.seen(bark, z), TREE)
    clumps = 42
    distance, angle = np.sqrt(rng.random(clumps)), rng.uniform(0, 2 * np.pi, clumps)
    offsets = np.stack((np.cos(angle), np.sin(angle) * rng.uniform(0.8, 1.25)), 1) * (distance * 0.8)[:, None]
    centres = billboard(view, x, z, crown + radius * offsets)
    sizes = scale * radius * np.linspace(0.42, 0.10, clumps) * rng.uniform(0.8, 1.2, clumps)
    # Clumps are small and bright towards the sun and the sky, dark underneath and away from it.
    glow = 0.28 * offsets[:, 1] - 0.2 * np.sign(light.sun[0]) * offsets[:, 0] + rng.normal(0, 0.12, clumps)
    brightness = np.linspace(0.62, 1.12, clumps) + glow
    for centre, size, shade in zip(centres.tolist(), sizes.tolist(), brightness.tolist(), strict=True):
        view.disc(centre, size, light.seen(leaf, z, shade), TREE)


def plan_trees(street: Street) -> Iterator[Item]:
    """Along one or both kerbs, at even distances."""
    view, rng = street.view, street.rng
    for side in rng.permutation(2)[: rng.choice((1, 2, 2))]:
        kerb, wall = street.kerbs[side], street.walls[side]
        x = kerb + (wall - kerb) * rng.uniform(0.2, 0.35)
        spacing, height = rng.uniform(8, 13), rng.uniform(4.2, 7.5)
        for z in np.arange(view.entry(x) + rng.uniform(0.5, 5), 60, spacing):
            tall = height * rng.uniform(0.85, 1.15)
            base = np.array(((x - 1.4, 0, z - 1), (x + 1.4, 0, z - 1), (x + 1.4, 0, z + 1), (x - 1.4, 0, z + 1)))
            right, away = view.light.sun
            street.cast.append(base + (right * tall * 0.7, 0, away * tall * 0.7))
            yield z, partial(paint_tree, street, x, z, tall)


def paint_car(street: Street, x: float, z: float, yaw: float) -> None:
    """A car at (x, z), its nose turned `yaw` radians from straight ahead: an outline drawn out across."""
    view, rng = street.view, street.rng
    along, up = np.array((SALOON, HATCH, VAN)[rng.choice(3, p=(0.4, 0.42, 0.18))]).T
    body, glass = pick(rng, PAINTS), tuple(0.3 * c + 18 for c in view.light.zenith)
    heading = np.array(((np.sin(yaw), np.cos(yaw)), (np.cos(yaw), -np.sin(yaw))))

    def place(along, across, up) -> np.ndarray:
        along, across, up = np.broadcast_arrays(along, across, up)
        ground = np.stack((along, across), -1) @ heading + (x, z)
        return view.project(np.stack((ground[..., 0], up, ground[..., 1]), -1))

    def fill(pixels: np.ndarray, colour: RGB, shade: float = 1.0) -> None:
        view.fill(pixels, view.light.seen(colour, z, shade), CAR)

    inward = 0.9 - 0.22 * np.clip((up - 0.98) / 0.5, 0, 1)  # the cabin is narrower than the body
    left, right = place(along, -inward, up), place(along, inward, up)
    axles = np.array((along[0], along[-1])) * 0.62
    for axle in axles:
        for side in (-1, 1):
            tread = place(WHEEL[:, 0] + axle, side * np.array(((0.88,), (0.62,))), WHEEL[:, 1])
            fill(cv2.convexHull(tread.reshape(-1, 2).astype(np.float32))[:, 0], RUBBER)
    # What faces the camera of a nearly convex body never overlaps: no need to sort its faces.
    bands = np.stack((left[:-1], left[1:], right[1:], right[:-1]), 1)
    facing = winding(bands) < 0
    level = abs(np.diff(along)) > abs(np.diff(up))
    for edge in np.flatnonzero(facing):
        fill(bands[edge], body, 1.12 if level[edge] else 0.9)
        if edge in (REAR_WINDOW, WINDSCREEN):
            fill(shrunk(bands[edge], 0.84), glass)
    for end, edge, lamp in ((along[0] - 0.04, 0, (190, 30, 24)), (along[-1] + 0.02, -1, (240, 236, 214))):
        if facing[edge]:
            for side in (-1, 1):
                fill(place(end, side * np.array((0.5, 0.5, 0.84, 0.84)), (0.66, 0.86, 0.86, 0.66)), lamp)
            fill(place(end, (-0.8, -0.8, 0.8, 0.8), (0.3, 0.42, 0.42, 0.3)), RUBBER)
            fill(place(end, (-0.26, -0.26, 0.26, 0.26), (0.46, 0.6, 0.6, 0.46)), (214, 214, 204))
    for side, flank in ((-1, left[::-1]), (1, right)):
        if winding(flank) < 0:
            fill(flank, body, 0.8 if side * view.light.sun[0] > 0 else 1.04)
            cabin = place(along[3:7], side * inward[3:7], up[3:7])
            fill(shrunk(cabin, 0.84), glass)
            pillar = along[4:6].mean() + np.array((-0.06, -0.06, 0.06, 0.06))
            fill(place(pillar, side * inward[(3, 4, 4, 3),], up[(3, 4, 4, 3),]), body, 0.8)
            for axle in axles:
                fill(place(WHEEL[:, 0] + axle, side * 0.9, WHEEL[:, 1]), RUBBER)
                fill(place(WHEEL[:, 0] * 0.5 + axle, side * 0.9, WHEEL[:, 1] * 0.5 + 0.17), (150, 152, 156))


def winding(polygons: np.ndarray) -> np.ndarray:
    """(..., N, 2) -> (...): twice the area, negative where the corners run anticlockwise on the canvas."""
    x, y = polygons[..., 0], polygons[..., 1]
    return (x * np.roll(y, -1, -1) - y * np.roll(x, -1, -1)).sum(-1)


def shrunk(polygon: np.ndarray, share: float) -> np.ndarray:
    """(N, 2) polygon drawn in towards its middle."""
    middle = polygon.mean(0)
    return middle + (polygon - middle) * share


def plan_cars(street: Street) -> Iterator[Item]:
    """Cars ahead, cars coming, cars at the kerb, and now and then one across the street."""
    view, rng = street.view, street.rng
    slots = [(x, z, yaw) for x, yaw in street.lanes for z in np.arange(rng.uniform(9, 14), 55, 12.0)
             if rng.random() < 0.5]  # fmt: skip
    for x in street.bays:
        yaw = rng.choice((0.0, np.pi))
        first = view.entry(x) + rng.uniform(2.2, 5)
        slots += [(x, z, yaw) for z in np.arange(first, 50, 5.8) if rng.random() < 0.65]
    blocked = [] if street.crossing is None else [street.crossing]
    if rng.random() < 0.35:
        z = (street.crossing or 9.0) + rng.uniform(4.5, 10)
        blocked.append(z)
        slots = [slot for slot in slots if abs(slot[1] - z) > 4]
        yield from plan_car(street, rng.uniform(*street.kerbs), z, rng.choice((-1, 1)) * np.pi / 2)
    for x, z, yaw in slots:
        if all(abs(z - other) > 3.8 for other in blocked):
            yield from plan_car(street, x + rng.normal(0, 0.1), z + rng.normal(0, 0.3), yaw + rng.normal(0, 0.03))


def plan_car(street: Street, x: float, z: float, yaw: float) -> Iterator[Item]:
    """One car and its shadows."""
    along = np.array((np.sin(yaw), 0, np.cos(yaw))) * 2.0
    across = np.array((np.cos(yaw), 0, -np.sin(yaw))) * 0.85
    base = np.array((x, 0, z)) + np.array((along + across, along - across, -along - across, across - along))
    street.contact.append(base)
    street.throw_shadow(base, 1.35)
    yield z, partial(paint_car, street, x, z, yaw)


def paint_person(street: Street, x: float, z: float) -> None:
    """Somebody on foot: legs, coat or jacket, arms, head, hair, sometimes a bag."""
    view, rng = street.view, street.rng
    tall = rng.uniform(1.58, 1.9)
    top, legs, skin = pick(rng, CLOTHES), pick(rng, CLOTHES), pick(rng, SKINS, 4)
    stride, swing, hem = rng.uniform(0.02, 0.15), rng.uniform(-0.06, 0.1), rng.choice((0.47, 0.47, 0.3))
    facing = rng.choice((-1, 1))

    def limb(start, end, width) -> tuple:
        (x0, y0), (x1, y1) = start, end
        return ((x0 - width, y0), (x0 + width, y0), (x1 + width, y1), (x1 - width, y1))

    def fill(outline, colour: RGB, shade: float = 1.0) -> None:
        pixels = billboard(view, x, z, np.array(outline) * (facing * tall, tall))
        view.fill(pixels, view.light.seen(colour, z, shade), PERSON)

    for side, shade in ((-1, 0.75), (1, 0.95)):
        fill(limb((side * 0.06, 0.5), (side * (0.05 + stride), 0.02), 0.055), legs, shade)
        foot = side * (0.05 + stride)
        fill(((foot - 0.05, 0), (foot - 0.05, 0.04), (foot + 0.08, 0.03), (foot + 0.08, 0)), (34, 30, 30))
    fill(limb((-0.15, 0.8), (-0.17 - swing, 0.46), 0.042), top, 0.78)
    fill(((-0.13, hem), (-0.17, 0.78), (-0.1, 0.84), (0.1, 0.84), (0.17, 0.78), (0.13, hem)), top)
    fill(limb((0.15, 0.8), (0.17 + swing, 0.46), 0.042), top, 0.86)
    if rng.random() < 0.35:
        fill(limb((0.2 + swing, 0.46), (0.2 + swing, 0.28), 0.07), pick(rng, CLOTHES))
    scale = view.focal / z * tall
    (neck, face, crown) = billboard(view, x, z, tall * np.array(((0, 0.85), (0.01 * facing, 0.91), (0, 0.94))))
    view.disc(crown, 0.082 * scale, view.light.seen(pick(rng, HAIRS, 4), z), PERSON)
    view.disc(face, 0.066 * scale, view.light.seen(skin, z), PERSON)
    view.disc(neck, 0.035 * scale, view.light.seen(skin, z, 0.85), PERSON)


def plan_people(street: Street) -> Iterator[Item]:
    """Two to six on the pavements, and up to three on the crossing."""
    view, rng = street.view, street.rng
    spots = []
    for _ in range(rng.integers(2, 7)):
        side = rng.integers(2)
        x = rng.uniform(*sorted((street.kerbs[side], street.walls[side]))) * 0.94
        spots.append((x, max(5.5, view.entry(x) * 1.1) + rng.uniform(0, 5)))
    if street.crossing is not None:
        spots += [(x, street.crossing + rng.normal(0, 0.5))
                  for x in rng.uniform(*street.kerbs, rng.integers(1, 4))]  # fmt: skip
    for x, z in spots:
        base = np.array(((x - 0.2, 0, z), (x + 0.2, 0, z)))
        street.throw_shadow(base, 1.6)
        street.contact.append(base + ((0, 0, -0.12), (0, 0, 0.12)))
        yield z, partial(paint_person, street, x, z)


def paint_pole(street: Street, x: float, z: float) -> None:
    """A street lamp, a traffic sign or a traffic light; all that the post carries belongs to it."""
    view, rng = street.view, street.rng
    kind = rng.choice(("lamp", "sign", "signal"), p=(0.5, 0.3, 0.2))
    metal = pick(rng, ((96, 100, 102), (56, 62, 60), (150, 150, 148), (70, 82, 72)))
    scale = view.focal / z
    half = max(0.11, POLE_WIDTH * view.canvas.shape[0] / scale / 2)
    height = {"lamp": rng.uniform(4.6, 6.5), "sign": rng.uniform(2.3, 2.8), "signal": 2.6}[kind]
    inward = -np.sign(x)

    def box(x0, x1, y0, y1, colour: RGB, shade: float = 1.0) -> None:
        corners = np.array(((x0, y0), (x0, y1), (x1, y1), (x1, y0)))
        view.fill(billboard(view, x, z, corners), view.light.seen(colour, z, shade), POLE)

    box(-half, half, 0, height, metal)
    box(0.0, half, 0, height, metal, 0.78)
    box(-half * 1.5, half * 1.5, 0, 0.7, metal, 0.9)
    middle = billboard(view, x, z, np.array((0.0, height)))
    if kind == "lamp":
        box(0, inward * 1.5, height - half * 1.6, height, metal)
        box(inward * 0.9, inward * 1.9, height - half * 2.4, height, tuple(c * 0.8 for c in metal))
        box(inward * 1.0, inward * 1.8, height - half * 2.4, height - half * 1.4, (240, 234, 210))
    elif kind == "signal":
        box(-0.24, 0.24, height - 0.1, height + 1.0, (30, 32, 32))
        lit = rng.integers(3)
        for row, colour in enumerate(((40, 190, 90), (230, 170, 40), (220, 40, 34))):
            spot = billboard(view, x, z, np.array((0.0, height + 0.08 + 0.36 * row)))
            view.disc(spot, 0.14 * scale, view.light.seen(colour, z, 1.0 if row == lit else 0.3), POLE)
    elif rng.random() < 0.6:
        rim = rng.choice(((190, 36, 34), (36, 76, 160)))
        view.disc(middle, 0.42 * scale, view.light.seen(tuple(rim.tolist()), z), POLE)
        view.disc(middle, 0.28 * scale, view.light.seen((228, 228, 224), z), POLE)
    else:
        box(-0.42, 0.42, height - 0.5, height + 0.35, (36, 82, 150))
        box(-0.3, 0.3, height - 0.3, height + 0.1, (226, 228, 228))


def plan_poles(street: Street) -> Iterator[Item]:
    """Posts just behind the kerbs."""
    view, rng = street.view, street.rng
    for side in (0, 1):
        x = street.kerbs[side] + (0.45 if side else -0.45)
        z = view.entry(x) * 1.08 + rng.uniform(0.5, 4)
        for _ in range(rng.integers(1, 4)):
            street.throw_shadow(np.array(((x - 0.1, 0, z), (x + 0.1, 0, z))), 4.0)
            yield z, partial(paint_pole, street, x, z)
            z += rng.uniform(3, 9)


# -- the scene ------------------------------------------------------------------------------------------------


def random_street(rng: np.random.Generator, size: tuple[int, int]) -> Street:
    """An empty street: viewpoint, light and ground plan."""
    height, width = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    view = View(
        canvas=np.zeros((height, width, 4), np.uint8),
        light=random_light(rng),
        focal=height * rng.uniform(0.85, 1.05),
        vanishing=(width * rng.uniform(0.3, 0.7), height * rng.uniform(0.38, 0.5)),
        eye=rng.uniform(1.5, 2.1),
        bend=float(np.clip(rng.normal(0, 0.0012), -0.0025, 0.0025)),
    )
    own = rng.choice((-1, 1))  # the side of the road we drive on
    parking = rng.random(2) < 0.65
    near, far = own * (1.9 + 2.1 * parking[0]), -own * (5.0 + 2.1 * parking[1])
    kerbs = (min(near, far), max(near, far))
    return Street(
        view=view,
        rng=rng,
        kerbs=kerbs,
        walls=(kerbs[0] - rng.uniform(2.4, 4.2), kerbs[1] + rng.uniform(2.4, 4.2)),
        lanes=((0.0, 0.0), (-own * 3.3, np.pi)),
        bays=tuple(x - np.sign(x) * 1.05 for x, there in ((near, parking[0]), (far, parking[1])) if there),
        crossing=rng.uniform(8.5, 15) if rng.random() < 0.5 else None,
    )


def street_scene(seed: int, size: tuple[int, int] = (128, 192)) -> tuple[np.ndarray, np.ndarray]:
    """Draw the street scene number `seed`.

    Args:
        seed: a non-negative int; the same seed and size give the same bytes.
        size: (height, width) in pixels, at least 33 each.

    Returns:
        The picture, (H, W, 3) uint8 RGB, and its mask, (H, W) uint8 of indices into `STREET_CLASSES`.

    Raises:
        ValueError: if the seed is not a non-negative int or a side is below 33 px.
    """
    rng = checked_rng(seed, size)
    street = random_street(rng, size)
    plans = (plan_buildings, plan_trees, plan_cars, plan_people, plan_poles)
    items = [item for plan in plans for item in plan(street)]  # notes the shadows too
    paint_sky(street)
    paint_ground(street)
    paint_skyline(street)
    for _, paint in sorted(items, key=lambda item: -item[0]):
        paint()
    canvas = street.view.canvas
    # pyrDown blurs a little and keeps every second pixel; the mask keeps the same ones, unblurred.
    image = cv2.pyrDown(np.ascontiguousarray(canvas[..., :3]))
    mask = np.ascontiguousarray(canvas[::OVERSAMPLING, ::OVERSAMPLING, 3])
    lit = roughen(rng, image, mask, ROUGHNESS) * np.float32(street.view.light.gain)
    lit *= vignette(mask.shape, rng.uniform(0.05, 0.3))[..., None]
    return sensor(rng, lit, shot=0.06, read=rng.uniform(1.0, 3.0)), mask
