"""Cars: solid models in metres, of which the faces turned to the camera are painted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np

from segnext_pafpn.data.synthetic.street_plan import CAR, PAINTS, Item, Street, upright
from segnext_pafpn.data.synthetic.texture import RGB, dim, pick

WHEEL = 0.33  # metres: radius of a car's wheels

# fmt: off
# Side of a car, from the tail up, over the roof and down the nose: (along, up) in metres.
SALOON = ((-2.1, 0.3), (-2.15, 0.72), (-2.05, 0.98), (-1.5, 1.02), (-0.85, 1.45), (0.35, 1.47), (1.05, 1.02),
          (1.95, 0.88), (2.1, 0.68), (2.1, 0.3))
HATCH = ((-1.85, 0.3), (-1.9, 0.72), (-1.85, 0.98), (-1.82, 1.04), (-1.45, 1.5), (0.3, 1.54), (1.0, 1.06),
         (1.75, 0.9), (1.9, 0.68), (1.9, 0.3))
VAN = ((-2.4, 0.32), (-2.42, 0.8), (-2.4, 1.1), (-2.4, 1.12), (-2.3, 2.0), (1.15, 2.02), (1.8, 1.25),
       (2.3, 1.1), (2.4, 0.75), (2.4, 0.32))
# fmt: on

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
CAR_COLOURS: dict[str, RGB] = {
    "rubber": (28, 28, 30),
    "rear": (190, 30, 24),
    "front": (240, 236, 214),
    "plate": (214, 214, 204),
    "hub": (150, 152, 156),
}


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
    slots = [
        (x, z, yaw) for x, yaw in street.lanes for z in np.arange(rng.uniform(9, 14), 50, 12.0) if rng.random() < 0.5
    ]
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
