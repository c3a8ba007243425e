"""Images that are not 8-bit RGB and do not fit their card are refused in one line."""

import builtins
import re

import numpy as np
import pytest
import tifffile

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.image_format import parse_image_format
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from segnext_pafpn.intensity import Intensity
from tests.data.deep_images import KINDS, save_any, write_deep, write_deep_card


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"chanels": 1}, "unknown key 'chanels'. Did you mean 'channels'?"),
        ({"channels": 0}, "image.channels: expected a whole number of 1 to 512, found 0"),
        ({"channels": 1.5}, "found 1.5"),
        ({"normalize": "z-score"}, "'z-score' is not known. Did you mean 'zscore'?"),
        ({"statistics": "train"}, "statistics: 'train' is not known"),
        ({"channels": 1, "normalize": "imagenet"}, "imagenet is for 8-bit images of 3 channels"),
        ({"normalize": "imagenet", "window": [0, 1]}, "imagenet is for 8-bit images of 3 channels without a window"),
        ({"channels": 2, "window": [5, 5]}, "expected [low, high] with low < high"),
        ({"channels": 2, "window": [[0, 1]]}, "a pair for each of the 2 channels"),
        ({"channels": 1, "percentiles": [0.5, 101]}, "expected [low, high] of 0 to 100"),
        ("grey", "expected a mapping"),
    ],
)
def test_a_wrong_image_key_is_refused_in_one_line(content, words):
    with pytest.raises(UserError, match=re.escape(words)):
        parse_image_format(content, "card.yaml: image")


def spoiled(tmp_path, kind, array=None, data=None):
    """The one problem of a data set whose p1 has been replaced."""
    card = load_card(str(write_deep(tmp_path, kind)))
    path = tmp_path / f"images/train/p1{KINDS[kind][1]}"
    path.write_bytes(data(path.read_bytes())) if data else save_any(path, array)
    report = check_split(card, build_reader(card), "train")
    (line,) = report.problems
    assert f"train/p1{KINDS[kind][1]}: " in line and "\n" not in line
    assert bool(report.unreadable) == ("cannot be decoded" in line)
    return line


@pytest.mark.parametrize(("kind", "found", "wanted"), [("png16", 3, 1), ("npy5", 4, 5), ("tiff32", 1, 2)])
def test_another_number_of_channels_is_a_problem_that_names_file_found_and_expected(tmp_path, kind, found, wanted):
    shape = (40, 56) if found == 1 else (40, 56, found)
    array = np.zeros(shape, np.float32 if kind == "tiff32" else np.uint16)
    line = spoiled(tmp_path, kind, array)
    assert f"the image has {found} channel" in line and f"expects {wanted}. Set image.channels" in line


def test_a_tiff_with_its_channels_last_and_of_another_number_says_how_to_write_it(tmp_path):
    write_deep(tmp_path, "tiff32")
    tifffile.imwrite(tmp_path / "images/train/p1.tif", np.zeros((40, 56, 5), np.float32))
    card = load_card(str(tmp_path / "card.yaml"))
    (line,) = check_split(card, build_reader(card), "train").problems
    assert "p1.tif: the image has 40 channels (shape (56, 5, 40)), the card expects 2." in line
    assert "If 5 are the channels, write the TIFF with photometric='minisblack', planarconfig='contig'." in line


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_a_problem_that_says_where(tmp_path, value):
    image = np.zeros((40, 56, 5), np.float32)
    image[7, 3, 4] = value
    assert "1 values are NaN or infinite (first at x 3, y 7, channel 5)" in spoiled(tmp_path, "npy5", image)


@pytest.mark.parametrize("kind", [*KINDS])
def test_a_file_that_was_cut_off_is_a_problem(tmp_path, kind):
    line = spoiled(tmp_path, kind, data=lambda data: data[: len(data) // 2])
    assert "cannot be decoded" in line


def test_16_bits_without_an_image_key_say_what_to_write(tmp_path):
    write_deep(tmp_path, "png16")
    card = load_card(str(write_deep_card(tmp_path, None, images="images/{split}", masks="masks/{split}")))
    line = check_split(card, build_reader(card), "train").problems[0]
    assert "p0.png: the image has more than 8 bits per channel, expected 8" in line and "image: {channels: 1" in line


def test_several_files_without_an_image_key_say_what_to_write(tmp_path):
    write_deep_card(tmp_path, None, images=["images/{name}_a.tif", "images/{name}_b.tif"], masks="masks")
    with pytest.raises(UserError, match="image: {channels: 2"):
        build_reader(load_card(str(tmp_path / "card.yaml")))


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    def refuse(name, *arguments, original=builtins.__import__, **options):
        if name == "tifffile":
            raise ImportError(name)
        return original(name, *arguments, **options)

    card = load_card(str(write_deep(tmp_path, "tiff32")))
    monkeypatch.setattr(builtins, "__import__", refuse)
    line = check_split(card, build_reader(card), "train").problems[0]
    assert "p0.tif: reading it needs tifffile" in line and "segnext-pafpn[medical]" in line


def test_no_foreground_in_the_train_split_gives_no_statistics(tmp_path):
    card = load_card(str(write_deep(tmp_path, "tiff32")))
    for path in (tmp_path / "masks/train").iterdir():
        save_any(path, np.zeros((40, 56), np.uint8))
    assert check_split(card, build_reader(card), "train").statistics is None


def test_numbers_of_other_images_are_refused(tmp_path):
    card = write_deep(tmp_path, "npy5")
    grey = Intensity(method="zscore", channels=1, mean=(0.0,), std=(1.0,))
    with pytest.raises(UserError, match="is for images of 1 channels .* has images of 5 channels"):
        SegmentationDataModule(DataConfig(card=str(card), intensity=grey))
    with pytest.raises(UserError, match="8-bit RGB"):
        SegmentationDataModule(DataConfig(card="streets", intensity=grey))
