"""Small copies of the layouts in which data sets come, written with the encoders they come in."""

import csv
import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from segnext_pafpn.data.card import Card, load_card
from segnext_pafpn.data.synthetic import street_scene

SIZE = (40, 56)


def blocks(seed: int, values: list, size: tuple[int, int] = SIZE) -> np.ndarray:
    """``(H, W)``, or ``(H, W, 3)`` for colours: 8x8 squares of the given values, each at least once if they fit."""
    rows, columns = -(-size[0] // 8), -(-size[1] // 8)
    order = np.arange(rows * columns) % len(values)
    grid = np.random.default_rng(seed).permutation(order).reshape(rows, columns)
    big = np.repeat(np.repeat(grid, 8, axis=0), 8, axis=1)[: size[0], : size[1]]
    return np.array(values, dtype=np.uint8)[big]


def save(path: Path, array: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def photo(path: Path, seed: int, size: tuple[int, int] = SIZE, **options) -> None:
    save(path, street_scene(seed, size)[0], **options)


def palette(path: Path, ids: np.ndarray, colors: list) -> None:
    image = Image.fromarray(ids).convert("P")
    image.putpalette([c for color in colors for c in color])
    image.frombytes(ids.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def cityscapes(root: Path) -> None:
    number = 0
    for annotations, split, cities in (
        ("gtFine", "train", ("aachen", "bremen")),
        ("gtFine", "val", ("lindau",)),
        ("gtFine", "test", ("berlin",)),
        ("gtCoarse", "train", ("aachen",)),
        ("gtCoarse", "train_extra", ("augsburg",)),
        ("gtCoarse", "val", ("lindau",)),
    ):
        for city in cities:
            for frame in range(2):
                name = f"{city}_{frame:06}_000019"
                photo(root / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", seed=number)
                ids = [0, 1, 2, 3] if split == "test" else [*range(34)]
                for kind, values in (("labelIds", ids), ("instanceIds", [0, 7, 24])):
                    path = root / f"{annotations}/{split}/{city}/{name}_{annotations}_{kind}.png"
                    save(path, blocks(number, values))
                (root / f"{annotations}/{split}/{city}/{name}_{annotations}_polygons.json").write_text("{}")
                number += 1


def ade20k(root: Path) -> None:
    for folder, short, count in (("training", "train", 4), ("validation", "val", 2)):
        for i in range(1, count + 1):
            name = f"ADE_{short}_{i:08}"
            photo(root / f"images/{folder}/{name}.jpg", seed=i, quality=95)
            save(root / f"annotations/{folder}/{name}.png", blocks(i, [0, 1, 3, 17, 150]))


def voc2012(root: Path) -> None:
    names = [f"2007_{i:06}" for i in range(8)]
    colors = [(i, 2 * i, 3 * i) for i in range(21)] + [(0, 0, 0)] * 234 + [(224, 224, 192)]
    for i, name in enumerate(names):
        photo(root / f"JPEGImages/{name}.jpg", seed=i)
        if i < 6:  # the others have boxes only
            palette(root / f"SegmentationClass/{name}.png", blocks(i, [0, 5, 20, 255]), colors)
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, chosen in (("train", names[:4]), ("val", names[4:6]), ("trainval", names[:6])):
        (lists / f"{split}.txt").write_text("\n".join(chosen) + "\n")


def camvid_rgb(root: Path) -> None:
    card = load_card("camvid-rgb")
    colors = [color for row in card.classes for color in row.mask_colors] + [(0, 0, 0)]
    names = [f"0001TP_{i:06}" for i in range(6)]
    for i, name in enumerate(names):
        photo(root / f"701_StillsRaw_full/{name}.png", seed=i)
        save(root / f"LabeledApproved_full/{name}_L.png", blocks(i, colors))
    (root / "train.txt").write_text("\n".join(names[:4]))
    (root / "val.txt").write_text("\n".join(f"{name}.png" for name in names[4:]))


def drive(root: Path) -> None:
    for folder, numbers in (("training", range(21, 27)), ("test", range(1, 3))):
        for i in numbers:
            photo(root / f"{folder}/images/{i:02}_{folder}.tif", seed=i)
            save(root / f"{folder}/1st_manual/{i:02}_manual1.gif", blocks(i, [0, 255]))
            y, x = np.mgrid[: SIZE[0], : SIZE[1]]
            disc = (y - SIZE[0] / 2) ** 2 + (x - SIZE[1] / 2) ** 2 < 18**2
            save(root / f"{folder}/mask/{i:02}_{folder}_mask.gif", disc * np.uint8(255))


def kvasir(root: Path) -> None:
    for i in range(10):
        size = SIZE if i % 2 else (44, 60)
        photo(root / f"images/cju{i}.jpg", seed=i, size=size)
        mask = np.stack([shifted(i, size)] * 3, axis=-1)
        save(root / f"masks/cju{i}.jpg", mask, quality=75)


def shifted(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Blocks of 0 and 255 that JPEG, which works in squares of 8, cannot keep."""
    return blocks(seed, [0, 255], (size[0] + 3, size[1] + 3))[3:, 3:]


def isic2018(root: Path) -> None:
    for split, count in (("Training", 4), ("Validation", 2), ("Test", 1)):
        for i in range(count):
            name = f"ISIC_{i:07}"
            photo(root / f"ISIC2018_Task1-2_{split}_Input/{name}.jpg", seed=i)
            save(root / f"ISIC2018_Task1_{split}_GroundTruth/{name}_segmentation.png", blocks(i, [0, 255]))
        (root / f"ISIC2018_Task1-2_{split}_Input/LICENSE.txt").write_text("terms")


def isbi2012(root: Path) -> None:
    for i in range(10):
        photo(root / f"images/{i:02}.png", seed=i)
        save(root / f"labels/{i:02}.png", blocks(i, [0, 255]))


def coco(root: Path) -> None:
    """Boxes as polygons, one crowd as run lengths; ``train`` and ``val``."""
    height, width = SIZE
    for split, count in (("train", 4), ("val", 2)):
        content = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 18, "name": "dog"}, {"id": 44, "name": "cup"}],
        }
        for i in range(count):
            photo(root / f"images/{split}/{i:012}.jpg", seed=i)
            content["images"].append({"id": i, "file_name": f"{i:012}.jpg", "height": height, "width": width})
            runs = [width * height - 4 * height, 4 * height]  # the four columns on the right
            shapes = [
                (18, 0, [[4, 4, 28, 4, 28, 28, 4, 28]]),
                (44, 0, [[8, 8, 16, 8, 16, 16, 8, 16]]),
                (18, 1, {"size": [height, width], "counts": runs}),
            ]
            for category, crowd, shape in shapes:
                number = len(content["annotations"]) + 1
                item = {"id": number, "image_id": i, "category_id": category, "iscrowd": crowd, "segmentation": shape}
                content["annotations"].append(item)
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/{split}.json").write_text(json.dumps(content))


def yolo(root: Path) -> None:
    """A triangle, a box and a smaller one on it in each image of ``train``; one of ``val`` without a label."""
    train = (
        "0 0.5 0.1 0.9 0.1 0.9 0.6",
        "0 0.125 0.1 0.375 0.1 0.375 0.5 0.125 0.5",
        "1 0.25 0.2 0.3125 0.2 0.3125 0.3 0.25 0.3",
    )
    lines = {
        "train": "\n".join(train),
        "val": "1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n",
    }
    for split, text in lines.items():
        for i in range(3):
            photo(root / f"images/{split}/{i:03}.jpg", seed=i)
            if i or split == "train":
                (root / f"labels/{split}").mkdir(parents=True, exist_ok=True)
                (root / f"labels/{split}/{i:03}.txt").write_text(text)
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: {0: leaf, 1: spot}\n")


def make_camvid(root: Path) -> None:
    """The folders of the card camvid, with random masks."""
    for split in ("train", "val"):
        for folder, channels in ((split, 3), (f"{split}annot", 1)):
            (root / folder).mkdir(parents=True)
            for i in range(4):
                random = np.random.default_rng(i)
                array = random.integers(0, 12, (36, 48, channels), dtype=np.uint8).squeeze()
                Image.fromarray(array).save(root / folder / f"f{i}.png")


def rle(root: Path) -> None:
    """Steel plates: two kinds of defect, and images without any."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "train.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["ImageId", "ClassId", "EncodedPixels"])
        for i in range(6):
            photo(root / f"train_images/{i:03}.jpg", seed=i)
            if i != 5:
                table.writerow([f"{i:03}.jpg", 1, "1 40 81 20"])
                table.writerow([f"{i:03}.jpg", 2, "401 80"])


CARD_OF = {
    "coco": {
        "classes": [{"name": "background"}, {"name": "dog"}, {"name": "cup"}],
        "layout": {"reader": "coco", "images": "images/{split}", "annotations": "annotations/{split}.json"},
    },
    "rle": {
        "classes": [{"name": "steel"}, {"name": "pitted"}, {"name": "scratched"}],
        "layout": {"reader": "rle", "images": "train_images", "class_column": "ClassId", "val_fraction": 0.34},
    },
}
BUILDERS = {
    "cityscapes": cityscapes,
    "ade20k": ade20k,
    "voc2012": voc2012,
    "camvid-rgb": camvid_rgb,
    "drive": drive,
    "kvasir": kvasir,
    "isic2018": isic2018,
    "isbi2012-folds": isbi2012,
    "coco": coco,
    "rle": rle,
    "yolo": yolo,
}
NO_CARD = {"yolo": "data.yaml"}  # what stands in the card's place


def build(name: str, folder: Path) -> Card:
    """Write the layout ``name`` below ``folder`` and return its card with this root."""
    from tests.conftest import write_card

    root = folder / name
    BUILDERS[name](root)
    if name in NO_CARD:
        return load_card(str(root / NO_CARD[name]))
    if name in CARD_OF:
        return load_card(str(write_card(root, **CARD_OF[name])))
    return load_card(name)


def rewrite_yaml(file, /, **changes) -> str:
    """Change keys of a YAML file, or remove those that become None; returns its path."""
    content = yaml.safe_load(file.read_text()) | changes
    file.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return str(file)
