"""Files that are not what their names say, and folders that do not end: one line that says what is there instead."""

import json
import os
import struct
import unicodedata
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_data, check_split
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.readers.files import read_rgb, read_size
from segnext_pafpn.data.readers.patterns import scan
from segnext_pafpn.errors import UserError
from tests.conftest import write_card
from tests.data.layouts import blocks, photo, save
from tests.data.problems import TWO, only, problems

TIMES = pytest.mark.parametrize("kind", ["i", "m"])


@TIMES
def test_an_empty_file(folder, kind):
    (folder / f"{kind}/p0_0.png").write_bytes(b"")
    only(problems(folder), f"{kind}/p0_0.png: cannot be decoded: the file is empty (0 bytes). Copy it again")


@TIMES
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS, not the file itself"),
        (b"<!DOCTYPE html><html><body>Please log in", "a web page, such as a login or an error"),
        (b"\0" * 4096, "it begins with zeros, as after a copy that broke off"),
        (b"\1" * 128 + b"DICM" + b"\0" * 100, "it is a DICOM file. Convert it to NIfTI (dcm2niix does), TIFF or PNG"),
        (b"\x1f\x8b\x08\0" + b"\1" * 100, "it is compressed by gzip, against what its name says"),
        (b"some words", "cannot be decoded (it is no image of a known kind). Replace the file"),
    ],
)
def test_something_else_under_a_pictures_name(folder, kind, content, words):
    (folder / f"{kind}/p0_0.png").write_bytes(content)
    only(problems(folder), f"{kind}/p0_0.png: cannot be decoded", words)


@TIMES
def test_a_png_that_is_cut_short_or_has_a_damaged_byte(folder, kind):
    path = folder / f"{kind}/p0_0.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    only(problems(folder), f"{kind}/p0_0.png: cannot be decoded (image file is truncated)")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    path.write_bytes(damaged)
    only(problems(folder), f"{kind}/p0_0.png: cannot be decoded")


def test_a_picture_may_be_as_large_as_a_slide_but_one_of_too_many_pixels_is_named(folder):
    path = folder / "i/p0_0.png"
    content = path.read_bytes()
    for width, height in ((20_000, 15_000), (70_000, 70_000)):
        header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
        path.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
        if width == 20_000:
            assert read_size(path) == (15_000, 20_000)
    only(problems(folder), "i/p0_0.png: cannot be decoded (Image size (4900000000 pixels) exceeds limit")


def test_a_link_to_nothing_and_a_link_to_itself(folder):
    for name, target in (("p0_0", "gone.png"), ("p0_1", "p0_1.png")):
        (folder / f"i/{name}.png").unlink()
        (folder / f"i/{name}.png").symlink_to(target)
    nothing, itself = problems(folder)
    assert "i/p0_0.png: is a link to gone.png, which is not there. Copy the file itself." in nothing
    assert "i/p0_1.png: cannot be decoded" in itself and "Too many levels of symbolic links" in itself


def test_folders_that_are_links_are_searched_unless_they_lead_back(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    photo(elsewhere / "9.png", seed=9)
    save(folder / "m/more/9.png", blocks(9, [0, 1]))
    (folder / "i/more").symlink_to(elsewhere)
    assert problems(folder, recursive=True) == []
    (folder / "i/again").symlink_to(folder / "i")
    only(problems(folder, recursive=True), "i/again: is a link to", "a folder above it, so the search would never end")


@contextmanager
def without_rights():
    """As a user who is not the superuser, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_and_a_folder_that_may_not_be_read(folder):
    (folder / "i/p0_0.png").chmod(0)
    with without_rights(), pytest.raises(UserError, match=r"p0_0.png: may not be read \(Permission denied\). Correct"):
        read_rgb(folder / "i/p0_0.png")
    (folder / "m").chmod(0)
    try:
        with without_rights(), pytest.raises(UserError, match=r"/m/: cannot be listed \(Permission denied\). Correct"):
            list(scan(str(folder / "m"), 0))
    finally:
        (folder / "m").chmod(0o755)


def load_card_of(folder):
    return load_card(str(write_card(folder, classes=TWO, layout={"reader": "folder", "images": "i", "masks": "m"})))


def test_names_of_any_letters_are_paired(folder):
    names = ("Bild 1 ä.PNG", "Ö [1] {2} (3)+.Png", "1.2.840.113619.png", "図.png", "-x.png")
    for name in names:
        photo(folder / f"i/{name}", seed=1)
        save(folder / f"m/{name.lower().replace('bild', 'Bild').replace('ö', 'Ö')}", blocks(1, [0, 1]))
    card = load_card_of(folder)
    listing = build_reader(card).list_samples("train")
    assert listing.problems == listing.warnings == [] and len(listing.samples) == 6 + len(names)
    assert problems(folder) == []


@pytest.mark.parametrize("change", [str.upper, lambda name: unicodedata.normalize("NFD", name)])
def test_a_mask_whose_name_is_spelt_otherwise_is_pointed_at(folder, change):
    photo(folder / "i/müller.png", seed=1)
    save(folder / f"m/{change('müller')}.png", blocks(1, [0, 1]))
    if (folder / "m/müller.png").exists():
        pytest.fail("the file system takes both names for one")
    only(problems(folder), "i/müller.png: no mask for this image", f"There is {folder}/m/{change('müller')}.png, spelt")


def test_what_systems_leave_in_folders_is_passed_over(folder):
    for kind in "im":
        for name in ("Thumbs.db", ".DS_Store", "._p0_0.png", "desktop.ini", "notes.txt"):
            (folder / kind / name).write_bytes(b"x")
        (folder / kind / "p9_9.png").mkdir()
    assert problems(folder) == []


def test_two_images_of_one_name_and_two_endings(folder):
    photo(folder / "i/p0_0.JPG", seed=0)
    only(problems(folder), "i/p0_0.JPG and ", "i/p0_0.png: two files of one name", "which is the image 'p0_0'")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.dcm", "b.dcm"], "(found 2 x .dcm; convert DICOM first, as with dcm2niix)"),
        (["a.nii.gz", "c.d.txt"], "(found 1 x .nii.gz, 1 x .txt; volumes need layout.reader: volumes)"),
        (["a.mha", "README"], "(found 1 x .mha, 1 x no suffix)"),
        ([], "holds no image whose name ends in '.png, .jpg, ...'. Expected the images of 'train' there"),
    ],
)
def test_a_folder_without_a_picture_says_what_is_in_it(tmp_path, names, words):
    for kind in "im":
        (tmp_path / kind).mkdir()
    for name in names:
        (tmp_path / "i" / name).write_bytes(b"x")
    only(problems(tmp_path), "i: holds no image", words)


def test_an_image_without_mask_and_a_mask_without_image(folder):
    (folder / "m/p0_0.png").unlink()
    (folder / "i/p2_5.png").unlink()
    card = load_card_of(folder)
    listing = build_reader(card).list_samples("train")
    only(listing.problems, "i/p0_0.png: no mask for this image. Expected", "m/p0_0.png")
    only(listing.warnings, "m/p2_5.png: no image for this mask (expected", "it is not used")


# --- pictures of other kinds than 8-bit RGB


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "L", "1", "P"])
def test_pictures_in_other_colours_are_read(folder, mode):
    image = Image.open(folder / "i/p0_0.png")
    (folder / "i/p0_0.png").unlink()
    path = folder / f"i/p0_0.{'jpg' if mode in ('CMYK', 'YCbCr') else 'png'}"
    image.convert(mode).save(path)
    assert problems(folder) == []
    found = read_rgb(path).astype(int)
    expected = np.asarray(image.convert("L" if mode in "L1" else "RGB").convert("RGB")).astype(int)
    assert np.abs(found - expected).mean() < {"1": 130, "P": 30}.get(mode, 15)


def test_alpha_of_images_and_masks_means_nothing(folder):
    image = Image.open(folder / "i/p0_0.png")
    before = np.asarray(image)
    image.putalpha(100)
    image.save(folder / "i/p0_0.png")
    assert np.array_equal(read_rgb(folder / "i/p0_0.png"), before)
    for i, mode in enumerate(("RGBA", "LA")):
        Image.fromarray(blocks(i, [0, 1])).convert(mode).save(folder / f"m/p0_{i}.png")
    assert problems(folder) == []
    reader = build_reader(load_card_of(folder))
    for i, sample in enumerate(reader.list_samples("train").samples[:2]):
        assert np.array_equal(reader.read_mask(sample), blocks(i, [0, 1]))


def test_a_photograph_that_its_exif_data_turn_against_its_mask(folder):
    image, exif = Image.open(folder / "i/p0_0.png"), Image.Exif()
    (folder / "i/p0_0.png").unlink()
    exif[0x0112] = 6
    image.save(folder / "i/p0_0.jpg", exif=exif)
    only(problems(folder), "m/p0_0.png: the mask is 56x40, its image 40x56 (width x height). They must agree")


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
@TIMES
def test_an_animation_is_no_picture(folder, kind, ending):
    first, second = (Image.open(folder / f"{kind}/p0_{i}.png") for i in range(2))
    (folder / f"{kind}/p0_0.png").unlink()
    options = {"lossless": True} if ending == "webp" else {}
    first.save(folder / f"{kind}/p0_0.{ending}", save_all=True, append_images=[second], **options)
    only(problems(folder), f"{kind}/p0_0.{ending}: holds 2 pages, expected one picture")


# --- masks


@pytest.mark.parametrize("size", [(41, 56), (56, 40), (1, 1)])
def test_a_mask_of_another_size_or_turned(folder, size):
    save(folder / "m/p0_0.png", blocks(0, [0, 1], size))
    only(problems(folder), f"m/p0_0.png: the mask is {size[1]}x{size[0]}, its image 56x40")


def test_an_id_beyond_the_card(folder):
    save(folder / "m/p0_0.png", blocks(0, [0, 1, 7]))
    only(problems(folder), "m/p0_0.png: value 7 is not in the card (known: 0-1). Add to a class's ids, or to ignore.")


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_ids_below_zero(folder, dtype):
    (folder / "m/p0_0.png").unlink()
    mask = blocks(0, [0, 1]).astype(dtype)
    mask[0, 0] = -1
    np.save(folder / "m/p0_0.npy", mask)
    only(problems(folder), f"m/p0_0.npy: the mask holds {np.dtype(dtype)} values of -1 to 1, expected integers of 0")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda p: np.save(p, np.array([{"a": 1}]), allow_pickle=True), "Object arrays cannot be loaded"),
        (
            lambda p: np.savez(p.with_suffix(".npz"), a=blocks(0, [0, 1])) or p.with_suffix(".npz").rename(p),
            "an archive (.npz) of the arrays a, expected one",
        ),
        (lambda p: p.write_bytes(b"PK\x03\x04 cut"), "cannot be decoded"),
        (lambda p: p.write_bytes(b""), "the file is empty (0 bytes)"),
        (lambda p: np.save(p, np.zeros((0, 0), np.uint8)), "the mask is 0x0, its image 56x40"),
    ],
)
def test_arrays_that_are_no_mask(folder, write, words):
    (folder / "m/p0_0.png").unlink()
    write(folder / "m/p0_0.npy")
    only(problems(folder), "m/p0_0.npy: ", words)


def test_masks_without_any_foreground_are_a_warning(folder):
    for path in (folder / "m").iterdir():
        save(path, np.zeros((40, 56), np.uint8))
    card = load_card_of(folder)
    report = check_split(card, build_reader(card), "train")
    assert report.problems == [] and len(report.empty) == 6
    only(check_data(card, [report], []).warnings, "class 'yes' has no pixel, expected id 1 in its masks")


def test_a_name_that_is_not_utf_8_stands_in_reports_with_its_bytes(folder):
    name = os.fsdecode(b"caf\xe9.png")
    photo(folder / f"i/{name}", seed=0)
    save(folder / f"m/{name}", np.zeros((40, 56), np.uint8))
    card = write_card(
        folder, classes=TWO, layout={"reader": "folder", "images": "i", "masks": "m", "val_fraction": 0.3}
    )
    reports = [str(folder / "report.json"), str(folder / "report.html")]
    arguments = ["check", "--data", str(card), "--json", reports[0], "--html", reports[1]]
    assert main(arguments) == 0
    assert json.loads(Path(reports[0]).read_text()) and "caf\\udce9.png" in Path(reports[1]).read_text()
