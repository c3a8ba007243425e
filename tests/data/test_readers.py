"""Readers and file decoding: what is paired, what is read, and what is said of what cannot be."""

import io

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import FolderReader, build_reader
from segnext_pafpn.data.readers.files import read_ids, read_rgb, read_size
from segnext_pafpn.errors import UserError
from tests.conftest import random_mask, write_card
from tests.data.layouts import photo


def test_pairs_come_in_the_order_of_their_names(dataset):
    reader = build_reader(load_card(str(dataset / "card.yaml")))
    listing = reader.list_samples("train")
    assert [s.name for s in listing.samples] == [f"t{i}" for i in range(6)]
    assert listing.problems == listing.warnings == []
    assert reader.splits() == ["train", "val"]
    assert reader.size(listing.samples[0]) == (48, 64)


def test_missing_mask_and_orphan_mask_are_named(dataset):
    (dataset / "masks/train/t1.png").unlink()
    (dataset / "images/train/t2.png").unlink()
    listing = FolderReader(root=dataset).list_samples("train")
    assert len(listing.samples) == 4
    assert len(listing.problems) == 1 and "t1.png: no mask for this image" in listing.problems[0]
    assert len(listing.warnings) == 1 and "t2.png: no image for this mask" in listing.warnings[0]


def test_two_files_of_one_name_are_refused(dataset):
    Image.fromarray(random_mask(0, (48, 64), 2)).save(dataset / "images/train/t1.bmp")
    with pytest.raises(UserError, match=r"t1\.bmp and .*t1\.png: two files of one name"):
        FolderReader(root=dataset).list_samples("train")


def test_suffixes_pair_cityscapes_like_names(tmp_path):
    for folder, name in (("i/train", "a_leftImg8bit"), ("m/train", "a_mask")):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(random_mask(0, (4, 4), 2)).save(tmp_path / folder / f"{name}.png")
    reader = FolderReader(
        root=tmp_path, images="i/{split}", masks="m/{split}", image_suffix="_leftImg8bit", mask_suffix="_mask"
    )
    assert [s.name for s in reader.list_samples("train").samples] == ["a"]


def test_a_fraction_splits_one_folder_the_same_way_every_time(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for i in range(30):
            Image.fromarray(random_mask(i, (4, 4), 2)).save(tmp_path / folder / f"{i:02}.png")
    options = dict(root=tmp_path, images="images", masks="labels", val_fraction=0.2, test_fraction=0.1)
    names = {s: [x.name for x in FolderReader(**options).list_samples(s).samples] for s in ("train", "val", "test")}
    assert [len(names[s]) for s in ("train", "val", "test")] == [21, 6, 3]
    assert len(set(sum(names.values(), []))) == 30
    again = [x.name for x in FolderReader(**options).list_samples("val").samples]
    other = [x.name for x in FolderReader(**options, seed=1).list_samples("val").samples]
    assert again == names["val"] != other


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"reader": "foldr"}, "'foldr' is not known. Did you mean 'folder'"),
        ({"reader": "folder", "image": "x"}, "no option 'image'. Did you mean 'images'"),
        ({"reader": "folder", "images": 3}, "layout.images: expected str . list.str., found 3"),
        ({"reader": "folder", "images": "images", "masks": "{split}"}, "must stand in both"),
        ({"reader": "folder", "val_fraction": 0.2}, "for unsplit folders"),
        ({"reader": "folder", "images": "a", "masks": "b", "val_fraction": 1.2}, "add up to less than 1"),
        ({"reader": "synthetic", "scene": "street"}, "Did you mean 'streets'"),
    ],
)
def test_bad_layouts_are_refused(dataset, layout, words):
    card = load_card(str(write_card(dataset, layout=layout)))
    with pytest.raises(UserError, match=words):
        build_reader(card)


def test_missing_root_says_how_to_give_one(tmp_path):
    card = load_card(str(write_card(tmp_path, root=None)))
    with pytest.raises(UserError, match=r"--data\.root"):
        build_reader(card)
    with pytest.raises(UserError, match=r"nowhere: no such folder.*--data\.root"):
        build_reader(card, "nowhere")


def test_empty_folder_and_missing_split_are_named(dataset):
    (dataset / "images/test").mkdir()
    (dataset / "masks/test").mkdir()
    reader = FolderReader(root=dataset)
    with pytest.raises(UserError, match="images/test: holds no image"):
        reader.list_samples("test")
    with pytest.raises(UserError, match="there is no split 'dev'.*Found splits: train, val, test"):
        reader.list_samples("dev")
    (dataset / "masks/test").rmdir()
    with pytest.raises(UserError, match="masks/test: no such folder"):
        reader.list_samples("test")


def test_palette_mask_gives_indices_and_grey_triples_give_one_channel(tmp_path):
    ids = random_mask(0, (8, 9), 5)
    palette = Image.fromarray(ids).convert("P")
    palette.putpalette([7 * i % 256 for i in range(768)])
    palette.putdata(ids.ravel().tolist())
    palette.save(tmp_path / "p.png")
    Image.fromarray(np.stack([ids] * 3, axis=-1)).save(tmp_path / "grey.png")
    Image.fromarray(ids.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    Image.fromarray(ids > 2).save(tmp_path / "bits.png")
    assert np.array_equal(read_ids(tmp_path / "p.png"), ids)
    assert np.array_equal(read_ids(tmp_path / "grey.png"), ids)
    assert np.array_equal(read_ids(tmp_path / "deep.png"), ids.astype(np.uint16) * 1000)
    assert np.array_equal(read_ids(tmp_path / "bits.png"), (ids > 2) * np.uint8(255))


def test_coloured_masks_are_refused(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"m\.png: the mask has 3 channels of colours"):
        read_ids(tmp_path / "m.png")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "CMYK"])
def test_every_8_bit_image_becomes_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.fromarray(random_mask(0, (5, 7), 200)).convert("RGB").convert(mode).save(tmp_path / f"x.{suffix}")
    image = read_rgb(tmp_path / f"x.{suffix}")
    assert image.shape == (5, 7, 3) and image.dtype == np.uint8
    assert read_size(tmp_path / f"x.{suffix}") == (5, 7)


def test_turned_photographs_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(random_mask(0, (5, 7), 200)).save(tmp_path / "x.jpg", exif=exif)
    assert read_rgb(tmp_path / "x.jpg").shape == (7, 5, 3)
    assert read_size(tmp_path / "x.jpg") == (7, 5)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_files_are_named_not_guessed(tmp_path, suffix):
    buffer = io.BytesIO()
    Image.fromarray(random_mask(0, (64, 64), 200)).save(buffer, format={"jpg": "jpeg"}.get(suffix, suffix))
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    for read in (read_rgb, read_ids):
        with pytest.raises(UserError, match=rf"cut\.{suffix}: cannot be decoded") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_what_is_no_image_and_what_is_missing_are_told_apart(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match="cannot be decoded"):
        read_rgb(tmp_path / "text.png")
    with pytest.raises(UserError, match="no such file"):
        read_rgb(tmp_path / "gone.png")


def test_16_bit_images_are_refused_by_name(tmp_path):
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UserError, match="8 bits per channel"):
        read_rgb(tmp_path / "deep.png")


def test_a_mask_with_a_longer_name_is_hinted_at(dataset):
    for path in (dataset / "masks/train").iterdir():
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    problems = FolderReader(root=dataset).list_samples("train").problems
    hint = f"There is {dataset}/masks/train/t0_mask.png; if it is that, set layout.mask_suffix: _mask."
    assert hint in problems[0] and len(problems) == 6
    (dataset / "masks/train/t10.png").touch()
    (dataset / "masks/train/t1_mask.png").unlink()
    assert "There is" not in next(
        line for line in FolderReader(root=dataset).list_samples("train").problems if "/t1.png" in line
    )


def test_run_lengths_of_all_splits_may_be_in_one_file(tmp_path):
    for split, number in (("train", 0), ("val", 1)):
        photo(tmp_path / f"images/{split}/{number}.jpg", seed=number)
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels\n0.jpg,1 40\n1.jpg,5 9\n7.jpg,1 2\n")
    card = write_card(tmp_path, classes=[{"name": "no"}, {"name": "yes"}], layout={"reader": "rle"})
    for split in ("train", "val"):
        listing = build_reader(load_card(str(card))).list_samples(split)
        assert len(listing.samples) == 1
        assert listing.problems == [f"{tmp_path}/train.csv: line 4: there is no image '7.jpg'."]
    (tmp_path / "train.csv").write_text("EncodedPixels,ImageId\n1 40,0.jpg\n1 4\n")
    with pytest.raises(UserError, match=r"train.csv: line 3: is cut short, expected \['EncodedPixels', 'ImageId'\]"):
        build_reader(load_card(str(card))).list_samples("train")
