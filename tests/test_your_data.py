"""docs/your-data.md: every card on the page works with the folder that the page shows, by the page's own commands."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from tests.conftest import SMALL_RUN, run_together
from tests.data.deep_images import save_any, scene, uint16
from tests.data.layouts import SIZE, blocks, photo, save, yolo
from tests.data.volumes import intensities, labels, nnunet, save_nifti

PAGE = (Path(__file__).parent.parent / "docs/your-data.md").read_text()
CARDS = {text.split(".yaml")[0]: f"# {text}" for text in re.findall(r"```yaml\n# (.*?)```", PAGE, re.DOTALL)}


def commands() -> list[list[str]]:
    return [
        shlex.split(line) for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
    ]


def field(root: Path) -> None:
    for split, i in (("train", 0), ("train", 1), ("val", 2)):
        photo(root / f"images/{split}/a{i}.jpg", seed=i)
        save(root / f"masks/{split}/a{i}_mask.png", blocks(i, [0, 1, 2, 3, 9]))


def town(root: Path) -> None:
    colors = [(128, 64, 128), (70, 70, 70), (102, 102, 156), (107, 142, 35), (152, 251, 152), (0, 0, 0)]
    for i in range(3):
        photo(root / f"photos/{i:04}.png", seed=i)
        save(root / f"colours/{i:04}.png", blocks(i, colors))
    (root / "train.txt").write_text("0000\n0001\n")
    (root / "val.txt").write_text("0002\n")


def eyes(root: Path) -> None:
    for i in range(10):
        photo(root / f"images/r{i}.jpg", seed=i)
        for number, name in enumerate(("disc", "cup", "bleeding")):
            if name != "bleeding" or i % 2 == 0:
                save(root / f"masks/r{i}_{name}.png", np.uint8(255) * (blocks(i, [0, 1, 2, 3]) == number + 1))


def shop(root: Path) -> None:
    names = ("bottle", "carton", "price tag")
    for split, count in (("train", 2), ("val", 1)):
        content = {"images": [], "annotations": [], "categories": [{"id": i, "name": n} for i, n in enumerate(names)]}
        for i in range(count):
            photo(root / f"images/{split}/{i}.jpg", seed=i)
            content["images"].append({"id": i, "file_name": f"{i}.jpg", "height": SIZE[0], "width": SIZE[1]})
            for category in range(3):
                x = 4 + 16 * category
                outline = {"segmentation": [[x, 5, x + 10, 5, x + 10, 20, x, 20]], "category_id": category}
                content["annotations"].append({"id": len(content["annotations"]), "image_id": i, **outline})
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))


def clinic(root: Path) -> None:
    for patient in range(7, 12):
        for i in range(1, 3):
            stem = root / f"patient{patient:02}/scan_{i}"
            photo(stem.with_suffix(".png"), seed=patient + i)
            save(stem.with_name(f"scan_{i}_label.png"), blocks(i, [0, 255]))

    for i in range(1, 3):
        photo(root.parent / f"new-patient/scan_{i}.png", seed=i)


def brain(root: Path) -> None:
    for i in range(1, 6):
        image, mask = scene(i, 2, SIZE)
        for c, name in enumerate(("flair", "t1")):
            save_any(root / f"scans/p{i:02}_{name}.png", uint16(image)[..., c])
        save_any(root / f"labels/p{i:02}.png", mask)


def knee(root: Path) -> None:
    for i in range(1, 6):
        save_nifti(root / f"scans/p{i:02}.nii.gz", intensities(labels(i), i))
        save_nifti(root / f"labels/p{i:02}_seg.nii.gz", labels(i))


BUILDERS = {"field": field, "town": town, "eyes": eyes, "shop": shop, "clinic": clinic, "brain": brain, "knee": knee}
NNUNET = "Dataset104_Organs"
YOLO = "leaves"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("your-data")
    for name, build in BUILDERS.items():
        build(path / name)
        (path / f"{name}.yaml").write_text(CARDS[name])
    yolo(path / YOLO)
    nnunet(path / NNUNET, cases=5, channels=("CT",))
    return path


def test_the_page_has_a_card_and_commands_for_each_folder():
    assert list(CARDS) == list(BUILDERS)
    patterns = (rf"({YOLO})/data\.yaml", r"(\w+)\.yaml", r"(Dataset\w+)", r"runs/(\w+)")
    named = [next(filter(None, (re.search(p, " ".join(words)) for p in patterns))) for words in commands()]
    assert {match[1] for match in named} == {*BUILDERS, NNUNET, YOLO}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_card_of_the_page_fits_the_folder_it_shows(folder, name):
    card = load_card(str(folder / f"{name}.yaml"))
    for split in ("train", "val"):
        reader = build_reader(card)
        report = check_split(reader.fitted(card), reader, split)
        assert report.problems == report.warnings == []
        assert (report.pixels[:-1] > 0).all()


def test_the_commands_of_the_page_run(folder):
    """One process for all of them; two steps instead of a training."""
    smaller = [*SMALL_RUN, "--data.crop_size=[32, 32]", "--data.samples_per_epoch=4", "--trainer.max_epochs=1"]
    runs = [words[1:] + (smaller if words[1] == "train" else []) for words in commands()]
    run_together(folder, *runs)
    names = {path.parent.name for path in folder.glob("runs/*/metrics_val.json")}
    cards = "field town eyes shop clinic-0 clinic-1 brain organs-0 knee eyes-rare"
    assert names == {*cards.split(), YOLO}
    assert sorted(path.name for path in (folder / "masks").glob("*.png")) == [f"p{i:02}.png" for i in range(1, 6)]
    assert sorted(path.name for path in (folder / "tumours").iterdir()) == ["scan_1.png", "scan_2.png"]
    assert [path.name for path in (folder / "predictions").iterdir()] == ["case_005.nii.gz"]
