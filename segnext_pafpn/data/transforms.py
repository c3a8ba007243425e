"""Albumentations pipelines. The only file that knows albumentations."""

import os
from collections.abc import Callable
from functools import partial

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its newest version

import albumentations as A
import cv2
import numpy as np

from segnext_pafpn.data.config import AugmentConfig
from segnext_pafpn.data.focus import lay_around, pick_pixel
from segnext_pafpn.data.jitter import add_noise, blur_values, jitter_values
from segnext_pafpn.ids import IGNORE_INDEX

Transform = A.Compose


def _resize(image_size: tuple[int, int] | None) -> list[A.BasicTransform]:
    if image_size is None:
        return []
    height, width = image_size
    return [A.Resize(height, width, interpolation=cv2.INTER_AREA, mask_interpolation=cv2.INTER_NEAREST)]


def train_transform(
    config: AugmentConfig,
    crop_size: tuple[int, int],
    image_size: tuple[int, int] | None = None,
    rgb8: bool = True,
    focus: tuple[float, np.ndarray] | None = None,
) -> A.Compose:
    """Resize (optional), zoom, crop to ``crop_size`` (height, width), flip, colours.

    What lies outside the picture after zooming out is 0 (black), and ignored in the mask.

    Args:
        rgb8: images are 8-bit RGB; else normalised floats of any number of channels.
        focus: share of the crops to lay around a class, and the odds of the classes (K,); None to crop anywhere.
    """
    height, width = crop_size
    low, high = config.scale
    steps = [
        *_resize(image_size),
        A.RandomScale((low - 1, high - 1), interpolation=cv2.INTER_LINEAR, mask_interpolation=cv2.INTER_NEAREST, p=1)
        if (low, high) != (1, 1)
        else None,
        # before the crop: a turned crop would have its sides exchanged
        A.RandomRotate90(p=config.rotate90) if config.rotate90 else None,
        A.PadIfNeeded(height, width, border_mode=cv2.BORDER_CONSTANT, fill=0, fill_mask=IGNORE_INDEX),
        A.RandomCrop(height, width) if focus is None else _FocusedCrop(height, width, *focus),
        A.HorizontalFlip(p=config.horizontal_flip) if config.horizontal_flip else None,
        A.VerticalFlip(p=config.vertical_flip) if config.vertical_flip else None,
        *(_rgb_steps(config) if rgb8 else _value_steps(config)),
    ]
    return A.Compose([step for step in steps if step is not None])


def _rgb_steps(config: AugmentConfig) -> list[A.BasicTransform | None]:
    return [
        _color_jitter(config.color) if config.color else None,
        A.GaussianBlur(blur_limit=(3, 5), p=config.blur) if config.blur else None,
        A.GaussNoise(std_range=(0.0, 0.05), p=config.noise) if config.noise else None,
    ]


def _value_steps(config: AugmentConfig) -> list[A.BasicTransform | None]:
    """Albumentations' own would cut floats to 0..1."""
    return [
        _Values(partial(jitter_values, strength=config.color), p=0.8) if config.color else None,
        _Values(blur_values, p=config.blur) if config.blur else None,
        _Values(add_noise, p=config.noise) if config.noise else None,
    ]


class _FocusedCrop(A.RandomCrop):
    """A random crop that, with a probability, is laid around a pixel of a class; see ``data/focus.py``."""

    def __init__(self, height: int, width: int, probability: float, odds: np.ndarray):
        super().__init__(height, width)
        self.probability = probability
        self.odds = odds

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        random = self.py_random
        if random.random() >= self.probability:
            return super().get_params_dependent_on_data(params, data)
        pixel = pick_pixel(np.stack(data["masks"]) if "masks" in data else data["mask"], self.odds, random)
        if pixel is None:
            return super().get_params_dependent_on_data(params, data)
        height, width = params["shape"][:2]
        top = lay_around(pixel[0], self.height, height, random)
        left = lay_around(pixel[1], self.width, width, random)
        return {"crop_coords": (left, top, left + self.width, top + self.height), "pad_params": None}


class _Values(A.ImageOnlyTransform):
    """A change of an image (H, W, C) float32 by a function of it and a random generator."""

    def __init__(self, change: Callable[[np.ndarray, np.random.Generator], np.ndarray], p: float):
        super().__init__(p=p)
        self.change = change

    def apply(self, img: np.ndarray, **parameters: object) -> np.ndarray:
        return self.change(img, self.random_generator)


def _color_jitter(strength: float) -> A.ColorJitter:
    around_one = (max(0.0, 1 - strength), 1 + strength)
    hue = min(0.5, 0.1 * strength)
    return A.ColorJitter(brightness=around_one, contrast=around_one, saturation=around_one, hue=(-hue, hue), p=0.8)


def eval_transform(image_size: tuple[int, int] | None = None) -> A.Compose:
    """Resize (optional) and nothing else."""
    return A.Compose(_resize(image_size))


def apply_transform(
    transform: A.Compose, image: np.ndarray, mask: np.ndarray, seed: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Transform image ``(H, W, C)`` and mask ``(H, W)`` together; the same seed changes them the same way.

    A mask ``(K, H, W)`` of layers is K masks.
    """
    if seed is not None:
        transform.set_random_seed(seed)
    if mask.ndim == 3:
        result = transform(image=image, masks=list(mask))
        return result["image"], np.stack(result["masks"])
    result = transform(image=image, mask=mask)
    return result["image"], result["mask"]
