"""A data set of several labels per pixel."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tests.training.field_runs import discs, picture_of, write_png

NAMES = ("disc", "cup", "blood vessel")
SUFFIXES = {"disc": "_d", "cup": "_c", "blood vessel": "_b"}


def write_eyes(root: Path, **changes) -> Path:
    """Discs that overlap, a file for each class; the picture v3 has no file of the last."""
    for split, count in (("train", 6), ("val", 5)):
        for i in range(count):
            layers = discs(100 * len(split) + i, (32, 48), 3)
            write_png(root / f"images/{split}/{split[0]}{i}.png", picture_of(layers, i))
            for layer, suffix in zip(layers, SUFFIXES.values(), strict=True):
                if (split, i, suffix) != ("val", 3, "_b"):
                    path = root / f"masks/{split}/{split[0]}{i}{suffix}.png"
                    write_png(path, (255 * layer).astype(np.uint8))
    content = {
        "multi_label": True,
        "classes": [{"name": name, "color": [200, 50 * k, 100]} for k, name in enumerate(NAMES)],
        "root": ".",
        "layout": {"reader": "folder", "mask_format": "files", "class_suffixes": SUFFIXES, "allow_missing": True},
        **changes,
    }
    card = root / "eyes.yaml"
    card.write_text(yaml.safe_dump(content))
    return card


def truth_of(card: Path, name: str) -> np.ndarray:
    """(3, H, W) of 0 and 1, read without the package."""
    paths = [card.parent / f"masks/val/{name}{suffix}.png" for suffix in SUFFIXES.values()]
    shape = np.array(Image.open(paths[0])).shape
    return np.stack([np.array(Image.open(p)) // 255 if p.is_file() else np.zeros(shape, np.uint8) for p in paths])
