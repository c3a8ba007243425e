"""People, and posts with the lamps, lights and signs they carry."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from segnext_pafpn.data.synthetic.camera import CutOut
from segnext_pafpn.data.synthetic.street_plan import CLOTHES, PERSON, POLE, Item, Street, flat
from segnext_pafpn.data.synthetic.texture import RGB, pick

SKINS = ((236, 196, 168), (206, 158, 124), (160, 112, 82), (104, 70, 52))
HAIRS = ((34, 28, 26), (80, 56, 36), (150, 112, 66), (150, 146, 142))
METALS = ((96, 100, 102), (56, 62, 60), (150, 150, 148), (70, 82, 72))

POLE_WIDTH = 3.6 / 128  # of the picture's height: poles are drawn no thinner, or nobody could learn them


def plan_people(street: Street) -> Iterator[Item]:
    """Two to six on the pavements, and up to three on the crossing."""
    view, rng = street.view, street.rng
    spots = []
    for side in rng.integers(2, size=rng.integers(2, 7)):
        x = street.kerbs[side] + (street.walls[side] - street.kerbs[side]) * rng.uniform(0.15, 0.8)
        spots.append((x, max(4.5, view.entry(x) * 1.1) + rng.uniform(0, 3)))
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
        z = max(5.0, view.entry(x) * 1.08) + rng.uniform(0, 3)
        for _ in range(rng.integers(1, 4)):
            street.throw_shadow(flat(x - 0.1, x + 0.1, z, z), 0, 4.0)
            yield z, partial(paint_pole, street, x, z)
            z += rng.uniform(3, 7)


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
