"""Images that are not 8-bit RGB: read as they are, normalised as numpy would by hand, refused where they do not fit."""

import builtins
import pickle
import re

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.datamodule import DataConfig, SegmentationDataModule
from segnext_pafpn.data.image_format import parse_image_format
from segnext_pafpn.data.jitter import jitter_values
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.readers.pixels import read_pixels, read_pixels_size
from segnext_pafpn.data.transforms import AugmentConfig, apply_transform, train_transform
from segnext_pafpn.errors import UserError
from segnext_pafpn.intensity import Intensity, viewable
from tests.data.deep_images import KINDS, save_any, scene, uint16, write_deep, write_deep_card

RANDOM = np.random.default_rng(0)


def form(**content):
    return parse_image_format(content, "card.yaml: image")


def image_of(channels, *values):
    """One row of pixels."""
    return np.array(values, np.float32).reshape(1, -1, channels)


# --- reading

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


# --- normalising

VALUES = np.array([[0, 10], [100, 20], [1000, 30], [-50, 40]], np.float64)  # four pixels of two channels


def normalised(content, statistics_of=VALUES, values=VALUES):
    """What becomes of ``values`` once the numbers are found on ``statistics_of``, all of it foreground."""
    from segnext_pafpn.data.statistics import join, measure_image

    spec = form(channels=2, **content)
    image = statistics_of.astype(np.float32).reshape(2, 2, 2)
    measured = measure_image(image, np.ones((2, 2), np.uint8), 2, spec, 10**6)
    intensity = spec.intensity(join([measured], spec.percentiles) if spec.needs_statistics else None)
    return intensity(values.astype(np.float32).reshape(2, 2, 2)).reshape(4, 2)


def by_hand(values):
    low, high = np.percentile(values, (0.5, 99.5), axis=0)
    clipped = np.clip(values, low, high)
    return {
        "none": values,
        "zscore": (values - values.mean(0)) / values.std(0),
        "rescale": (values - values.min(0)) / (values.max(0) - values.min(0)),
        "percentile": (clipped - low) / (high - low),
        "ct": (clipped - values.mean(0)) / values.std(0),
    }


@pytest.mark.parametrize("statistics", ["foreground", "all", "image"])
@pytest.mark.parametrize("method", ["none", "zscore", "rescale", "percentile", "ct"])
def test_each_way_of_normalising_is_numpys_by_hand(method, statistics):
    result = normalised({"normalize": method, "statistics": statistics})
    np.testing.assert_allclose(result, by_hand(VALUES)[method], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("statistics", ["all", "image"])
@pytest.mark.parametrize("method", ["zscore", "percentile", "ct"])
def test_a_window_cuts_before_anything_is_measured(method, statistics):
    cut = np.clip(VALUES, (-10, 15), (200, 35))
    result = normalised({"normalize": method, "window": [[-10, 200], [15, 35]], "statistics": statistics})
    np.testing.assert_allclose(result, by_hand(cut)[method], rtol=1e-5, atol=1e-6)


def test_a_window_alone_becomes_0_to_1():
    intensity = form(channels=1, window=[-160, 240]).intensity()
    image = np.array([-1000, -160, 40, 240, 3000], np.int16).reshape(1, 5, 1)
    np.testing.assert_allclose(intensity(image).ravel(), [0, 0, 0.5, 1, 1])


def test_the_numbers_of_the_train_split_are_those_of_its_foreground(tmp_path):
    card = load_card(str(write_deep(tmp_path, "npy5")))
    for statistics in ("foreground", "all"):
        image = {"channels": 5, "normalize": "ct", "statistics": statistics}
        card = load_card(str(write_deep_card(tmp_path, image, images="images/{split}", masks="masks/{split}")))
        found = check_split(card, build_reader(card), "train").statistics
        pairs = [scene(i, 5) for i in range(3)]
        chosen = np.concatenate([i[m > 0] if statistics == "foreground" else i.reshape(-1, 5) for i, m in pairs])
        chosen = chosen.astype(np.float32)
        np.testing.assert_allclose(found.mean, chosen.mean(0, dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(found.std, chosen.std(0, dtype=np.float64), rtol=1e-6)
        low, high = np.percentile(chosen, (0.5, 99.5), axis=0)
        np.testing.assert_allclose((found.percentile_low, found.percentile_high), (low, high), rtol=1e-6)
        every = np.concatenate([i.reshape(-1, 5) for i, _ in pairs]).astype(np.float32)
        np.testing.assert_array_equal((found.lowest, found.highest), (every.min(0), every.max(0)))


def test_few_picked_pixels_still_give_percentiles_near_the_true_ones(tmp_path):
    from segnext_pafpn.data.statistics import join, measure_image

    values = RANDOM.normal(100, 20, (400, 500, 1)).astype(np.float32)
    ones = np.ones((400, 500), np.uint8)
    part = measure_image(values, ones, 2, form(channels=1), 5000)
    assert len(part.picked) <= 5000
    found = join([part, part], (0.5, 99.5))
    np.testing.assert_allclose(found.percentile_low, 100 - 2.576 * 20, atol=3)
    np.testing.assert_allclose(found.mean, values.mean(), rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (1, 30, 1), elements=st.floats(-1e6, 1e6, width=32)),
    st.sampled_from(["rescale", "percentile"]),
    st.one_of(st.none(), st.tuples(st.integers(-1000, 0), st.integers(1, 1000))),
)
def test_rescaling_is_monotone_and_bounded(image, method, window):
    content = {"channels": 1, "normalize": method, "statistics": "image"}
    result = form(**content, **({"window": list(window)} if window else {})).intensity()(image)
    assert result.min() >= 0 and result.max() <= 1
    order = np.argsort(image.ravel(), kind="stable")
    assert (np.diff(result.ravel()[order]) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (1, 30, 1), elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from(["zscore", "ct"]))
def test_zscores_are_monotone_and_finite(image, method):
    result = form(channels=1, normalize=method, statistics="image").intensity()(image)
    assert np.isfinite(result).all()
    assert (np.diff(result.ravel()[np.argsort(image.ravel(), kind="stable")]) >= 0).all()


@pytest.mark.parametrize("method", ["zscore", "ct", "percentile", "rescale"])
@pytest.mark.parametrize("value", [0, 0.1, -1234.5, 1e6])
def test_a_constant_image_becomes_zeros(method, value):
    image = np.full((9, 13, 2), value, np.float32)
    result = form(channels=2, normalize=method, statistics="image").intensity()(image)
    np.testing.assert_allclose(result, 0, atol=1e-6 * max(1, abs(value)))


def test_a_channel_that_is_constant_over_the_split_is_warned_of(tmp_path):
    card = load_card(str(write_deep(tmp_path, "npy5")))
    for path in (tmp_path / "images/train").iterdir():
        image = np.load(path)
        image[..., 3] = 7
        np.save(path, image)
    found = check_split(card, build_reader(card), "train", details=True)
    assert [line for line in found.warnings if "channel 4 of the images is 7 in every pixel" in line]
    assert found.problems == []


# --- what does not fit


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
    assert "p0.tif: a TIFF of this kind needs tifffile" in line and "segnext-pafpn[medical]" in line


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


# --- augmenting and showing


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_geometry_treats_every_channel_and_the_mask_alike(channels):
    """The mask's own values in all channels stay where the mask is, through zoom, crop, turn and flips."""
    config = AugmentConfig(scale=(1.0, 1.0), vertical_flip=0.5, rotate90=1.0, color=0)
    mask = cv2.resize(RANDOM.integers(0, 2, (6, 8)).astype(np.uint8), (64, 48), interpolation=cv2.INTER_NEAREST)
    image = mask[..., None] * np.arange(1, channels + 1, dtype=np.float32) * 100 - 50
    for seed in range(8):
        changed, moved = apply_transform(train_transform(config, (32, 32), rgb8=False), image, mask, seed)
        assert changed.shape == (32, 32, channels) and changed.dtype == np.float32
        np.testing.assert_array_equal(changed, moved[..., None] * np.arange(1, channels + 1) * 100 - 50)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_augmented_floats_keep_their_range_and_follow_the_seed(channels):
    config = AugmentConfig(scale=(0.5, 1.5), color=0.3, blur=1.0, noise=1.0)
    image = RANDOM.normal(-300, 100, (48, 64, channels)).astype(np.float32)
    transform = train_transform(config, (40, 40), (50, 60), rgb8=False)
    results = [apply_transform(transform, image, np.zeros((48, 64), np.uint8), seed)[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()
    assert results[0].shape == (40, 40, channels) and results[0].min() < -200  # not cut to 0..1


def test_a_data_set_of_floats_goes_to_worker_processes_of_any_kind(tmp_path):
    """Where processes are spawned, as on macOS and Windows, the data set is pickled."""
    config = DataConfig(card=str(write_deep(tmp_path, "npy5")), augment=AugmentConfig(blur=0.5, noise=0.5))
    data = SegmentationDataModule(config)
    transform = train_transform(config.augment, (32, 32), rgb8=False)
    dataset = data.dataset(data.samples("train"), transform)
    copied = pickle.loads(pickle.dumps(dataset))
    assert (dataset[0, 1]["image"] == copied[0, 1]["image"]).all()
    assert dataset[0, 1]["image"].shape == (5, 32, 32)


def test_noise_is_for_8_bit_rgb_too():
    image = np.full((16, 16, 3), 100, np.uint8)
    config = AugmentConfig(scale=(1.0, 1.0), color=0, noise=1.0)
    noisy, _ = apply_transform(train_transform(config, (16, 16)), image, np.zeros((16, 16), np.uint8), 0)
    assert noisy.dtype == np.uint8 and 0 < np.abs(noisy.astype(int) - 100).mean() < 30


def test_jitter_is_the_same_whatever_the_unit():
    image = RANDOM.normal(0, 1, (20, 20, 7)).astype(np.float32)
    plain = jitter_values(image, np.random.default_rng(3), strength=0.3)
    scaled = jitter_values(1000 * image + 5000, np.random.default_rng(3), strength=0.3)
    np.testing.assert_allclose((scaled - 5000) / 1000, plain, atol=2e-3)
    assert len({round(float(v), 4) for v in (plain - image).mean(axis=(0, 1))}) == 7  # each channel by itself


def test_jitter_leaves_a_constant_channel_alone():
    image = np.full((8, 8, 2), 3, np.float32)
    np.testing.assert_allclose(jitter_values(image, np.random.default_rng(0), strength=0.5), 3)


def test_pictures_show_the_window_or_what_the_image_has():
    image = np.array([-2000, -160, 40, 240], np.int16).reshape(2, 2, 1)
    shown = viewable(image, form(channels=1, window=[-160, 240]).intensity())
    assert shown.shape == (2, 2, 3) and shown[..., 0].ravel().tolist() == [0, 0, 128, 255]
    five = RANDOM.normal(0, 5, (30, 30, 5)).astype(np.float32)
    shown = viewable(five)
    assert shown.shape == (30, 30, 3) and shown.dtype == np.uint8 and (shown.min(), shown.max()) == (0, 255)
    rgb = RANDOM.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    assert viewable(rgb) is rgb
    assert (viewable(np.full((4, 4, 1), 9, np.uint16)) == 0).all()


def test_a_picture_that_two_splits_share_is_found_at_16_bits(tmp_path):
    from segnext_pafpn.data.check.duplicates import find_twins

    card = load_card(str(write_deep(tmp_path, "png16")))
    for kind in ("images", "masks"):
        (tmp_path / kind / "val/copy.png").write_bytes((tmp_path / kind / "train/p2.png").read_bytes())
    reports = [check_split(card, build_reader(card), split, details=True) for split in ("train", "val")]
    (twins,) = find_twins(reports)
    assert twins.exact and twins.second.name == "copy"
    assert np.asarray(Image.open(tmp_path / "images/val/copy.png")).dtype == np.uint16
