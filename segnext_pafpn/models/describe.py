"""What an image goes through before a network, and its logits behind it, for those who do without this package."""

from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.slicing import Slicing


def describe_images(preprocessing: Preprocessing) -> str:
    """What an image must go through before it is given to the network."""
    parts = [] if preprocessing.slicing is None else [_describe_slices(preprocessing.slicing)]
    parts.append(_describe_values(preprocessing))
    if preprocessing.image_size is not None:
        height, width = preprocessing.image_size
        parts.append(
            f"Each image is resized to {height} x {width} (height x width) by OpenCV's INTER_AREA, "
            f"and the logits back to its own size by bilinear interpolation, corners not aligned."
        )
    return " ".join(parts)


def describe_masks(preprocessing: Preprocessing) -> str:
    """How logits become the ids of a mask."""
    names, thresholds = preprocessing.class_names, preprocessing.thresholds
    if preprocessing.multi_label:
        limits = thresholds or (0.5,) * len(names)
        pairs = ", ".join(f"{name} {limit:g}" for name, limit in zip(names, limits, strict=True))
        return f"A pixel is of each class whose sigmoid exceeds its threshold, or of none: {pairs}."
    if len(names) == 1:
        return f"A pixel is 1, {names[0]}, where the sigmoid exceeds {thresholds[0] if thresholds else 0.5:g}, else 0."
    if thresholds is not None:
        limit = f"{thresholds[0]:g}"
        return f"A pixel is 1, {names[1]}, where the second value of the softmax exceeds {limit}, else 0, {names[0]}."
    return "A pixel is of the class with the largest logit; its id is the class's place in class_names, from 0."


def _describe_slices(slicing: Slicing) -> str:
    """How a volume (slices, rows, columns) becomes images."""
    code = slicing.orientation
    steps = [f"turned until columns, rows and slices (NIfTI's i, j, k) run to {code}"] if code else []
    steps += ["standardised as a whole, each channel as (value - mean) / deviation"] if slicing.standardize else []
    steps += [f"cut across axis {slicing.axis}"]
    n = slicing.neighbours
    steps += [f"each slice with the {n} before and the {n} after as channels, in their order"] if n else []
    return f"An image is a slice of a volume (slices, rows, columns), which is {', '.join(steps)}."


def _describe_values(preprocessing: Preprocessing) -> str:
    intensity = preprocessing.intensity
    if intensity is None:
        kind = "8-bit RGB" if preprocessing.is_rgb8 else f"8-bit images of {preprocessing.channels} channel(s)"
        return f"It takes {kind} as `(image / 255 - mean) / std`, mean {preprocessing.mean}, std {preprocessing.std}."
    text = f"It takes images of {intensity.channels} channel(s), each normalised by itself: "
    if intensity.low is not None:
        text += f"cut to {_pairs(intensity.low, intensity.high)}, "
    if intensity.mean is None:
        return f"{text}then `{intensity.method}` by the numbers of the image itself."
    return f"{text}then `(value - mean) / std`, mean {intensity.mean}, std {intensity.std} (`{intensity.method}`)."


def _pairs(low: tuple[float, ...], high: tuple[float, ...]) -> str:
    return ", ".join(f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True))
