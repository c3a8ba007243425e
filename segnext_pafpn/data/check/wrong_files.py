"""Mistakes that show in the mask files themselves: colours, photographs, floating point, the wrong folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.check.card_lines import card_lines
from segnext_pafpn.data.check.report import Cause
from segnext_pafpn.data.check.sample import Finding
from segnext_pafpn.data.readers import Reader
from segnext_pafpn.data.readers.files import DECODE_ERRORS
from segnext_pafpn.errors import UserError

_MANY = 64  # different values, or colours, that no mask but any photograph has
_LOOKED_AT = 4


def cause_in_files(card: Card, reader: Reader, examples: Sequence[Finding]) -> list[Cause]:
    """The first cause that an example's mask file shows; opens a few files."""
    for finding in examples[:_LOOKED_AT]:
        path = finding.sample.mask
        pixels = None if path is None else _pixels(path)
        if pixels is None:
            continue
        colors = _colors(pixels)
        if len(colors) > _MANY and (swapped := _swapped(card, reader, finding, len(colors))):
            return [swapped]
        if card.layout.get("mask_format", "index") == "index" and _is_colored(pixels) and len(colors) <= _MANY:
            return [_colored(card, path, colors)]
        if path.suffix.lower() in (".jpg", ".jpeg") and finding.readable and finding.problem:
            return [_compressed(card, path, len(colors))]
        if pixels.dtype.kind == "f":
            return [
                Cause(
                    f"{path}: a mask of floating point, expected whole numbers of 8 or 16 bits. Save it again from "
                    f"mask.round().astype('uint8'); times 255 first if it is a probability, and name 255 in the card."
                )
            ]
    return []


def _pixels(path: Path) -> np.ndarray | None:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except DECODE_ERRORS:  # the problem's own line says so already
        return None


def _colors(pixels: np.ndarray) -> np.ndarray:
    """The different values (n,) or colours (n, 3) of a picture."""
    if pixels.ndim == 2:
        return np.unique(pixels)
    return np.unique(pixels[..., :3].reshape(-1, min(3, pixels.shape[2])), axis=0)


def _is_colored(pixels: np.ndarray) -> bool:
    """Not grey, nor grey saved as RGB."""
    return pixels.ndim == 3 and pixels.shape[2] >= 3 and bool((pixels[..., 1:3] != pixels[..., :1]).any())


def _swapped(card: Card, reader: Reader, finding: Finding, num_values: int) -> Cause | None:
    try:
        num_colors = len(_colors(reader.read_image(finding.sample)))
    except UserError:
        return None
    sample = finding.sample
    if num_colors > max(_MANY, 2 * len(card.classes)) or num_colors >= num_values:
        return None
    layout = {key: card.layout[key] for key in ("masks", "images") if key in card.layout}
    lines = ""
    if len(layout) == 2:
        lines = f"layout: {{..., images: {layout['masks']!r}, masks: {layout['images']!r}}}"
    return Cause(
        f"{sample.mask}: {num_values} different values, while its image {sample.image} has {num_colors}, expected "
        f"the photograph to have the more. The folders of images and masks are swapped; change the card's layout:",
        lines,
    )


def _colored(card: Card, path: Path, colors: np.ndarray) -> Cause:
    found = sorted(tuple(int(c) for c in color) for color in colors)
    layout = _layout(card, mask_format="rgb")
    if set(found) <= {*card.class_colors, (0, 0, 0)}:
        black = (0, 0, 0) in found and (0, 0, 0) not in (*card.class_colors, *card.ignore_colors)
        ignored = "ignore_colors: [[0, 0, 0]]\n" if black and not card.ignore_colors else ""
        return Cause(
            f"{path}: a picture in the card's colours, expected one channel of class ids. Say in the card that its "
            f"masks are colours, with mask_format: rgb:",
            ignored + layout,
        )
    listed = ", ".join(str(list(color)) for color in found[:6]) + (", ..." if len(found) > 6 else "")
    names = [f"class {i}" for i in range(len(found))]
    return Cause(
        f"{path}: a picture in {len(found)} colours ({listed}), expected one channel of class ids. Say in the card "
        f"that its masks are colours, with mask_format: rgb, and what each means; the names are yours to give:",
        f"{card_lines(names, found, [[i] for i in range(len(found))])}\n{layout}",
    )


def _compressed(card: Card, path: Path, num_values: int) -> Cause:
    return between_ids(
        card,
        f"{path}: a mask saved as JPEG has {num_values} different values, expected at most {len(card.classes)} "
        f"classes and the ignored ids: JPEG changes ids at every edge.",
    )


def between_ids(card: Card, text: str) -> Cause:
    """A cause for values between the ids: export again, or for two classes cut the values in the middle."""
    if len(card.classes) != 2:
        return Cause(f"{text} Export the masks again as PNG, without smoothing.")
    return Cause(
        f"{text} Export the masks again as PNG, without smoothing; or cut their values in the card:",
        _layout(card, mask_format="binary", threshold=127),
    )


def _layout(card: Card, **options: str | int) -> str:
    """The card's layout with these options, as a line to paste."""
    layout = yaml.safe_dump({**card.layout, **options}, default_flow_style=True, sort_keys=False, width=10_000)
    return f"layout: {layout.strip()}"
