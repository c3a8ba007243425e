"""Houses along the street in detail, and the skyline that closes it without."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from segnext_pafpn.data.synthetic.street_plan import BUILDING, CLOTHES, DETAIL, FAR, PAINTS, TREE, Item, Street, upright
from segnext_pafpn.data.synthetic.texture import RGB, dim, pick
from segnext_pafpn.data.synthetic.trees import LEAVES, paint_tree

# fmt: off
FACADES = ((156, 152, 146), (186, 168, 140), (142, 86, 66), (118, 92, 72), (206, 192, 162), (128, 134, 142),
           (196, 154, 116), (160, 172, 174), (214, 208, 198), (156, 118, 100), (128, 138, 116))
ROOFS = ((134, 78, 60), (92, 84, 82), (116, 96, 82), (76, 80, 88))
# fmt: on


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
        x += width * rng.uniform(0.75, 1.0)  # overlapping: no slits of sky between them
    leaf = view.light.seen(pick(rng, LEAVES), FAR)
    for x in rng.uniform(0, view.canvas.shape[1], rng.integers(4, 14)):
        view.disc(x, base - 2 * unit, rng.uniform(1.5, 4) * unit, leaf, TREE)
