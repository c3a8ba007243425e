"""Volumes as slices: every voxel once, along any axis, with spacing, neighbours and splits."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers.volume.axes import turn_to, turned_header
from segnext_pafpn.data.readers.volume.header import VolumeHeader
from segnext_pafpn.errors import UserError
from segnext_pafpn.slicing import Slicing, Turn, is_orientation, stack_along, take_slice, take_with_neighbours
from tests.data.scans import put_together, reader_of, scans
from tests.data.volumes import SHAPE, SPACING, affine, intensities, labels, reorient

CODES = ["".join(codes[i] for i in order) for codes in product("LR", "AP", "SI") for order in permutations(range(3))]


@given(volume=arrays(np.int16, st.tuples(*[st.integers(1, 5)] * 3, st.integers(1, 2))), axis=st.integers(0, 2))
@settings(max_examples=50, deadline=None)
def test_slices_put_together_are_the_volume(volume, axis):
    pieces = [take_slice(volume, axis, i)[..., 0] for i in range(volume.shape[axis])]
    assert np.array_equal(stack_along(pieces, axis), volume[..., 0])


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".tif", ".npy"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_reader_gives_every_voxel_once_along_every_axis(tmp_path, ending, axis):
    reader = reader_of(scans(tmp_path, ending=ending), axis=axis)
    samples = [sample for split in ("train", "val") for sample in reader.list_samples(split).samples]
    images, masks = put_together(reader, samples)
    assert sorted(images) == ["p0", "p1", "p2", "p3"]
    for number in range(4):
        truth = labels(number)
        assert np.array_equal(np.moveaxis(masks[f"p{number}"], 0, axis), truth)
        assert np.array_equal(np.moveaxis(images[f"p{number}"][..., 0], 0, axis), intensities(truth, number))
    assert {reader.size(s) for s in samples} == {tuple(side for i, side in enumerate(SHAPE) if i != axis)}


@pytest.mark.parametrize("ending", [".nii.gz", ".tif"])
def test_spacing_is_in_millimetres_and_in_the_order_of_the_slices_stacked(tmp_path, ending):
    card = scans(tmp_path, ending=ending)
    for axis, expected in ((0, SPACING), (1, (0.5, 3.0, 0.75)), (2, (0.75, 3.0, 0.5))):
        sample = reader_of(card, axis=axis).list_samples("train").samples[0]
        assert sample.spacing == pytest.approx(expected)


def test_without_an_axis_slices_lie_across_the_coarsest_one(tmp_path):
    sagittal = affine(spacing=(0.5, 0.75, 4.0))  # along i, a file's first axis
    assert reader_of(scans(tmp_path / "a", transform=sagittal)).slicing.axis == 2
    assert reader_of(scans(tmp_path / "b")).slicing.axis == 0
    assert reader_of(scans(tmp_path / "c", transform=affine(spacing=(1.0, 1.0, 1.02)))).slicing.axis == 0
    assert reader_of(scans(tmp_path / "d", ending=".npy")).slicing.axis == 0
    assert reader_of(scans(tmp_path / "e", ending=".npy"), spacing=[1.0, 2.0, 1.0]).slicing.axis == 1


def test_all_slices_of_a_volume_are_in_one_split(tmp_path):
    reader = reader_of(scans(tmp_path, count=6), folds=3, fold=1)
    train, val = ({s.case for s in reader.list_samples(split).samples} for split in ("train", "val"))
    assert len(train) == 4 and len(val) == 2 and not train & val


def test_neighbours_come_as_channels_and_the_ends_are_repeated(tmp_path):
    reader = reader_of(scans(tmp_path), neighbours=1)
    samples = reader.list_samples("train").samples
    number = int(samples[0].case[1:])
    volume = intensities(labels(number), number)
    first, second, last = (reader.read_image(samples[i]) for i in (0, 1, SHAPE[0] - 1))
    assert np.array_equal(first, np.stack([volume[0], volume[0], volume[1]], axis=2))
    assert np.array_equal(second, np.stack([volume[0], volume[1], volume[2]], axis=2))
    assert np.array_equal(last, np.stack([volume[-2], volume[-1], volume[-1]], axis=2))
    assert reader.fitted(load_card(str(tmp_path / "card.yaml"))).image.channels == 3


def test_channels_of_a_slice_stay_together_beside_its_neighbours():
    first, second = (np.arange(3, dtype=np.int16).reshape(3, 1, 1, 1) + start for start in (0, 10))
    image = take_with_neighbours([first, second], axis=0, index=1, neighbours=1)
    assert image.ravel().tolist() == [0, 10, 1, 11, 2, 12] and image.dtype == np.int16
    mixed = take_with_neighbours([first, second.astype(np.float32) + 0.5], axis=0, index=2, neighbours=0)
    assert mixed.ravel().tolist() == [2, 12.5] and mixed.dtype == np.float32


def test_slices_without_foreground_are_left_out_of_train_alone(tmp_path):
    reader = reader_of(scans(tmp_path), min_foreground=1)
    samples = reader.list_samples("train").samples
    cases = {s.case for s in samples}
    expected = sum(int(labels(int(case[1:])).any(axis=(1, 2)).sum()) for case in cases)
    assert 0 < len(samples) == expected < SHAPE[0] * len(cases)
    assert all(reader.read_mask(s).any() for s in samples)
    assert len(reader.list_samples("val").samples) == SHAPE[0] * 2
    (problem,) = reader_of(tmp_path / "card.yaml", min_foreground=10**6).list_samples("train").problems
    assert "min_foreground" in problem


def test_standardised_volumes_have_mean_0_and_deviation_1(tmp_path):
    reader = reader_of(scans(tmp_path), standardize=True)
    images, _ = put_together(reader, reader.list_samples("val").samples)
    for volume in images.values():
        assert volume.mean() == pytest.approx(0, abs=1e-4) and volume.std() == pytest.approx(1, abs=1e-4)
        assert volume[0].mean() != pytest.approx(0, abs=0.05)  # the volume's numbers, not the slice's


@given(stored=st.sampled_from(CODES), wanted=st.sampled_from(CODES))
@settings(max_examples=60, deadline=None)
def test_turns_are_those_of_nibabel_and_lead_back(stored, wanted):
    volume = np.arange(2 * 3 * 4 * 2).reshape(2, 3, 4, 2)  # k, j, i, channels
    ornt = nibabel.orientations
    change = ornt.ornt_transform(ornt.axcodes2ornt(stored), ornt.axcodes2ornt(wanted))
    turn = Turn.between(stored, wanted)
    assert np.array_equal(turn(volume), ornt.apply_orientation(volume.swapaxes(0, 2), change).swapaxes(0, 2))
    assert np.array_equal(turn.back(turn(volume)), volume)
    stated = VolumeHeader((2, 3, 4), spacing=(0.2, 0.3, 0.4), orientation=stored)
    assert turn_to(stated, wanted) == turn
    header = turned_header(stated, wanted)
    assert header.shape == turn(volume).shape[:3] and header.spacing == tuple(side / 10 for side in header.shape)
    assert (
        header.orientation == wanted
        and is_orientation(stored)
        and Turn.between(stored, "") == Turn.between("", stored) == Turn()
    )


def test_a_volume_that_is_stored_another_way_gives_the_same_samples(tmp_path):
    """Images, masks, sizes, spacing and numbers of slices, with neighbours and standardised."""
    plain, mixed = scans(tmp_path / "plain"), scans(tmp_path / "mixed")
    for folder in ("images", "masks"):
        reorient(tmp_path / f"mixed/{folder}/p1.nii.gz", "PSR")
    options = {"neighbours": 1, "standardize": True, "min_foreground": 1}
    expected, found = reader_of(plain, **options), reader_of(mixed, **options)
    for split in ("train", "val"):
        pairs = list(zip(expected.list_samples(split).samples, found.list_samples(split).samples, strict=True))
        assert len(pairs) > 6
        for left, right in pairs:
            assert (left.name, left.slice) == (right.name, right.slice) and left.spacing == pytest.approx(right.spacing)
            assert expected.size(left) == found.size(right)
            assert np.allclose(expected.read_image(left), found.read_image(right), atol=1e-5)
            assert np.array_equal(expected.read_mask(left), found.read_mask(right))


def test_a_run_is_scored_on_other_volumes_cut_and_turned_as_its_own_were(tmp_path):
    card = scans(tmp_path)
    reader = reader_of(card, min_foreground=1)
    assert (reader.slicing.axis, reader.slicing.orientation) == (0, "LAS")
    assert all(s.spacing == pytest.approx(SPACING) for s in reader.list_samples("train").samples)
    reader.cut_as(Slicing(axis=2, orientation="PSR", standardize=True))  # across i, which runs to R: the rows of LAS
    assert (reader.slicing.axis, reader.slicing.orientation, reader.slicing.standardize) == (2, "PSR", True)
    samples = reader.list_samples("train").samples
    assert all(s.spacing == pytest.approx((SPACING[1], SPACING[2], SPACING[0])) for s in samples)
    expected = sum(int(labels(int(case[1:])).any(axis=(0, 2)).sum()) for case in {s.case for s in samples})
    assert len(samples) == expected and reader.read_image(samples[0]).min() < 0 < reader.read_image(samples[0]).max()
    reader = reader_of(card)
    reader.cut_as(Slicing(axis=1))
    assert (reader.slicing.axis, reader.slicing.orientation) == (1, "")
    reader.cut_as(None)
    assert reader.slicing.axis == 1


@pytest.mark.parametrize(
    ("key", "value", "learnt"), [("axis", 1, 2), ("orientation", "RAS", "LPS"), ("neighbours", 1, 0)]
)
def test_a_layout_that_cuts_otherwise_than_the_run_did_is_refused(tmp_path, key, value, learnt):
    reader = reader_of(scans(tmp_path), **{key: value})
    with pytest.raises(UserError, match=f"layout.{key} is {value}, but the model was trained with {learnt}. Set"):
        reader.cut_as(Slicing(axis=2, orientation="LPS"))


def test_a_volume_whose_axes_change_places_is_read_into_memory_or_unpacked_so(tmp_path):
    card = scans(tmp_path, ending=".nii")
    truth = labels(1)
    for folder in ("images", "masks"):
        reorient(tmp_path / f"{folder}/p1.nii", "PSR")
    for options in ({}, {"unpack": "unpacked"}):
        reader = reader_of(card, **options)
        samples = [s for split in ("train", "val") for s in reader.list_samples(split).samples if s.case == "p1"]
        assert np.array_equal(np.stack([reader.read_mask(sample) for sample in samples]), truth)
        volume = reader.voxels.cache.get(samples[0].mask, labels=True, turn=reader.voxels.turn(samples[0]))
        assert volume.flags.c_contiguous and (getattr(volume, "_mmap", None) is not None) == bool(options)
    assert len(list((tmp_path / "unpacked").iterdir())) == 1
