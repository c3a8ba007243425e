"""Images that are not 8-bit RGB are augmented, jittered and shown like others."""

import pickle

import cv2
import numpy as np
import pytest

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.jitter import jitter_values
from segnext_pafpn.data.transforms import AugmentConfig, apply_transform, train_transform
from segnext_pafpn.intensity import viewable
from tests.data.deep_images import form, write_deep

RANDOM = np.random.default_rng(0)


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
