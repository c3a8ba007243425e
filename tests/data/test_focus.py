"""Crops laid around chosen classes: as often as asked, of the classes asked for, and for every kind of image."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.focus import CropFocus, class_odds, lay_around, pick_pixel, rare_weights
from segnext_pafpn.data.transforms import AugmentConfig, apply_transform, train_transform
from segnext_pafpn.errors import UserError

CROP = (24, 32)
STILL = AugmentConfig(scale=(1.0, 1.0), horizontal_flip=0.0, color=0.0)
MOVING = AugmentConfig(scale=(1.0, 2.0), vertical_flip=0.5, rotate90=0.5, color=0.0)


def speck(row: int, column: int, size: tuple[int, int] = (150, 200)) -> np.ndarray:
    """Class 0 with three by three pixels of class 2 and a border of ignored ones."""
    mask = np.zeros(size, np.uint8)
    mask[:5] = 255
    mask[row : row + 3, column : column + 3] = 2
    return mask


def share_that_holds(mask: np.ndarray, augment: AugmentConfig, probability: float, count: int = 400) -> float:
    transform = train_transform(augment, CROP, focus=(probability, np.array([0.0, 1.0, 1.0])))
    image = np.zeros((*mask.shape, 3), np.uint8)
    return np.mean([(apply_transform(transform, image, mask, seed)[1] == 2).any() for seed in range(count)])


@pytest.mark.parametrize("augment", [STILL, MOVING])
@pytest.mark.parametrize("probability", [0.3, 0.8, 1.0])
def test_so_many_crops_hold_the_class_as_the_probability_says(augment, probability):
    """Of crops laid anywhere few hold a speck in the corner of a picture that is forty times as large as they are."""
    deviation = (probability * (1 - probability) / 400) ** 0.5
    share = share_that_holds(speck(140, 190), augment, probability)
    assert probability - 3 * deviation <= share <= probability + 3 * deviation + 0.02


@settings(max_examples=20, deadline=None)
@given(row=st.integers(5, 147), column=st.integers(0, 197), seed=st.integers(0, 2**32 - 1))
def test_a_crop_laid_around_a_class_always_holds_it(row, column, seed):
    transform = train_transform(MOVING, CROP, focus=(1.0, np.array([0.0, 1.0, 1.0])))
    _, mask = apply_transform(transform, np.zeros((150, 200, 3), np.uint8), speck(row, column), seed)
    assert mask.shape == CROP and (mask == 2).any()


@given(data=st.data(), whole=st.integers(1, 200), seed=st.integers(0, 99))
def test_the_pixel_lies_in_the_middle_half_unless_the_border_is_near(data, whole, seed):
    length = data.draw(st.integers(1, whole))
    position = data.draw(st.integers(0, whole - 1))
    start = lay_around(position, length, whole, Random(seed))
    assert 0 <= start <= whole - length and start <= position < start + length
    if 0 < start < whole - length:
        assert length // 4 <= position - start < length // 4 + max(1, length - length // 2)


def test_classes_that_are_there_are_drawn_by_their_weights_and_pixels_alike():
    mask = np.zeros((40, 50), np.uint8)
    mask[0, :10], mask[1, :40], mask[2:5] = 1, 2, 255
    random, odds = Random(0), np.array([0.0, 3.0, 1.0, 96.0])  # class 3 is not there
    drawn = [pick_pixel(mask, odds, random) for _ in range(2000)]
    share = np.mean([mask[pixel] == 1 for pixel in drawn])
    assert {mask[pixel] for pixel in drawn} == {1, 2}
    assert abs(share - 0.75) < 0.03
    columns = np.bincount([column for row, column in drawn if row == 0], minlength=10)
    assert len(columns) == 10 and columns.min() > 100  # 150 each


def test_layers_that_overlap_are_drawn_from_too():
    layers = np.zeros((3, 40, 50), np.uint8)
    layers[1:, 7, 9] = 1
    layers[2, 30:] = 255
    assert pick_pixel(layers, np.array([1.0, 0.0, 1.0]), Random(0)) == (7, 9)
    assert pick_pixel(layers, np.array([1.0, 0.0, 0.0]), Random(0)) is None
    transform = train_transform(MOVING, CROP, focus=(1.0, np.array([0.0, 1.0, 0.0])))
    transform.set_random_seed(0)
    masks = transform(image=np.zeros((40, 50, 3), np.uint8), masks=list(layers))["masks"]
    assert len(masks) == 3 and not (masks[0] == 1).any()
    assert (masks[1] == 1).any()


def test_pictures_without_the_classes_and_small_ones_are_cropped_all_the_same():
    transform = train_transform(MOVING, CROP, focus=(1.0, np.array([0.0, 1.0])))
    for mask in (np.zeros((60, 70), np.uint8), np.full((60, 70), 255, np.uint8), np.ones((5, 4), np.uint8)):
        for seed in range(10):
            assert apply_transform(transform, np.zeros((*mask.shape, 3), np.uint8), mask, seed)[1].shape == CROP


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_images_of_any_number_of_channels_move_with_their_mask(channels):
    mask = speck(60, 80)
    image = np.repeat(mask[..., None].astype(np.float32), channels, axis=2)
    augment = AugmentConfig(scale=(1.0, 1.0), vertical_flip=0.5, rotate90=0.5, color=0.0)
    transform = train_transform(augment, CROP, rgb8=False, focus=(1.0, np.array([0.0, 1.0, 1.0])))
    for seed in range(5):
        moved, truth = apply_transform(transform, image, mask, seed)
        assert (truth == 2).any() and moved.dtype == np.float32
        assert all(np.array_equal(moved[..., c], truth) for c in range(channels))


def epoch(root, workers: int = 0, **options) -> tuple[torch.Tensor, torch.Tensor]:
    config = DataConfig(
        card=str(root / "card.yaml"),
        crop_size=(16, 16),
        batch_size=2,
        num_workers=workers,
        samples_per_epoch=12,
        **options,
    )
    batches = list(SegmentationDataModule(config, seed=5).train_dataloader())
    return torch.cat([b["image"] for b in batches]), torch.cat([b["mask"] for b in batches])


def test_a_probability_of_0_changes_nothing(dataset):
    plain, focused = epoch(dataset), epoch(dataset, crop_focus=CropFocus(probability=0.0, classes=["pole"]))
    assert torch.equal(plain[0], focused[0]) and torch.equal(plain[1], focused[1])


def test_workers_do_not_change_where_crops_are_laid(dataset):
    focus = CropFocus(probability=0.5, classes={"pole": 1, "person": 2})
    alone, together = epoch(dataset, crop_focus=focus), epoch(dataset, workers=2, crop_focus=focus)
    assert torch.equal(alone[0], together[0]) and torch.equal(alone[1], together[1])
    assert not torch.equal(alone[1], epoch(dataset)[1])


def test_odds_follow_the_setting():
    names = ("a", "b", "c")
    assert class_odds(CropFocus(), names).tolist() == [0, 1, 1]
    assert class_odds(CropFocus(), names, has_background=False).tolist() == [1, 1, 1]
    assert class_odds(CropFocus(classes=["c", "a"]), names).tolist() == [1, 0, 1]
    assert class_odds(CropFocus(classes={"b": 0.5}), names).tolist() == [0, 0.5, 0]
    with pytest.raises(ValueError, match="settle_sampling"):
        class_odds(CropFocus(classes="rare"), names)


def test_rare_classes_weigh_the_inverse_of_their_pixels():
    assert rare_weights(("a", "b", "c", "d"), [600, 300, 0, 200]) == pytest.approx(
        {"a": 1 / 6, "b": 1 / 3, "d": 1 / 2}, 1e-5
    )


@pytest.mark.parametrize(
    "focus, message",
    [
        (CropFocus(probability=1.5), "probability: must be from 0 to 1, found 1.5"),
        (CropFocus(classes="rarest"), "expected foreground or rare, .*found 'rarest'. Did you mean 'rare'"),
        (CropFocus(classes=["sky", "pol"]), "'pol' is no class of the card. Did you mean 'pole'"),
        (CropFocus(classes=[]), "names no class"),
        (CropFocus(classes={"pole": -1.0}), "weights must be 0 or more"),
        (CropFocus(classes={"pole": 0.0}), "weights must be 0 or more, and one of them more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(dataset, focus, message):
    with pytest.raises(UserError, match=message):
        SegmentationDataModule(DataConfig(card=str(dataset / "card.yaml"), crop_focus=focus))
