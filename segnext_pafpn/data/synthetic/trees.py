"""Trees along the kerbs and between the houses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from segnext_pafpn.data.synthetic.camera import CutOut
from segnext_pafpn.data.synthetic.street_plan import TREE, Item, Street, flat
from segnext_pafpn.data.synthetic.texture import pick

LEAVES = ((66, 100, 46), (88, 116, 54), (54, 88, 56), (112, 122, 58), (150, 112, 50))
BARKS = ((88, 70, 56), (108, 88, 70), (76, 64, 56))


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
