"""Class weights from how much of each class there is."""

from collections.abc import Sequence

import numpy as np

from segnext_pafpn.training.loss_config import Balance


def balanced_weights(
    balance: Balance,
    pixels: Sequence[int],
    pictures: Sequence[int],
    picture_pixels: Sequence[int],
    beta: float = 0.999,
) -> list[float]:
    """One weight per class, K numbers whose mean over the classes that occur is 1; 0 for a class without pixels.

    - ``inverse``: 1 / share of the class.
    - ``sqrt_inverse``: 1 / its square root.
    - ``median_frequency``: median frequency / frequency, where the frequency of a class is its share of the pictures
      that hold it (Eigen and Fergus, arXiv 1411.4734).
    - ``effective_number``: (1 - beta) / (1 - beta^n), with n the pictures that hold the class (arXiv 1901.05555, whose
      samples have one class each).

    Args:
        pixels: of each class, K numbers.
        pictures: how many pictures hold the class, K numbers.
        picture_pixels: labelled pixels, of all classes, of the pictures that hold the class, K numbers.
        beta: of the effective number, below 1.

    Raises:
        ValueError: if no class has pixels, or ``balance`` is not known.
    """
    counts, held, around = (np.asarray(numbers, dtype=np.float64) for numbers in (pixels, pictures, picture_pixels))
    occurs = counts > 0
    if not occurs.any():
        raise ValueError("no class has pixels, so there are no shares to balance.")
    counts, held, around = counts[occurs], held[occurs], around[occurs]
    if balance == "inverse":
        weights = 1 / counts
    elif balance == "sqrt_inverse":
        weights = 1 / np.sqrt(counts)
    elif balance == "median_frequency":
        frequency = counts / around
        weights = np.median(frequency) / frequency
    elif balance == "effective_number":
        weights = (1 - beta) / (1 - beta**held)
    else:
        raise ValueError(f"balance is {balance!r}, expected inverse, sqrt_inverse, median_frequency, effective_number.")
    result = np.zeros(len(occurs))
    result[occurs] = weights / weights.mean()
    return [float(f"{weight:.6g}") for weight in result]
