"""The light of an outdoor scene: sky, sun and shadow, haze, colour temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from segnext_pafpn.data.synthetic.texture import RGB


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
