"""What a mask file means: ids, colours, two tones, or one class of several."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segnext_pafpn.data.card import Card
from segnext_pafpn.data.readers.base import Sample
from segnext_pafpn.data.readers.files import read_array, read_ids
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.ids import IGNORED_ID

MASK_FORMATS = ("index", "rgb", "binary", "files")
_JPEG_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class MaskDecoder:
    """Mask files to raw ids, in one of four ways.

    ``index``: the file holds the ids: a single-channel or palette image, or a ``.npy`` array. ``rgb``: colours, the
    card's ``mask_colors`` exactly. ``binary``: two tones; 0 (or up to ``threshold``) is the card's first class, the
    rest its second. ``files``: one two-tone file for each class; see :class:`.FolderReader`.

    Args:
        format: which of them.
        card: of the data set; not needed for ``index``.
        threshold: the highest value of a two-tone file that still means "not the class"; None for files that hold
            0 and one other value only.
        background: index of the class of pixels that no class's file claims; None to ignore them.
    """

    format: str = "index"
    card: Card | None = None
    threshold: int | None = None
    background: int | None = None

    def __post_init__(self) -> None:
        if self.format not in MASK_FORMATS:
            raise UserError(
                f"layout.mask_format: '{self.format}' is not known.{nearest(self.format, MASK_FORMATS)} "
                f"Known: {', '.join(MASK_FORMATS)}."
            )
        if self.format == "index":
            if self.threshold is not None:
                raise UserError("layout.threshold: needs mask_format: binary or files; index masks hold ids already.")
            return
        if self.card is None:
            raise ValueError(f"mask_format '{self.format}' needs the card")
        if self.threshold is not None and not (self.format != "rgb" and 0 <= self.threshold <= 254):
            raise UserError(
                f"layout.threshold: expected 0 to 254 and mask_format: binary or files, found {self.threshold}."
            )
        if self.format == "binary" and len(self.card.classes) != 2:
            raise UserError(
                f"{self.card.path}: mask_format: binary is for two classes, found {len(self.card.classes)}. "
                f"Use rgb for masks of colours, files for a mask file per class."
            )
        if self.format == "rgb":
            _refuse_shared_colors(self.card)

    def read(self, sample: Sample) -> np.ndarray:
        """``(H, W)`` raw ids, an integer type.

        Raises:
            UserError: naming a file that cannot be read or is not of this format.
        """
        if self.format == "index":
            return read_ids(sample.mask)
        if self.format == "rgb":
            return self._read_colors(sample.mask)
        if self.format == "binary":
            return np.where(self._read_tones(sample.mask), raw_id(self.card, 1), raw_id(self.card, 0))
        return self._read_classes(sample)

    def read_layers(self, sample: Sample) -> np.ndarray:
        """``(K, H, W)`` uint8 of 0 and 1, which may overlap; of the format ``files`` alone.

        Raises:
            UserError: naming a file that cannot be read or is of another size than those before it.
        """
        layers = None
        for index, path in sample.class_masks:
            tones = self._read_tones(path)
            if layers is None:
                layers = np.zeros((len(self.card.classes), *tones.shape), dtype=np.uint8)
            _check_size(path, tones, layers[0])
            layers[index] = tones
        return layers

    def _read_colors(self, path: Path) -> np.ndarray:
        codes, ids = _color_table(self.card)
        packed = _pack(read_array(path, mode="RGB"))
        places = np.minimum(np.searchsorted(codes, packed), len(codes) - 1)
        strange = codes[places] != packed
        if strange.any():
            raise UserError(f"{path}: {_describe_color(packed, strange, self.card)}")
        return ids[places]

    def _read_tones(self, path: Path) -> np.ndarray:
        """``(H, W)`` bool: where the file says that the class is."""
        if path.suffix.lower() == ".npy":
            values = read_ids(path)
        else:
            values = read_array(path, palette=False)
            if values.ndim == 3 and values.shape[2] == 2:  # grey and alpha
                values = values[..., 0]
            elif values.ndim == 3:
                values = values[..., :3].max(axis=2)
        return self.tones(values, path)

    def tones(self, values: np.ndarray, path: Path) -> np.ndarray:
        """Where these values of a two-tone file say that the class is, bool.

        Raises:
            UserError: naming the file, if there are more values than 0 and another, and no threshold.
        """
        if self.threshold is not None:
            return values > self.threshold
        others = values[values != 0]
        if others.size and others.min() != others.max():
            tones = np.unique(values)
            cut = ": 0, for all but 0" if tones[-1] < 128 else ", such as 127"
            raise UserError(
                f"{path}: the mask has {len(tones)} different values of {tones[0]} to {tones[-1]}, expected 0 and one "
                f"other. {_blame(path)} Set layout.threshold{cut}; more than two classes need index or rgb."
            )
        return values != 0

    def _read_classes(self, sample: Sample) -> np.ndarray:
        mask = None
        for index, path in sample.class_masks:
            tones = self._read_tones(path)
            if mask is None:
                fill = IGNORED_ID if self.background is None else raw_id(self.card, self.background)
                mask = np.full(tones.shape, fill, dtype=np.int32)
            _check_size(path, tones, mask)
            mask[tones] = raw_id(self.card, index)
        return mask


def _check_size(path: Path, tones: np.ndarray, before: np.ndarray) -> None:
    if tones.shape != before.shape:
        (h, w), (mh, mw) = before.shape, tones.shape
        raise UserError(f"{path}: the mask is {mw}x{mh}, those of the classes before {w}x{h}. They must agree.")


def raw_id(card: Card, index: int) -> np.uint16:
    """An id that means class ``index`` to the card."""
    row = card.classes[index]
    if not row.ids:
        raise UserError(f"{card.path}: class '{row.name}' has no ids, so nothing can mean it. Leave its ids out.")
    return np.uint16(row.ids[0])


def cut_to_valid(mask: np.ndarray, path: Path) -> np.ndarray:
    """``mask`` ``(H, W)``, ignored where the file ``path`` is 0; or dark, in a JPEG file, which keeps no sharp edges.

    Raises:
        UserError: naming a file that cannot be read or is of another size.
    """
    valid = read_array(path, mode="L")
    if valid.shape != mask.shape:
        (h, w), (vh, vw) = mask.shape, valid.shape
        raise UserError(f"{path}: the valid region is {vw}x{vh}, its mask {w}x{h} (width x height). They must agree.")
    darkest = 127 if path.suffix.lower() in _JPEG_SUFFIXES else 0
    return np.where(valid > darkest, mask.astype(np.int32), IGNORED_ID)


def _pack(rgb: np.ndarray) -> np.ndarray:
    """``(..., 3)`` uint8 to one uint32 a colour."""
    parts = rgb.astype(np.uint32)
    return parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]


def _color_table(card: Card) -> tuple[np.ndarray, np.ndarray]:
    """The colours of the card's masks, packed and sorted, and the id that each of them means."""
    pairs = [(color, raw_id(card, i)) for i, row in enumerate(card.classes) for color in row.mask_colors]
    pairs += [(color, IGNORED_ID) for color in card.ignore_colors]
    codes = _pack(np.array([color for color, _ in pairs], dtype=np.uint8))
    order = np.argsort(codes)
    return codes[order], np.array([i for _, i in pairs], dtype=np.int32)[order]


def _refuse_shared_colors(card: Card) -> None:
    colors = [color for row in card.classes for color in row.mask_colors] + list(card.ignore_colors)
    for color in colors:
        if colors.count(color) > 1:
            raise UserError(
                f"{card.path}: mask_format: rgb needs a colour to mean one class, but {list(color)} stands in more "
                f"than one row. Give each class its mask_colors."
            )


def _describe_color(packed: np.ndarray, strange: np.ndarray, card: Card) -> str:
    """What to say of a mask ``packed`` (H, W) with colours that are in no row."""
    codes, counts = np.unique(packed[strange], return_counts=True)
    code = int(codes[counts.argmax()])
    color = np.array([code >> 16, code >> 8 & 255, code & 255])
    rows = [(row.name, known) for row in card.classes for known in row.mask_colors]
    name, known = min(rows, key=lambda row: int(np.abs(color - row[1]).max()))
    y, x = np.argwhere(packed == code)[0].tolist()
    more = f" and {len(codes) - 1} more" if len(codes) > 1 else ""
    text = f"the colour {color.tolist()}{more} (first at x {x}, y {y}) is in no row of the card."
    if np.abs(color - known).max() <= 24:
        return f"{text} It is near {list(known)} of '{name}': was the mask saved as JPEG or resized smoothly? Use PNG."
    return f"{text} Add it to a class's mask_colors, or to ignore_colors."


def _blame(path: Path) -> str:
    if path.suffix.lower() in (".nii", ".gz", ".npy"):
        return "Was it resampled?"
    return "JPEG changes values." if path.suffix.lower() in _JPEG_SUFFIXES else "Was it saved as JPEG or resized?"
