"""samples: how many of which split, as which files, and what it leaves alone."""

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.cli import main
from tests.conftest import error_of, write_card
from tests.data.volumes import nnunet, nnunet_png


@pytest.mark.parametrize("count", [0, -3])
def test_less_than_one_is_refused(capsys, tmp_path, count):
    assert f"--count: found {count}, expected at least 1." in error_of(capsys, "samples", "--count", count, "-o", "x")
    assert not any(tmp_path.iterdir())


def test_one_picture_is_called_so(capsys, tmp_path):
    assert main(["samples", "--count", "1", "-o", str(tmp_path)]) == 0
    assert f"1 picture of split 'test' and its mask are in {tmp_path}." in capsys.readouterr().out.replace("\n", "")


def test_val_stands_in_for_a_test_split_that_is_not_there(dataset, tmp_path, capsys):
    assert main(["samples", "--data", str(dataset / "card.yaml"), "--count", "2", "-o", str(tmp_path / "s")]) == 0
    assert "2 pictures of split 'val' and their masks are in" in capsys.readouterr().out
    for name in ("v0.png", "v1.png"):
        copied, original = tmp_path / "s/images" / name, dataset / "images/val" / name
        assert copied.read_bytes() == original.read_bytes()
        np.testing.assert_array_equal(Image.open(tmp_path / "s/masks" / name), Image.open(dataset / "masks/val" / name))


def test_splits_that_are_there_are_named_where_neither_is(dataset, tmp_path, capsys):
    (dataset / "images/val").rename(tmp_path / "val")
    line = error_of(capsys, "samples", "--data", dataset / "card.yaml", "-o", tmp_path / "s")
    assert line.endswith("neither of the splits test and val is there. Found splits: train; choose one with --split.")


def test_files_of_one_name_in_folders_of_their_own_are_called_by_their_pictures(dataset, tmp_path):
    for i, name in enumerate("abcd"):
        (dataset / f"sets/{name}").mkdir(parents=True)
        for kind in ("image", "mask"):
            (dataset / f"{kind}s/val/v{i}.png").rename(dataset / f"sets/{name}/{kind}.png")
    layout = {"reader": "folder", "images": "sets/{name}/image.png", "masks": "sets/{name}/mask.png"}
    card = write_card(dataset, layout={**layout, "val_fraction": 0.5})
    assert main(["samples", "--data", str(card), "--split", "val", "-o", str(tmp_path / "s")]) == 0
    images, masks = (sorted(path.name for path in (tmp_path / f"s/{kind}").iterdir()) for kind in ("images", "masks"))
    assert images == masks and len(images) == 2 and set(images) < {"a.png", "b.png", "c.png", "d.png"}


def test_the_data_set_itself_is_not_written_into(dataset, capsys):
    before = {path: path.read_bytes() for path in dataset.rglob("*.png")}
    line = error_of(capsys, "samples", "--data", dataset / "card.yaml", "-o", dataset)
    assert f"{dataset}: holds the data set itself" in line
    assert {path: path.read_bytes() for path in dataset.rglob("*.png")} == before


def test_links_of_a_data_set_are_not_replaced(dataset, tmp_path, capsys):
    (tmp_path / "store").mkdir()
    for path in [*dataset.glob("masks/val/*.png"), *dataset.glob("images/val/*.png")]:
        stored = path.rename(tmp_path / f"store/{path.parts[-3]}-{path.name}")
        path.symlink_to(stored)
    for split in ("masks", "images"):
        (dataset / split / "val").rename(dataset / "val")
        (dataset / split).rename(dataset / f"old-{split}")
        (dataset / "val").rename(dataset / split)
    card = write_card(dataset, layout={"reader": "folder", "images": "images", "masks": "masks"})
    line = error_of(capsys, "samples", "--data", card, "--split", "train", "-o", dataset)
    assert f"{dataset}: holds the data set itself" in line
    assert all(path.is_symlink() for path in dataset.glob("masks/*.png"))


def test_slices_of_volumes_are_pictures_for_the_eye_and_called_so(tmp_path, capsys):
    nnunet(tmp_path / "data", cases=5)
    assert main(["samples", "--data", str(tmp_path / "data"), "--count", "2", "-o", str(tmp_path / "s")]) == 0
    assert "They are slices of volumes, as pictures for the eye" in capsys.readouterr().out
    pictures = sorted((tmp_path / "s/images").rglob("*.png"))
    assert [path.name for path in pictures] == ["0000.png", "0001.png"]
    assert all(Image.open(path).mode == "RGB" for path in pictures)


def test_pictures_of_nnunet_keep_the_names_that_predict_knows_them_by(tmp_path):
    nnunet_png(tmp_path / "data")
    assert main(["samples", "--data", str(tmp_path / "data"), "--count", "1", "-o", str(tmp_path / "s")]) == 0
    (image,) = (tmp_path / "s/images").iterdir()
    assert image.read_bytes() == (tmp_path / "data/imagesTr" / image.name).read_bytes()
