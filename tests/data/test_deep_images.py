"""Images that are not 8-bit RGB are read as they were written, from one file or from several."""

import re
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.check.duplicates import find_twins
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.readers.pixels import read_pixels, read_pixels_size
from segnext_pafpn.data.transforms import AugmentConfig, train_transform
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.inputs import read_input
from segnext_pafpn.intensity import Intensity, viewable
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.data.deep_images import save_any, scene, uint16, write_deep, write_deep_card

RANDOM = np.random.default_rng(0)
FILES = {
    "grey8.png": np.uint8,
    "grey16.png": np.uint16,
    "rgb16.png": np.uint16,
    "rgba16.png": np.uint16,
    "grey16.tif": np.uint16,
    "signed16.tif": np.int16,
    "grey32.tif": np.float32,
    "grey64.tif": np.float64,
    "rgb16.tif": np.uint16,
    "rgb32.tif": np.float32,
    "rgb8.tif": np.uint8,
    "two8.tif": np.uint8,
    "four8.tif": np.uint8,
    "seven8.tif": np.uint8,
    "seven16.tif": np.uint16,
    "five.npy": np.float32,
    "plain.npy": np.int16,
    "wide.npy": np.int32,
}
CHANNELS = {"rgb": 3, "rgba": 4, "two": 2, "four": 4, "seven": 7, "five": 5}


@pytest.mark.parametrize("name", FILES)
def test_every_depth_and_number_of_channels_is_read_as_it_was_written(tmp_path, name):
    channels = CHANNELS.get(re.match("[a-z]+", name)[0], 1)
    shape = (9, 13) if channels == 1 else (9, 13, channels)
    written = RANDOM.integers(0, 255 if FILES[name] == np.uint8 else 30_000, shape).astype(FILES[name])
    written -= 0 if name[0] in "grst" and "signed" not in name else FILES[name](5)
    save_any(tmp_path / name, written)
    read = read_pixels((tmp_path / name,))
    assert read.dtype in (np.uint8, np.uint16, np.int16, np.float32)
    np.testing.assert_array_equal(read, written.reshape(9, 13, channels).astype(read.dtype))
    assert read_pixels_size(tmp_path / name) == (9, 13)


def test_pages_and_planes_of_a_tiff_are_channels(tmp_path):
    planes = RANDOM.integers(0, 60_000, (5, 9, 13)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "pages.tif", planes, photometric="minisblack")
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="minisblack", planarconfig="separate")
    tifffile.imwrite(tmp_path / "imagej.tif", planes, imagej=True, metadata={"axes": "CYX"})
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read_pixels((path,)), planes.transpose(1, 2, 0))
        assert read_pixels_size(path) == (9, 13)


@pytest.mark.parametrize("alpha", ["unspecified", "assocalpha", "unassalpha"])
def test_a_fourth_channel_of_a_tiff_is_as_it_was_written(tmp_path, alpha):
    pixels = RANDOM.integers(0, 255, (9, 13, 4)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[alpha])
    np.testing.assert_array_equal(read_pixels((tmp_path / "a.tif",)), pixels)


def test_one_file_for_each_channel_in_the_order_of_the_patterns(tmp_path):
    card = load_card(str(write_deep(tmp_path, "files")))
    reader = build_reader(card)
    (sample, *_) = reader.list_samples("val").samples
    assert [path.name for path in sample.channel_files] == ["p0_t0.tif", "p0_t1.tif"]
    np.testing.assert_array_equal(reader.read_image(sample), uint16(scene(100, 2)[0]))


def test_channels_of_different_types_are_joined_without_loss(tmp_path):
    save_any(tmp_path / "a.tif", np.full((4, 5), 60_000, np.uint16))
    np.save(tmp_path / "b.npy", np.full((4, 5), -300, np.int16))
    joined = read_pixels((tmp_path / "a.tif", tmp_path / "b.npy"))
    assert joined.dtype == np.float32 and joined[0, 0].tolist() == [60_000, -300]


def test_a_missing_file_of_a_channel_is_a_problem(tmp_path):
    card = load_card(str(write_deep(tmp_path, "files")))
    (tmp_path / "images/train/p1_t1.tif").unlink()
    (line,) = build_reader(card).list_samples("train").problems
    assert "p1_t0.tif: a file of this image is missing. Expected" in line and "p1_t1.tif" in line


def test_files_of_different_size_are_no_image(tmp_path):
    card = load_card(str(write_deep(tmp_path, "files")))
    save_any(tmp_path / "images/train/p1_t1.tif", np.zeros((8, 8), np.uint16))
    (line,) = check_split(card, build_reader(card), "train").problems
    assert "p1_t1.tif: is 8x8, but" in line and "56x40" in line


def test_eight_bit_rgb_is_read_as_before(tmp_path):
    """A card without ``image:`` still turns a palette picture or a grey one into RGB of 8 bits."""
    save_any(tmp_path / "images/train/a.png", RANDOM.integers(0, 255, (9, 13)).astype(np.uint8))
    save_any(tmp_path / "masks/train/a.png", np.zeros((9, 13), np.uint8))
    layout = {"images": "images/{split}", "masks": "masks/{split}"}
    data = SegmentationDataModule(DataConfig(card=str(write_deep_card(tmp_path, None, **layout))))
    dataset = data.dataset(data.samples("train"), train_transform(AugmentConfig(), (8, 8)))
    assert dataset.intensity is None
    image = dataset[0, 0]["image"]
    assert image.dtype.is_floating_point is False and image.shape == (3, 8, 8)


def test_a_picture_that_two_splits_share_is_found_at_16_bits(tmp_path):
    card = load_card(str(write_deep(tmp_path, "png16")))
    for kind in ("images", "masks"):
        (tmp_path / kind / "val/copy.png").write_bytes((tmp_path / kind / "train/p2.png").read_bytes())
    reports = [check_split(card, build_reader(card), split, details=True) for split in ("train", "val")]
    (twins,) = find_twins(reports)
    assert twins.exact and twins.second.name == "copy"
    assert np.asarray(Image.open(tmp_path / "images/val/copy.png")).dtype == np.uint16


@pytest.mark.parametrize("channels", [2, 5, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_channels_that_tifffile_wrote_last_by_default_are_told_by_the_cards_number(tmp_path, channels, dtype):
    written = RANDOM.integers(0, 60_000, (11, 13, channels)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", written)  # a page for each of 11 rows
    np.testing.assert_array_equal(read_pixels((tmp_path / "a.tif",), channels), written)
    assert read_pixels_size(tmp_path / "a.tif", channels) == (11, 13)
    planes = RANDOM.integers(0, 60_000, (channels, 9, channels)).astype(dtype)  # either way: pages are channels
    tifffile.imwrite(tmp_path / "b.tif", planes)
    np.testing.assert_array_equal(read_pixels((tmp_path / "b.tif",), channels), planes.transpose(1, 2, 0))


def test_a_data_set_of_such_files_is_read_and_predicted(tmp_path):
    card = write_deep(tmp_path, "tiff32")
    for path in sorted((tmp_path / "images").rglob("*.tif")):
        tifffile.imwrite(path, read_pixels((path,)))
    loaded = load_card(str(card))
    reader = build_reader(loaded)
    assert check_split(loaded, reader, "train").problems == []
    sample = reader.list_samples("train").samples[0]
    assert reader.read_image(sample).shape[:2] == reader.size(sample)
    intensity = Intensity(method="none", channels=2, mean=(0.0,) * 2, std=(1.0,) * 2)
    names, colors = ("a", "b"), ((0, 0, 0), (1, 1, 1))
    preprocessing = Preprocessing.of_images(intensity, names, colors, None)
    assert read_input((sample.image,), preprocessing).shape == (*reader.size(sample), 2)


def test_the_slice_between_its_neighbours_is_what_is_seen_of_8_bits_too():
    slices = np.stack([np.full((4, 5), value, np.uint8) for value in (10, 200, 90)], axis=2)
    slices[0, 0] = 0
    shown = viewable(slices, neighbours=1)
    assert np.ptp(shown, axis=2).max() == 0 and np.array_equal(shown[0, 0], [0, 0, 0])


def test_grey_with_alpha_of_16_bits_keeps_two_channels_and_turned_colours_are_refused(tmp_path):
    rgba = RANDOM.integers(0, 60_000, (9, 13, 4)).astype(np.uint16)
    rgba[..., :3] = rgba[..., :1]
    # no library here writes a PNG of grey and alpha of 16 bits
    rows = b"".join(b"\0" + row[:, [0, 3]].astype(">u2").tobytes() for row in rgba)
    head = struct.pack(">IIBBBBB", 13, 9, 16, 4, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    (tmp_path / "la.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert np.array_equal(read_pixels((tmp_path / "la.png",)), rgba[..., [0, 3]])
    save_any(tmp_path / "rgb16.png", rgba[..., :3])
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    content = (tmp_path / "rgb16.png").read_bytes()
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    (tmp_path / "turned.png").write_bytes(content[:33] + chunk + content[33:])
    with pytest.raises(UserError, match=r"turned.png: colours of 16 bits: the picture is to be turned .*orientation 6"):
        read_pixels((tmp_path / "turned.png",))
