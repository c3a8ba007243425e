"""Order, augmentation and batches: reproducible, complete, without duplicates."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split, check_table
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.dataset import EvalBatchSampler, TrainSampler
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.transforms import AugmentConfig, apply_transform, eval_transform, train_transform
from segnext_pafpn.errors import UserError
from tests.conftest import random_mask, write_card


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 30), length=st.integers(1, 80), world=st.integers(1, 4), seed=st.integers(0, 99))
def test_processes_share_an_epoch_without_overlap(size, length, world, seed):
    parts = [list(TrainSampler(size, length, seed=seed, rank=r, world_size=world)) for r in range(world)]
    whole = [i for _, i, *_ in TrainSampler(size, length // world * world, seed=seed)]
    assert [len(p) for p in parts] == [length // world] * world
    assert [i for group in zip(*parts, strict=True) for _, i, *_ in group] == whole
    counts = np.bincount(whole, minlength=size) if whole else np.zeros(size)
    assert counts.max() - counts.min() <= 1


def test_epochs_differ_and_repeat():
    sampler = TrainSampler(20, 20, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert [i for _, i in first] != [i for _, i in second]
    assert list(sampler) == first


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([(4, 4), (4, 5), (6, 6)]), max_size=40),
    batch=st.integers(1, 7),
    world=st.integers(1, 3),
)
def test_evaluation_sees_every_picture_once_in_batches_of_one_size(sizes, batch, world):
    batches = [b for r in range(world) for b in EvalBatchSampler(sizes, batch, rank=r, world_size=world)]
    assert sorted(i for b in batches for _, i in b) == list(range(len(sizes)))
    assert all(len({sizes[i] for _, i in b}) == 1 and len(b) <= batch for b in batches)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(8, 70), width=st.integers(8, 70), seed=st.integers(0, 2**32 - 1))
def test_crops_have_their_size_and_masks_no_new_ids(height, width, seed):
    config = AugmentConfig(scale=(0.5, 2.0), vertical_flip=0.5, rotate90=0.5, blur=0.5)
    transform = train_transform(config, (32, 32))
    image, mask = apply_transform(
        transform, np.zeros((height, width, 3), np.uint8), random_mask(0, (height, width), 5), seed
    )
    assert image.shape == (32, 32, 3) and mask.shape == (32, 32)
    assert set(np.unique(mask)) <= {0, 1, 2, 3, 4, 255}


def test_turned_crops_keep_a_size_that_is_not_square():
    transform = train_transform(AugmentConfig(rotate90=1.0), (24, 40))
    for seed in range(8):
        image, _ = apply_transform(transform, np.zeros((50, 60, 3), np.uint8), random_mask(0, (50, 60), 3), seed)
        assert image.shape == (24, 40, 3)


def test_image_and_mask_are_moved_together():
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:60] = 1
    image = np.repeat(mask[..., None] * 255, 3, axis=2)
    config = AugmentConfig(scale=(0.7, 1.4), vertical_flip=0.5, rotate90=1.0, color=0.0)
    for seed in range(20):
        moved, moved_mask = apply_transform(train_transform(config, (48, 48)), image, mask, seed)
        inside = moved_mask != 255
        agree = ((moved[..., 0] > 127) == (moved_mask == 1))[inside]
        assert agree.mean() > 0.95


def test_the_same_seed_augments_alike_and_another_does_not():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    transform = train_transform(AugmentConfig(), (32, 32))
    mask = random_mask(0, (64, 64), 4)
    first = apply_transform(transform, image, mask, 7)
    other = apply_transform(transform, image, mask, 8)
    again = apply_transform(train_transform(AugmentConfig(), (32, 32)), image, mask, 7)
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_evaluation_resizes_and_nothing_else():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    mask = random_mask(0, (40, 60), 4)
    same = apply_transform(eval_transform(), image, mask)
    assert np.array_equal(same[0], image) and np.array_equal(same[1], mask)
    assert apply_transform(eval_transform((20, 30)), image, mask)[0].shape == (20, 30, 3)


def test_batches_are_uint8_and_named(dataset):
    config = DataConfig(card=str(dataset / "card.yaml"), crop_size=(32, 40), batch_size=3, num_workers=0)
    data = SegmentationDataModule(config)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (3, 3, 32, 40) and batch["image"].dtype == torch.uint8
    assert batch["mask"].shape == (3, 32, 40) and batch["mask"].dtype == torch.uint8
    assert all(name.endswith(".png") for name in batch["name"])
    shapes = [tuple(b["mask"].shape) for b in data.val_dataloader()]
    assert shapes == [(3, 48, 64), (2, 40, 56)]


def test_workers_do_not_change_what_is_trained_on(dataset):
    def epoch(workers):
        config = DataConfig(card=str(dataset / "card.yaml"), crop_size=(32, 40), batch_size=2, num_workers=workers)
        return torch.cat([b["image"] for b in SegmentationDataModule(config, seed=5).train_dataloader()])

    assert torch.equal(epoch(0), epoch(2))


def test_batches_larger_than_an_epoch_are_refused(dataset):
    data = SegmentationDataModule(DataConfig(card=str(dataset / "card.yaml"), batch_size=8))
    with pytest.raises(UserError, match=r"data\.batch_size: 8 .* 6 samples.*samples_per_epoch to at least 8"):
        data.train_dataloader()


@pytest.mark.parametrize(
    "changes", [{"batch_size": 0}, {"crop_size": (0, 8)}, {"augment": AugmentConfig(scale=(2, 1))}]
)
def test_impossible_numbers_are_refused(changes):
    with pytest.raises(UserError, match="data."):
        SegmentationDataModule(DataConfig(**changes))


def check(root, **changes):
    card = load_card(str(write_card(root, **changes)))
    return check_split(card, build_reader(card), "train"), card


def test_check_finds_nothing_wrong_with_good_data(dataset):
    report, card = check(dataset)
    assert report.problems == [] and report.num_samples == 6
    assert report.pixels.sum() == 6 * 48 * 64
    assert check_table(card, [report]).row_count == len(card.classes) + 3


def test_check_counts_the_pictures_that_hold_a_class(dataset):
    masks = dataset / "masks/train"
    for i in range(6):
        mask = np.zeros((48, 64), np.uint8)
        mask[: 10 * i] = 1  # class 1 in five of the six pictures
        mask[47] = 255
        Image.fromarray(mask).save(masks / f"t{i}.png")
    report, _ = check(dataset)
    assert report.pictures.tolist() == [5, 5, *[0] * 6]  # 10 * 5 rows leave nothing of class 0
    assert report.picture_pixels.tolist() == [5 * 47 * 64, 5 * 47 * 64, *[0] * 6]


def test_check_names_every_bad_file(dataset):
    masks = dataset / "masks/train"
    Image.fromarray(np.full((48, 64), 34, np.uint8)).save(masks / "t0.png")
    Image.fromarray(np.zeros((48, 60), np.uint8)).save(masks / "t1.png")
    (masks / "t2.png").write_bytes((masks / "t3.png").read_bytes()[:100])
    (masks / "t4.png").unlink()
    report, _ = check(dataset)
    text = "\n".join(report.problems)
    assert len(report.problems) == 4
    assert "t0.png: value 34 is not in the card (known: 0-7). Add to a class's ids, or to ignore." in text
    assert "t1.png: the mask is 60x48, its image 64x48" in text
    assert "t2.png: cannot be decoded" in text
    assert "t4.png: no mask for this image" in text


def test_check_warns_of_classes_that_never_occur(dataset):
    names = [{"name": str(i)} for i in range(9)]
    report, _ = check(dataset, classes=names)
    assert report.warnings == [
        "split 'train': class '8' has no pixel, expected id 8 in its masks. Correct its ids, or split the data anew."
    ]


def test_check_refuses_a_split_without_labels(dataset):
    report, _ = check(dataset, classes=[{"name": "a", "ids": [77]}, {"name": "b", "ids": [78]}], ignore=list(range(8)))
    assert report.problems == ["split 'train': every pixel is ignored. Map at least one id to a class."]
