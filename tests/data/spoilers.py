"""Ways to spoil the small data set, each with what the check must say of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_data, check_split
from segnext_pafpn.data.check.duplicates import find_twins
from segnext_pafpn.data.readers import build_reader
from tests.conftest import write_card

NAMES = ("sky", "building", "road", "pavement", "tree", "car", "person", "pole")


def masks(root: Path, split: str = "train") -> list[Path]:
    return sorted((root / "masks" / split).iterdir())


def change_masks(root: Path, change: Callable[[np.ndarray], np.ndarray], suffix: str = ".png") -> Path:
    """Every mask of both splits through ``change``; the first of train."""
    for split in ("train", "val"):
        for path in masks(root, split):
            array = change(np.asarray(Image.open(path)))
            path.unlink()
            Image.fromarray(array).save(path.with_suffix(suffix))
    return masks(root)[0]


def inspect(root: Path, **changes):
    card = load_card(str(write_card(root, **changes)))
    reader = build_reader(card)
    reports = [check_split(card, reader, split, details=True) for split in ("train", "val")]
    return check_data(card, reports, find_twins(reports)), reader


def two_classes(**rows) -> list[dict]:
    return [{"name": "background"}, {"name": "cell", **rows}]


def spoil_black_and_white(root):
    file = change_masks(root, lambda m: ((m % 2) * 255).astype(np.uint8))
    return {"classes": two_classes()}, [str(file), "mask of 0 and 255", "expected the ids of two", "Name 255"], True


def spoil_black_and_white_named(root):
    file = change_masks(root, lambda m: ((m % 2) * 254).astype(np.uint8))
    words = [str(file), "value 254 is not in the card", "known: 0-1", "Add to a class's ids"]
    return {"classes": two_classes()}, words, True


def spoil_off_by_one(root):
    file = change_masks(root, lambda m: m + 1)
    return {}, [str(file), "begin at 1 and end at 8", "expected 0 to 7", "Shift"], True


def spoil_ade20k_style(root):
    file = change_masks(root, lambda m: np.where(np.arange(m.shape[1]) < 3, 0, m + 1).astype(np.uint8))
    return {}, [str(file), "from 0 to 8", "expected 0 to 7", "0 means unlabelled"], True


def spoil_cityscapes(root):
    raw = np.array([23, 11, 7, 8, 21, 26, 24, 17], np.uint8)
    file = change_masks(root, lambda m: raw[m])
    rows = [{"name": n} for n in ("sky", "building", "road", "sidewalk", "vegetation", "car", "person", "pole")]
    return {"classes": rows}, [str(file), "raw labelIds", "expected trainIds", "Name the raw ids"], True


def spoil_grey_palette(root):
    colors = np.array([[30 * i, 255 - 30 * i, 128] for i in range(8)], np.uint8)
    file = change_masks(root, lambda m: np.asarray(Image.fromarray(colors[m]).convert("L")))
    return {}, [str(file), "brightness of the classes' colours", "expected class ids", "Save the palette"], True


def spoil_stretched(root):
    file = change_masks(root, lambda m: m * 36)
    return {}, [str(file), "evenly spread", "expected 0 to 7", "Name the stretched ids"], True


def spoil_with_card_colors(root):
    colors = np.array([[30 * i, 255 - 30 * i, 128] for i in range(8)], np.uint8)
    file = change_masks(root, lambda m: colors[m])
    return {}, [str(file), "in the card's colours", "expected one channel", "mask_format: rgb"], False


def spoil_with_other_colors(root):
    colors = np.random.default_rng(0).integers(0, 255, (8, 3), dtype=np.uint8)
    file = change_masks(root, lambda m: colors[m])
    return {}, [str(file), "8 colours", "expected one channel of class ids", "mask_format: rgb"], False


def spoil_by_swapping_folders(root):
    (root / "images").rename(root / "other")
    (root / "masks").rename(root / "images")
    (root / "other").rename(root / "masks")
    words = ["masks/train/t0.png", "different values", "expected the photograph to have the more", "change the card's"]
    return {}, words, False


def spoil_size(root):
    file = masks(root)[0]
    Image.fromarray(np.zeros((48, 60), np.uint8)).save(file)
    return {}, [str(file), "the mask is 60x48", "its image 64x48", "export the mask again"], False


def spoil_truncated_png(root):
    file = root / "images/train/t1.png"
    file.write_bytes(file.read_bytes()[:300])
    return {}, [str(file), "cannot be decoded", "truncated", "Replace the file or leave it out"], False


def spoil_truncated_jpeg(root):
    old = root / "images/train/t1.png"
    file = old.with_suffix(".jpg")
    Image.open(old).save(file)
    old.unlink()
    file.write_bytes(file.read_bytes()[:-200])
    return {}, [str(file), "cannot be decoded", "truncated", "Replace the file or leave it out"], False


def spoil_empty_split(root):
    for path in (root / "images/val").iterdir():
        path.unlink()
    return {}, ["images/val", "holds no image", "Expected the images of 'val' there", "see the card's layout"], False


def spoil_orphan_mask(root):
    file = root / "masks/train/extra.png"
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(file)
    return {}, [str(file), "no image for this mask", "expected", "it is not used"], False


def spoil_orphan_image(root):
    masks(root)[0].unlink()
    file = root / "images/train/t0.png"
    return {}, [str(file), "no mask for this image", "Expected", "masks/train/t0.png"], False


def spoil_duplicate(root):
    for kind in ("images", "masks"):
        (root / kind / "val/copy.png").write_bytes((root / kind / "train/t2.png").read_bytes())
    file = root / "images/val/copy.png"
    return {}, [str(file), "same picture as", "images/train/t2.png (train)", "Remove it from one"], False


def spoil_near_duplicate(root):
    image = Image.open(root / "images/train/t2.png").resize((128, 96))
    image.save(root / "images/val/copy.jpg", quality=85)
    Image.open(root / "masks/train/t2.png").resize((128, 96), Image.Resampling.NEAREST).save(
        root / "masks/val/copy.png"
    )
    file = root / "images/val/copy.jpg"
    return {}, [str(file), "nearly the same picture as", "images/train/t2.png (train)", "Remove it"], False


def spoil_by_ignoring_all(root):
    change_masks(root, lambda m: np.full_like(m, 255))
    return {}, ["split 'train'", "every pixel is ignored", "Map at least one id to a class"], False


def spoil_with_floats(root):
    file = change_masks(root, lambda m: m.astype(np.float32), ".tif")
    return {}, [str(file), "floating point", "expected whole numbers", "Save it again"], False


def spoil_with_deep_images(root):
    file = root / "images/train/t0.png"
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(file)
    return {}, [str(file), "more than 8 bits", "expected 8", "Convert it"], False


def spoil_with_jpeg_masks(root):
    file = change_masks(root, lambda m: m * 20, ".jpg")
    return {}, [str(file), "saved as JPEG", "expected at most 8 classes", "Export the masks again as PNG"], False


def spoil_by_a_class_that_never_occurs(root):
    rows = [{"name": name} for name in (*NAMES, "tram")]
    return {"classes": rows}, ["split 'val'", "'tram' has no pixel", "expected id 8", "Correct its ids"], False


SPOILERS = [value for name, value in list(globals().items()) if name.startswith("spoil_")]
