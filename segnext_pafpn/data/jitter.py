"""Changes of the values of images of any number of channels and any range, in the manner of nnU-Net's.

Everything is relative to each channel's own spread, so that it means the same for values of 0 to 1, for z-scores and
for Hounsfield units. A channel that is constant stays as it is. Images are (H, W, C) float32.
"""

import cv2
import numpy as np

NOISE = 0.1  # largest standard deviation of the noise, in those of the channel


def jitter_values(image: np.ndarray, random: np.random.Generator, strength: float) -> np.ndarray:
    """Change brightness, contrast and gamma of each channel by itself; gamma leaves its lowest and highest value.

    Args:
        strength: contrast is multiplied by 1 - strength to 1 + strength, brightness shifted by up to so many standard
            deviations, gamma raised by up to so much in its logarithm.
    """
    changes = random.uniform(-strength, strength, (image.shape[2], 3)).tolist()
    # channel by channel: several times as fast as all at once, whose values lie apart in memory
    parts = [_jitter(np.ascontiguousarray(image[..., c]), *change) for c, change in enumerate(changes)]
    return np.stack(parts, axis=2)


def _jitter(x: np.ndarray, contrast: float, shift: float, gamma: float) -> np.ndarray:
    """One channel (H, W)."""
    low, high = x.min(), x.max()
    if low == high:
        return x
    span = high - low
    x = low + span * np.clip((x - low) / span, 0, 1) ** np.float32(np.exp(gamma))
    mean, std = x.mean(), x.std()
    return (x - mean) * np.float32(max(0, 1 + contrast)) + (mean + np.float32(shift) * std)


def add_noise(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of up to a tenth of each channel's standard deviation."""
    noise = random.standard_normal(image.shape, dtype=np.float32)
    return image + noise * (image.std(axis=(0, 1)) * np.float32(random.uniform(0, NOISE)))


def blur_values(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blur by a Gaussian of 3 or 5 pixels."""
    side = int(random.choice((3, 5)))
    return cv2.GaussianBlur(image, (side, side), 0).reshape(image.shape)
