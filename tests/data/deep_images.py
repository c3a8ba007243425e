"""Small data sets whose images are not 8-bit RGB, written with the encoders they come in."""

from pathlib import Path

import cv2
import numpy as np
import tifffile
import yaml
from PIL import Image

from segnext_pafpn.data.image_format import ImageFormat, parse_image_format

CLASSES = [{"name": "tissue", "color": [40, 40, 40]}, {"name": "lesion", "color": [220, 60, 60]}]
SIZE = (40, 56)


def scene(seed: int, channels: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, C) float64 of -1000 to 1000 and a mask (H, W) uint8 of the brighter region in it."""
    random = np.random.default_rng(seed)
    mask = cv2.GaussianBlur(random.normal(size=size), (0, 0), 4) > 0.02
    noise = cv2.GaussianBlur(random.normal(size=(*size, channels)), (0, 0), 1).reshape(*size, channels)
    image = 300 * noise + np.where(mask[..., None], 200 + 50 * np.arange(channels), -400)
    return image.clip(-1000, 1000), mask.astype(np.uint8)


def save_any(path: Path, image: np.ndarray) -> None:
    """Write (H, W) or (H, W, C) of any type in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".tif":
        multi = image.ndim == 3 and image.shape[2] != 3
        options = {"photometric": "minisblack", "planarconfig": "contig"} if multi else {}
        tifffile.imwrite(path, image, **options)
    elif image.ndim == 3:
        cv2.imwrite(str(path), image[..., [2, 1, 0, 3][: image.shape[2]]])
    else:
        Image.fromarray(image).save(path)


def uint16(image: np.ndarray) -> np.ndarray:
    """-1000 to 1000 as 0 to 64000."""
    return ((image + 1000) * 32).astype(np.uint16)


KINDS = {
    "png16": ({"channels": 1, "normalize": "percentile"}, ".png", lambda x: uint16(x[..., 0])),
    "rgb16": ({"channels": 3, "normalize": "zscore", "statistics": "all"}, ".png", uint16),
    "tiff16": ({"channels": 1, "window": [-160, 240]}, ".tif", lambda x: x[..., 0].astype(np.int16)),
    "tiff32": ({"channels": 2, "normalize": "ct"}, ".tif", lambda x: x.astype(np.float32)),
    "npy5": ({"channels": 5, "normalize": "zscore", "statistics": "image"}, ".npy", lambda x: x.astype(np.float32)),
}


def write_deep(root: Path, kind: str, train: int = 3, val: int = 2, **layout: object) -> Path:
    """A data set of one of ``KINDS``, or of ``files``: one 16-bit TIFF for each of two channels; its card."""
    image, suffix, encode = KINDS.get(kind, ({"channels": 2}, ".tif", uint16))
    for split, count, first in (("train", train, 0), ("val", val, 100)):
        for i in range(count):
            pixels, mask = scene(first + i, image["channels"])
            values = encode(pixels)
            if kind == "files":
                for c in range(2):
                    save_any(root / f"images/{split}/p{i}_t{c}{suffix}", values[..., c])
            else:
                save_any(root / f"images/{split}/p{i}{suffix}", values)
            save_any(root / f"masks/{split}/p{i}.png", mask)
    images = [f"images/{{split}}/{{name}}_t{c}.tif" for c in range(2)] if kind == "files" else "images/{split}"
    masks = "masks/{split}/{name}.png" if kind == "files" else "masks/{split}"
    return write_deep_card(root, image, images=images, masks=masks, **layout)


def write_deep_card(root: Path, image: dict | None, **layout: object) -> Path:
    card = {"classes": CLASSES, "root": ".", "layout": {"reader": "folder", **layout}}
    path = root / "card.yaml"
    path.write_text(yaml.safe_dump(card if image is None else {**card, "image": image}))
    return path


def form(**content: object) -> ImageFormat:
    """What a card's ``image:`` of this content means."""
    return parse_image_format(content, "card.yaml: image")
