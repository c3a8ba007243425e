"""TIFFs, and other pictures of more than 8 bits, that are read as they are or refused in one line."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import build_reader
from tests.data.deep_images import save_any, scene, uint16, write_deep
from tests.data.problems import WHOLE, checked_card, only
from tests.data.problems import problems_of_card as problems
from tests.data.test_volumes import scans
from tests.data.volumes import SHAPE, intensities, labels


@pytest.mark.parametrize("dtype", [">u2", ">i2", ">f4", "<u2", "<i2", "<f4"])
@pytest.mark.parametrize("axes", [2, 3])
def test_signed_unsigned_and_big_endian_tiffs_are_read_as_they_are(tmp_path, dtype, axes):
    values = np.arange(5 * 7 * 9).reshape(5, 7, 9) * 60 - (0 if "u" in dtype else 9000)
    if axes == 3:
        card = scans(tmp_path, ending=".tif")
        volume = np.resize(values, SHAPE).astype(dtype)
        tifffile.imwrite(tmp_path / "images/p0.tif", volume, byteorder=dtype[0], photometric="minisblack")
        reader = build_reader(load_card(str(card)), layout=WHOLE)
        read = np.stack([reader.read_image(s)[..., 0] for s in reader.list_samples("train").samples if s.case == "p0"])
        assert np.array_equal(read, volume) and read.dtype.isnative
        return
    card = write_deep(tmp_path, "tiff16")
    picture = np.resize(values, (40, 56)).astype(dtype)
    tifffile.imwrite(tmp_path / "images/train/p0.tif", picture, byteorder=dtype[0])
    reader = build_reader(load_card(str(card)))
    read = reader.read_image(reader.list_samples("train").samples[0])[..., 0]
    assert np.array_equal(read, picture) and read.dtype.isnative


def spoil_compression(path):
    """Write JPEG 2000 into the tag of the first page, which needs a package that is not installed."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags["Compression"].valueoffset
    content[at : at + 2] = (34712).to_bytes(2, "little")
    path.write_bytes(content)


def test_a_tiff_compressed_by_what_is_not_installed_names_the_package(tmp_path):
    stack = scans(tmp_path / "stack", ending=".tif")
    spoil_compression(tmp_path / "stack/images/p1.tif")
    only(
        problems(stack, **WHOLE),
        "images/p1.tif: cannot be decoded (",
        "requires the 'imagecodecs'",
        "pip install",
    )
    picture = write_deep(tmp_path / "picture", "tiff16")
    spoil_compression(tmp_path / "picture/images/train/p1.tif")
    only(
        problems(picture),
        "train/p1.tif: cannot be decoded (",
        "requires the 'imagecodecs'",
        "pip install imagecodecs",
    )


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiffs_of_the_usual_compressions_are_read(tmp_path, compression):
    card = write_deep(tmp_path, "tiff16")
    values = uint16(scene(1, 1)[0])[..., 0]
    Image.fromarray(values).save(tmp_path / "images/train/p1.tif", compression=compression)
    reader = build_reader(load_card(str(card)))
    assert np.array_equal(reader.read_image(reader.list_samples("train").samples[1])[..., 0], values)
    stack = scans(tmp_path / "stack", ending=".tif")
    pages = [Image.fromarray(page) for page in intensities(labels(1), 1, np.uint16, 900)]
    path = tmp_path / "stack/images/p1.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
    assert problems(stack, **WHOLE) == []


def test_a_tiff_with_a_small_second_picture(tmp_path):
    picture, stack = write_deep(tmp_path / "picture", "tiff16"), scans(tmp_path / "stack", ending=".tif")
    for path in (tmp_path / "picture/images/train/p1.tif", tmp_path / "stack/images/p1.tif"):
        with tifffile.TiffWriter(path) as file:
            file.write(np.zeros((40, 56), np.int16))
            file.write(np.zeros((20, 28), np.int16))
    only(problems(picture), "train/p1.tif: its pages are of 2 sizes or kinds, expected one")
    only(problems(stack, **WHOLE), "images/p1.tif: its pages are of 2 sizes or kinds, expected one")


def test_pictures_of_8_bits_among_deeper_ones_are_a_warning(tmp_path):
    card = write_deep(tmp_path, "png16")
    assert checked_card(card, details=True).warnings == []
    save_any(tmp_path / "images/train/p1.png", (scene(1, 1)[0][..., 0] / 10 + 100).astype(np.uint8))
    report = checked_card(card, details=True)
    assert report.problems == []
    only(report.warnings, "split 'train': ", "images/train/p1.png: has 8 bits, as have 1 of 3 images, the others more")


def test_channels_that_come_first_are_told_from_the_width(tmp_path):
    card = write_deep(tmp_path, "npy5")
    np.save(tmp_path / "images/train/p1.npy", scene(1, 5)[0].transpose(2, 0, 1).astype(np.float32))
    only(problems(card), "p1.npy: the image has 56 channels (shape (5, 40, 56)), the card expects 5")
