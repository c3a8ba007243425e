"""Street scenes with ground truth by construction: a stylised view from a car, in eight classes.

A scene is laid out in metres (see `Street`) and painted from far to near. Classes share colours on purpose -
grey facade, road and sky; green car and tree; brown trunk and brick - so that a pixel can only be told from
its surroundings.
"""

from __future__ import annotations

import cv2
import numpy as np

from segnext_pafpn.data.synthetic.buildings import paint_skyline, plan_buildings
from segnext_pafpn.data.synthetic.cars import plan_cars
from segnext_pafpn.data.synthetic.people_and_poles import plan_people, plan_poles
from segnext_pafpn.data.synthetic.sky_and_ground import paint_ground, paint_sky
from segnext_pafpn.data.synthetic.street_plan import OVERSAMPLING, random_street
from segnext_pafpn.data.synthetic.texture import checked_rng, mottling, sensor, vignette
from segnext_pafpn.data.synthetic.trees import plan_trees

# fmt: off
# Strength of the coarse, middle and fine mottling of each class.
ROUGHNESS = np.array([(0, 0, 0.004), (0.04, 0.02, 0.02), (0.05, 0.025, 0.03), (0.05, 0.025, 0.03),
                      (0.06, 0.08, 0.09), (0.02, 0.01, 0.01), (0.02, 0.03, 0.02), (0.02, 0.02, 0.02)])
# fmt: on


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
    paint_sky(street.view, rng)
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
