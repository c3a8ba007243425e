"""Pictures of rare classes come more often: the formula by hand, and the order they come in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.dataset import TrainSampler
from segnext_pafpn.data.repeats import repeat_factors
from segnext_pafpn.errors import UserError

# class 0 is in all of four pictures, class 1 in two, class 2 in one, class 3 in none
HOLDS = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]], dtype=bool)


def test_factors_are_those_of_the_formula():
    np.testing.assert_allclose(repeat_factors(HOLDS, 1.0), [1, 2**0.5, 2, 1])
    np.testing.assert_allclose(repeat_factors(HOLDS, 0.5), [1, 1, 2**0.5, 1])
    np.testing.assert_allclose(repeat_factors(list(HOLDS), 0.25), [1, 1, 1, 1])


def indices(sampler: TrainSampler) -> list[int]:
    return [key[1] for key in sampler]


@settings(max_examples=40, deadline=None)
@given(
    factors=st.lists(st.floats(1, 4), min_size=1, max_size=12),
    length=st.integers(1, 60),
    world=st.integers(1, 3),
    epoch=st.integers(0, 9),
)
def test_processes_share_a_round_that_holds_no_picture_beyond_its_factor(factors, length, world, epoch):
    factors = np.array(factors)
    parts = [TrainSampler(len(factors), length, rank=r, world_size=world, factors=factors) for r in range(world)]
    whole = TrainSampler(len(factors), length // world * world, factors=factors)
    for sampler in (*parts, whole):
        sampler.set_epoch(epoch)
    assert [len(list(part)) for part in parts] == [length // world] * world
    assert [key for group in zip(*parts, strict=True) for key in group] == list(whole)
    first_round = indices(whole)[: len(factors)]  # a round is no shorter than this
    assert (np.bincount(first_round, minlength=len(factors)) <= np.ceil(factors)).all()


def test_pictures_come_as_often_as_their_factors_say():
    factors = np.array([1.0, 1.5, 2.0, 3.25])
    counts = np.bincount(indices(TrainSampler(4, 31_000, factors=factors)))
    np.testing.assert_allclose(counts / counts[0], factors, rtol=0.03)


def test_an_epoch_follows_from_seed_and_epoch_alone():
    factors = np.linspace(1, 3, 20)
    sampler, resumed = (TrainSampler(20, 20, seed=3, factors=factors) for _ in range(2))
    first = list(sampler)
    sampler.set_epoch(4)
    resumed.set_epoch(4)
    assert list(sampler) == list(resumed) != first


@pytest.mark.parametrize("factors", [None, np.array([1.0, 3.0, 1.0])])
def test_no_two_keys_of_an_epoch_are_alike(factors):
    keys = list(TrainSampler(3, 30, factors=factors))
    assert len(set(keys)) == 30
    for index in range(3):
        turns = [(*key, 0)[2] for key in keys if key[1] == index]
        assert turns == list(range(len(turns)))


def test_a_picture_that_comes_again_in_an_epoch_is_cropped_elsewhere(dataset):
    config = DataConfig(card=str(dataset / "card.yaml"), crop_size=(16, 16), samples_per_epoch=24, num_workers=0)
    batches = list(SegmentationDataModule(config).train_dataloader())
    images = torch.cat([batch["image"] for batch in batches])
    names = [name for batch in batches for name in batch["name"]]
    assert len(set(names)) == 6 and len({image.numpy().tobytes() for image in images}) == 24


def test_the_loader_draws_by_the_factors(dataset):
    config = DataConfig(card=str(dataset / "card.yaml"), repeat_threshold=0.5, batch_size=2, num_workers=0)
    data = SegmentationDataModule(config)
    with pytest.raises(ValueError, match="settle_sampling"):
        data.train_dataloader()
    data.repeat_factors = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 6.0])
    sampler = data.train_dataloader().sampler
    assert len(sampler) == 6 and indices(sampler).count(5) >= 2


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_thresholds_that_are_no_shares_are_refused(threshold):
    with pytest.raises(UserError, match="data.repeat_threshold: must be more than 0 and at most 1"):
        SegmentationDataModule(DataConfig(repeat_threshold=threshold))
