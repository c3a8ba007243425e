"""Street scenes with ground truth by construction: a stylised view from a car, in eight classes.

A scene is laid out in metres (see `View`) and painted from far to near. Classes share colours on purpose -
grey facade, road and sky; green car and tree; brown trunk and brick - so that a pixel can only be told from
its surroundings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
from numpy.typing import ArrayLike

from .texture import (
    RGB,
    CutOut,
    View,
    checked_rng,
    dim,
    mottling,
    paint_sky,
    pick,
    random_light,
    sensor,
    shade_ground,
    vignette,
)

STREET_CLASSES: tuple[str, ...] = ("sky", "building", "road", "pavement", "tree", "car", "person", "pole")
SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE = range(len(STREET_CLASSES))

OVERSAMPLING = 2  # canvas pixels per picture pixel
WHEEL = 0.33  # metres: radius of a car's wheels
FAR = 80.0  # metres: where the street ends
DETAIL = 36.0  # metres: what is farther gets no detail, and is not worth a shadow
POLE_WIDTH = 2.6 / 128  # of the picture's height: poles are drawn no thinner, or nobody could learn them

# fmt: off
FACADES = ((156, 152, 146), (186, 168, 140), (142, 86, 66), (118, 92, 72), (206, 192, 162), (128, 134, 142),
           (196, 154, 116), (160, 172, 174), (214, 208, 198), (156, 118, 100), (128, 138, 116))
ROOFS = ((134, 78, 60), (92, 84, 82), (116, 96, 82), (76, 80, 88))
PAINTS = ((206, 206, 206), (36, 38, 42), (116, 120, 126), (166, 34, 30), (38, 72, 140), (46, 92, 60),
          (88, 110, 64), (172, 162, 138), (204, 172, 56), (132, 78, 46), (234, 234, 230))
CLOTHES = ((44, 48, 66), (164, 46, 42), (58, 90, 144), (100, 100, 96), (204, 194, 172), (64, 98, 68),
           (118, 80, 56), (216, 164, 60), (32, 32, 36), (146, 112, 146), (224, 224, 222))
SKINS = ((236, 196, 168), (206, 158, 124), (160, 112, 82), (104, 70, 52))
HAIRS = ((34, 28, 26), (80, 56, 36), (150, 112, 66), (150, 146, 142))
LEAVES = ((66, 100, 46), (88, 116, 54), (54, 88, 56), (112, 122, 58), (150, 112, 50))
BARKS = ((88, 70, 56), (108, 88, 70), (76, 64, 56))
METALS = ((96, 100, 102), (56, 62, 60), (150, 150, 148), (70, 82, 72))

# Strength of the coarse, middle and fine mottling of each class.
ROUGHNESS = np.array([(0, 0, 0.004), (0.04, 0.02, 0.02), (0.05, 0.025, 0.03), (0.05, 0.025, 0.03),
                      (0.06, 0.08, 0.09), (0.02, 0.01, 0.01), (0.02, 0.03, 0.02), (0.02, 0.02, 0.02)])

# Side of a car, from the tail up, over the roof and down the nose: (along, up) in metres.
SALOON = ((-2.1, 0.3), (-2.15, 0.72), (-2.05, 0.98), (-1.5, 1.02), (-0.85, 1.45), (0.35, 1.47), (1.05, 1.02),
          (1.95, 0.88), (2.1, 0.68), (2.1, 0.3))
HATCH = ((-1.85, 0.3), (-1.9, 0.72), (-1.85, 0.98), (-1.82, 1.04), (-1.45, 1.5), (0.3, 1.54), (1.0, 1.06),
         (1.75, 0.9), (1.9, 0.68), (1.9, 0.3))
VAN = ((-2.4, 0.32), (-2.42, 0.8), (-2.4, 1.1), (-2.4, 1.12), (-2.3, 2.0), (1.15, 2.02), (1.8, 1.25),
       (2.3, 1.1), (2.4, 0.75), (2.4, 0.32))
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


# -- ground and background ---------------------------------------------------------------------------------


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
    for x, z, wide, shade in zip(*rng.uniform((left, 4, 0.2, 0.84), (right - 2, 24, 1.8, 0.96), (4, 4)).T,
                                 strict=True):
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


def paint_skyline(street: Street) -> None:
    """What closes the street: blocks and treetops too far away for detail."""
    view, rng = street.view, street.rng
    base, unit = view.vanishing[1] + 2, view.canvas.shape[0] / 100
    x = -10.0 * unit
    while x < view.canvas.shape[1]:
        width, height = rng.uniform(5, 18) * unit, rng.uniform(2, 13) * unit
        peak = base - height - rng.choice((0.0, 0.0, 0.4)) * width
        across = (x, x, x + width / 2, x + width, x + width)
        down = (base, base - height, peak, base - height, base)
        view.fill(np.stack((across, down), 1), view.light.seen(pick(rng, FACADES), FAR * 1.2), BUILDING)
        x += width * rng.uniform(0.8, 1.1)
    leaf = view.light.seen(pick(rng, LEAVES), FAR)
    for x in rng.uniform(0, view.canvas.shape[1], rng.integers(4, 14)):
        view.disc(x, base - 2 * unit, rng.uniform(1.5, 4) * unit, leaf, TREE)


# -- buildings ---------------------------------------------------------------------------------------------


def plan_buildings(street: Street) -> Iterator[Item]:
    """Two rows of houses, with a gap here and there; a gap holds a tree."""
    rng, storeys = street.rng, street.rng.uniform(1.6, 4.2)
    for wall in street.walls:
        z = 3.0
        while z < FAR:
            end, floors = z + rng.uniform(7, 15), min(6, max(1, round(rng.normal(storeys, 0.9))))
            yield end, partial(paint_building, street, wall, z, end, floors)
            street.throw_shadow(np.array(((wall, 0, z), (wall, 0, end))), 0, min(3 * storeys, 6.5))
            z = end
            if rng.random() < 0.25:
                gap = rng.uniform(4, 8)
                yield z + gap, partial(paint_tree, street, wall * 1.35, z + gap / 2, rng.uniform(5, 8))
                z += gap


def paint_building(street: Street, wall: float, near: float, far: float, floors: int) -> None:
    """One house: gable towards the camera, roof, facade along the street with its windows, ground floor."""
    view, rng, middle = street.view, street.rng, (near + far) / 2
    outward = 1 if wall > 0 else -1
    back, top = wall + outward * 9, 3.1 * floors + rng.uniform(0.4, 1.0)
    colour, lit = pick(rng, FACADES), 1.06 if outward * view.light.sun[0] > 0 else 0.76
    trim = dim(colour, rng.choice((0.72, 1.22)))
    view.paint(upright(wall, 0, top, near, near, back), colour, BUILDING, near, 0.9)
    if rng.random() < 0.55:
        x, y = (wall + back) / 2, top + 2.6
        gable = np.array(((wall, top, near), (x, y, near), (back, top, near)))
        slope = np.array(((wall, top, near), (x, y, near), (x, y, far), (wall, top, far)))
        view.paint(gable, colour, BUILDING, near, 0.9)
        view.paint(slope, pick(rng, ROOFS), BUILDING, middle, lit)
    view.paint(upright(wall, 0, top, near, far), colour, BUILDING, middle, lit)
    view.paint(upright(wall - outward * 0.3, top - 0.3, top + 0.1, near, far), trim, BUILDING, middle, lit)
    if floors > 1:
        paint_windows(street, wall, near, far, floors, dim(trim, lit))
    if near < DETAIL:
        paint_ground_floor(street, wall, near, far, dim(trim, lit))


def paint_windows(street: Street, wall: float, near: float, far: float, floors: int, trim: RGB) -> None:
    """The upper floors' grid of framed windows; some are lit, or have the blind down."""
    view, rng, middle = street.view, street.rng, (near + far) / 2
    bays = max(2, round((far - near) / rng.uniform(2.2, 3.4)))
    pitch = (far - near) / bays
    z = near + pitch * (np.arange(bays)[:, None] + 0.5)
    sill = 3.1 * np.arange(1, floors) + 0.8
    half, tall = pitch * rng.uniform(0.18, 0.3), rng.uniform(1.2, 1.7)
    if near < DETAIL:
        frames = upright(wall, sill - 0.18, sill + tall + 0.18, z - half - 0.16, z + half + 0.16)
        view.paint(frames.reshape(-1, 4, 3), trim, BUILDING, middle)
    panes = upright(wall, sill, sill + tall, z - half, z + half).reshape(-1, 4, 3)
    dark = rng.random(len(panes)) < rng.uniform(0.5, 0.95)
    evening = view.light.gain[0] > 1.2 * view.light.gain[2]
    bright = (250, 214, 140) if evening else dim(view.light.horizon, 0.8)
    view.paint(panes[dark], dim(view.light.zenith, 0.35, 22), BUILDING, middle)
    view.paint(panes[~dark], bright, BUILDING, middle)


def paint_ground_floor(street: Street, wall: float, near: float, far: float, trim: RGB) -> None:
    """A plinth, a door, and either windows or a shop front under an awning."""
    view, rng, middle = street.view, street.rng, (near + far) / 2
    glass = dim(view.light.zenith, 0.3, 26)
    door = near + (far - near) * rng.uniform(0.15, 0.75)
    view.paint(upright(wall, 0, 0.5, near, far), trim, BUILDING, middle, 0.8)
    view.paint(upright(wall, 0, 2.3, door, door + 1.3), pick(rng, PAINTS), BUILDING, middle, 0.8)
    if rng.random() < 0.5:
        front = upright(wall, 0.6, 2.5, np.array((near + 0.4, door + 1.6)), np.array((door - 0.3, far - 0.4)))
        view.paint(front, glass, BUILDING, middle)
        awning = upright(wall, 3.1, 3.1, near + 0.4, far - 0.4)
        awning[(0, 3), :2] = wall - np.sign(wall) * 0.9, 2.5
        view.paint(awning, pick(rng, CLOTHES), BUILDING, middle)
    else:
        z = np.arange(near + 0.9, far - 1.2, 2.6)
        view.paint(upright(wall, 1.0, 2.3, z, z + 1.1)[abs(z - door) > 1.5], glass, BUILDING, middle)


# -- trees -------------------------------------------------------------------------------------------------


def plan_trees(street: Street) -> Iterator[Item]:
    """Along one or both kerbs, at even distances."""
    view, rng = street.view, street.rng
    for side in rng.permutation(2)[: rng.choice((1, 2, 2))]:
        kerb, wall = street.kerbs[side], street.walls[side]
        x = kerb + (wall - kerb) * rng.uniform(0.2, 0.35)
        height = rng.uniform(4.2, 7.5)
        for z in np.arange(view.entry(x) + rng.uniform(0.5, 5), 50, rng.uniform(8, 13)):
            tall = height * rng.uniform(0.85, 1.15)
            crown = flat(x - 0.2 * tall, x + 0.2 * tall, z - 0.2 * tall, z + 0.2 * tall)
            street.throw_shadow(crown, 0.6 * tall, 0.8 * tall)
            street.throw_shadow(flat(x - 0.1, x + 0.1, z, z), 0, 0.6 * tall)
            yield z, partial(paint_tree, street, x, z, tall)


def paint_tree(street: Street, x: float, z: float, height: float) -> None:
    """Forked trunk, and a crown of leafy clumps: large dark ones behind, small sunlit ones before."""
    view, rng = street.view, street.rng
    tree = CutOut(view, TREE, x, z)
    radius = height * rng.uniform(0.24, 0.36)
    middle, girth = height - radius, 0.018 * height + 0.06
    fork = middle - radius / 2
    across = np.array((-1.3 * girth, -girth, -radius / 2, 0, radius / 2, girth, 1.3 * girth))
    trunk = np.stack((across, (0, fork, middle, fork + girth, middle, fork, 0)), 1)
    bark, leaf = pick(rng, BARKS), pick(rng, LEAVES, 6)
    tree.fill(trunk, bark, 0.9)
    clumps = int(np.clip(tree.scale * radius, 14, 160))
    angle, distance = rng.uniform(0, 2 * np.pi, clumps), np.sqrt(rng.uniform(0, 0.64, clumps))
    right, above = np.cos(angle) * distance, np.sin(angle) * distance * rng.uniform(0.8, 1.25)
    size = np.linspace(0.4, 0.1, clumps) * rng.uniform(0.8, 1.2, clumps)
    glow = 0.28 * above - 0.2 * np.sign(view.light.sun[0]) * right + rng.normal(0, 0.1, clumps)
    shade = np.linspace(0.66, 1.16, clumps) + glow  # brighter towards the sun and the sky
    for clump in zip(right * radius, above * radius + middle, size * radius, shade, strict=True):
        across, up, clump_radius, brightness = map(float, clump)
        tree.disc(across, up, clump_radius, leaf, brightness)


# -- cars --------------------------------------------------------------------------------------------------

Face = tuple[int | None, str, np.ndarray, float]  # side it lies on (None: any), colour, corners, shade


def car_model(side_view: tuple[tuple[float, float], ...]) -> list[Face]:
    """Faces of a car, its corners in metres (across, up, along), in the order to draw them.

    The sides are numbered: the bands over the car, from tail to nose, then the left and the right flank. The
    first face of a side is the sheet metal, and what follows lies upon it.
    """
    along, up = np.array(side_view).T
    half = 0.9 - 0.22 * np.clip((up - 0.98) / 0.5, 0, 1)  # the cabin is narrower than the body
    left, right = (np.stack((sign * half, up, along), 1) for sign in (-1, 1))
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rim = np.stack((0 * turn, np.sin(turn), np.cos(turn)), 1)
    axles = [np.array((0, WHEEL, end)) for end in (along[0] * 0.62, along[-1] * 0.62)]
    ends = ((0, along[0] - 0.04, "rear"), (len(up) - 2, along[-1] + 0.02, "front"))

    faces: list[Face] = []
    for axle in axles:
        for sign in (-1, 1):
            tread = [rim * WHEEL + axle + (sign * across, 0, 0) for across in (0.88, 0.62)]
            faces.append((None, "rubber", np.concatenate(tread), 1.0))
    for band in range(len(up) - 1):
        sheet = np.array((left[band], left[band + 1], right[band + 1], right[band]))
        level = abs(along[band + 1] - along[band]) > abs(up[band + 1] - up[band])
        faces.append((band, "body", sheet, 1.14 if level else 0.96))
        if band in (3, 5):  # rear window and windscreen
            faces.append((band, "glass", shrunk(sheet, 0.84), 1.0))
    for band, end, lamp in ends:
        fittings = ((-0.84, -0.5, 0.66, 0.86, lamp), (0.5, 0.84, 0.66, 0.86, lamp),
                    (-0.82, 0.82, 0.3, 0.42, "rubber"), (-0.26, 0.26, 0.46, 0.6, "plate"))  # fmt: skip
        for x0, x1, y0, y1, paint in fittings:
            faces.append((band, paint, upright(x0, y0, y1, end, end, x1), 1.0))
    for number, sign, flank in ((len(up) - 1, -1, left[::-1]), (len(up), 1, right)):
        cabin = (left if sign < 0 else right)[3:7]
        middle = along[4:6].mean()
        post = upright(sign * 0.8, up[3], up[4] - 0.05, middle - 0.05, middle + 0.05)
        faces.append((number, "body", flank, 0.8))
        faces.append((number, "glass", shrunk(cabin, 0.82), 1.0))
        faces.append((number, "body", post, 0.8))
        for axle in axles:
            faces.append((number, "rubber", rim * WHEEL + axle + (sign * 0.9, 0, 0), 1.0))
            faces.append((number, "hub", rim * WHEEL * 0.55 + axle + (sign * 0.9, 0, 0), 1.0))
    return faces


def shrunk(polygon: np.ndarray, share: float) -> np.ndarray:
    """(N, D) polygon drawn in towards its middle."""
    return polygon.mean(0) + (polygon - polygon.mean(0)) * share


CAR_MODELS = tuple(map(car_model, (SALOON, HATCH, VAN)))
CAR_COLOURS: dict[str, RGB] = {"rubber": (28, 28, 30), "rear": (190, 30, 24), "front": (240, 236, 214),
                               "plate": (214, 214, 204), "hub": (150, 152, 156)}


def paint_car(street: Street, x: float, z: float, yaw: float) -> None:
    """A car at (x, z), its nose turned `yaw` radians to the right from straight ahead."""
    view, rng = street.view, street.rng
    model = CAR_MODELS[rng.choice(3, p=(0.4, 0.42, 0.18))]
    colours = {**CAR_COLOURS, "body": pick(rng, PAINTS), "glass": dim(view.light.zenith, 0.3, 18)}
    turn = np.array(((np.cos(yaw), 0, -np.sin(yaw)), (0, 1, 0), (np.sin(yaw), 0, np.cos(yaw))))
    corners = np.concatenate([corners for _, _, corners, _ in model]) @ turn + (x, 0, z)
    pixels, start = view.project(corners).astype(np.float32), 0
    facing: dict[int, bool] = {}
    for side, paint, corners, shade in model:
        outline = pixels[start : start + len(corners)]
        start += len(corners)
        if side is None:
            outline = cv2.convexHull(outline)[:, 0]
        elif side not in facing:  # its sheet metal: seen from outside, the corners run this way round
            facing[side] = cv2.contourArea(outline, oriented=True) > 0
        if side is None or facing[side]:
            view.fill(outline, view.light.seen(colours[paint], z, shade), CAR)


def plan_cars(street: Street) -> Iterator[Item]:
    """Cars ahead, cars coming, cars at the kerb, and now and then one across the street."""
    view, rng, crossing = street.view, street.rng, street.crossing
    slots = [(x, z, yaw) for x, yaw in street.lanes for z in np.arange(rng.uniform(9, 14), 50, 12.0)
             if rng.random() < 0.5]
    for x in street.bays:
        yaw, first = rng.choice((0.0, np.pi)), view.entry(x) + rng.uniform(2.2, 5)
        slots += [(x, z, yaw) for z in np.arange(first, 38, 5.8) if rng.random() < 0.6]
    slots = [slot for slot in slots if crossing is None or abs(slot[1] - crossing) > 3.8]
    if rng.random() < 0.35 or len(slots) < 2:
        side_road = (crossing or 9.0) + rng.uniform(4.5, 10)
        slots = [slot for slot in slots if abs(slot[1] - side_road) > 3.5]
        slots.append((rng.uniform(*street.kerbs), side_road, rng.choice((-1, 1)) * np.pi / 2))
    for slot in slots:
        x, z, yaw = slot + rng.normal(0, (0.1, 0.3, 0.03))  # nobody parks that well
        ahead, aside = (np.array((np.sin(turn), 0, np.cos(turn))) for turn in (yaw, yaw + np.pi / 2))
        base = np.array([(x, 0, z) + a * 2.0 * ahead + b * 0.85 * aside for a in (-1, 1) for b in (-1, 1)])
        street.contact.append(base)
        street.throw_shadow(base, 0, 1.35)
        yield z, partial(paint_car, street, x, z, yaw)


# -- people and poles --------------------------------------------------------------------------------------


def plan_people(street: Street) -> Iterator[Item]:
    """Two to six on the pavements, and up to three on the crossing."""
    view, rng = street.view, street.rng
    spots = []
    for side in rng.integers(2, size=rng.integers(2, 7)):
        x = street.kerbs[side] + (street.walls[side] - street.kerbs[side]) * rng.uniform(0.15, 0.8)
        spots.append((x, max(5.5, view.entry(x) * 1.1) + rng.uniform(0, 4.5)))
    if street.crossing is not None:
        walkers = rng.uniform(*street.kerbs, rng.integers(1, 4))
        spots += [(x, street.crossing + rng.normal(0, 0.5)) for x in walkers]
    for x, z in spots:
        street.throw_shadow(flat(x - 0.2, x + 0.2, z, z), 0, 1.6)
        street.contact.append(flat(x - 0.25, x + 0.25, z - 0.12, z + 0.12))
        yield z, partial(paint_person, street, x, z)


def paint_person(street: Street, x: float, z: float) -> None:
    """Somebody on foot: legs, jacket or coat, arms, head and hair, sometimes a bag."""
    rng, person = street.rng, CutOut(street.view, PERSON, x, z)
    tall = rng.uniform(1.58, 1.9)
    way = rng.choice((-tall, tall))  # which way the feet point, and the scale of the outlines
    top, legs, skin, hair = (pick(rng, palette, 5) for palette in (CLOTHES, CLOTHES, SKINS, HAIRS))
    stride, swing = rng.uniform(0.01, 0.11), rng.uniform(-0.04, 0.09)

    def limb(x0: float, y0: float, x1: float, y1: float, half: float, colour: RGB, shade: float) -> None:
        corners = ((x0 - half, y0), (x0 + half, y0), (x1 + half, y1), (x1 - half, y1))
        person.fill(np.array(corners) * (way, tall), colour, shade)

    for foot, shade in ((-0.055 - stride, 0.78), (0.055 + stride, 0.96)):
        limb(0.4 * foot, 0.52, foot, 0.02, 0.055, legs, shade)
        limb(foot + 0.02, 0.03, foot + 0.03, 0.0, 0.07, (34, 30, 30), 1.0)
    limb(-0.15, 0.8, -0.18 - swing, 0.46, 0.042, top, 0.78)
    hem = rng.choice((0.47, 0.47, 0.3))
    torso = ((-0.13, hem), (-0.17, 0.78), (-0.1, 0.84), (0.1, 0.84), (0.17, 0.78), (0.13, hem))
    person.fill(np.array(torso) * (way, tall), top)
    limb(0.15, 0.8, 0.18 + swing, 0.46, 0.042, top, 0.86)
    if rng.random() < 0.35:
        limb(0.2 + swing, 0.47, 0.2 + swing, 0.28, 0.07, pick(rng, CLOTHES), 1.0)
    person.disc(0, 0.94 * tall, 0.08 * tall, hair)
    person.disc(0.012 * way, 0.91 * tall, 0.066 * tall, skin)


def plan_poles(street: Street) -> Iterator[Item]:
    """Posts just behind the kerbs."""
    view, rng = street.view, street.rng
    for kerb in street.kerbs:
        x = kerb + np.sign(kerb) * 0.45
        z = max(6.0, view.entry(x) * 1.08) + rng.uniform(0, 4)
        for _ in range(rng.integers(1, 4)):
            street.throw_shadow(flat(x - 0.1, x + 0.1, z, z), 0, 4.0)
            yield z, partial(paint_pole, street, x, z)
            z += rng.uniform(3, 9)


def paint_pole(street: Street, x: float, z: float) -> None:
    """A street lamp, a traffic light or a traffic sign; all that the post carries belongs to it."""
    rng, pole = street.rng, CutOut(street.view, POLE, x, z)
    metal, kind = pick(rng, METALS), rng.choice(("lamp", "signal", "disc", "board"), p=(0.5, 0.2, 0.18, 0.12))
    half = max(0.085, POLE_WIDTH * street.view.canvas.shape[0] / pole.scale / 2)
    top = rng.uniform(4.6, 6.5) if kind == "lamp" else rng.uniform(2.3, 2.8)
    pole.box((-half, half), (0, top), metal)
    pole.box((0, half), (0, top), metal, 0.78)
    pole.box((-half * 1.5, half * 1.5), (0, 0.7), metal, 0.9)
    if kind == "lamp":
        reach, thick = (-1 if x > 0 else 1), 1.7 * half
        pole.box((-reach * half, reach * 1.2), (top - thick, top), metal)
        pole.box((reach * 0.9, reach * 1.9), (top - 1.4 * thick, top), metal, 0.8)
        pole.box((reach * 1.0, reach * 1.8), (top - 1.4 * thick, top - 0.7 * thick), (244, 236, 208))
    elif kind == "signal":
        pole.box((-0.24, 0.24), (top - 0.1, top + 1.0), (30, 32, 32))
        lit = rng.integers(3)
        for lamp, colour in enumerate(((40, 200, 90), (240, 176, 40), (230, 40, 34))):
            pole.disc(0, top + 0.08 + 0.36 * lamp, 0.14, colour, 1.0 if lamp == lit else 0.3)
    elif kind == "disc":
        pole.disc(0, top, 0.42, (196, 36, 34) if rng.random() < 0.6 else (36, 80, 168))
        pole.disc(0, top, 0.28, (228, 228, 224))
    else:
        pole.box((-0.42, 0.42), (top - 0.5, top + 0.35), (36, 84, 160))
        pole.box((-0.3, 0.3), (top - 0.3, top + 0.1), (226, 228, 228))


# -- the scene ---------------------------------------------------------------------------------------------


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
    items = [item for plan in plans for item in plan(street)]  # notes their shadows too
    paint_sky(street.view, rng, SKY)
    paint_ground(street)
    paint_skyline(street)
    for _, paint in sorted(items, key=lambda item: -item[0]):
        paint()
    canvas = street.view.canvas
    # pyrDown blurs a little and keeps every second pixel; the mask keeps the same ones, unblurred.
    image = cv2.pyrDown(cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB))
    mask = np.ascontiguousarray(canvas[::OVERSAMPLING, ::OVERSAMPLING, 3])
    lighting = mottling(rng, mask, ROUGHNESS) * vignette(size, rng.uniform(0.05, 0.3))
    lit = image * cv2.merge([lighting * np.float32(gain) for gain in street.view.light.gain])
    return sensor(rng, lit, shot=0.06, read=rng.uniform(1.0, 2.5)), mask
