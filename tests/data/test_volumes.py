"""Volumes as slices: what is read from NIfTI, TIFF and numpy files, and that slices put together are the volume."""

import gzip
import pickle
import sys

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.readers.volume.cache import VolumeCache
from segnext_pafpn.data.readers.volume.files import read_header, read_volume
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.cases import stack_slices
from segnext_pafpn.slicing import stack_along, take_slice, take_with_neighbours
from tests.conftest import write_card
from tests.data.volumes import SHAPE, SPACING, affine, intensities, labels, save_nifti, save_stack

CLASSES = [{"name": name, "ids": [i]} for i, name in enumerate(("background", "anterior", "posterior"))]
LAYOUT = {"reader": "volumes", "images": "images", "masks": "masks"}


def scans(root, count=4, ending=".nii.gz", transform=None, **layout):
    """A folder of volumes with its card; the number of a case is the seed of its labels."""
    for number in range(count):
        truth = labels(number)
        for folder, volume in (("images", intensities(truth, number)), ("masks", truth)):
            path = root / f"{folder}/p{number}{ending}"
            if ending.startswith(".nii"):
                save_nifti(path, volume, transform)
            elif ending == ".tif":
                save_stack(path, volume, SPACING)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, volume)
    return write_card(
        root, classes=CLASSES, image={"channels": 1, "normalize": "zscore"}, layout={**LAYOUT, "folds": 2, **layout}
    )


def reader_of(card, **layout):
    return build_reader(load_card(str(card)), layout=layout)


def put_together(reader, samples):
    """Volumes of images and of labels by case, each with the slices' axis first."""
    images = stack_slices((s.case, s.slice, reader.read_image(s)) for s in samples)
    return images, stack_slices((s.case, s.slice, reader.read_mask(s)) for s in samples)


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


def test_scaled_and_foreign_number_types_become_those_that_images_have(tmp_path):
    values = np.arange(24).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(values.T.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "scaled.nii.gz")
    stored = nibabel.load(tmp_path / "scaled.nii.gz").get_fdata().T
    assert read_volume(tmp_path / "scaled.nii.gz").dtype == np.float32
    assert np.allclose(read_volume(tmp_path / "scaled.nii.gz")[..., 0], stored)
    for kind, expected in (("f8", "f4"), ("i4", "u1"), ("u4", "u1"), ("i1", "u1"), ("i8", "u1"), (">i2", ">i2")):
        np.save(tmp_path / "v.npy", values.astype(kind))
        assert read_volume(tmp_path / "v.npy").dtype == np.dtype(expected)
        assert np.array_equal(read_volume(tmp_path / "v.npy")[..., 0], values)
    np.save(tmp_path / "v.npy", values - 12)
    assert read_volume(tmp_path / "v.npy").dtype == np.int16


def test_a_tiff_stack_is_read_whoever_wrote_it(tmp_path):
    volume = intensities(labels(1), 1, np.uint16, 1000)
    pages = [Image.fromarray(page) for page in volume]
    pages[0].save(tmp_path / "lzw.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    save_stack(tmp_path / "zip.tif", volume, compression="zlib")
    save_stack(tmp_path / "imagej.tif", volume, SPACING)
    metadata = {"axes": "ZYX", "PhysicalSizeX": 750.0, "PhysicalSizeY": 500.0, "PhysicalSizeZ": 3.0}
    units = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm", "PhysicalSizeZUnit": "mm"}
    tifffile.imwrite(tmp_path / "ome.tif", volume, ome=True, metadata={**metadata, **units})
    for name in ("lzw", "zip", "imagej", "ome"):
        path = tmp_path / f"{name}.tif"
        assert np.array_equal(read_volume(path)[..., 0], volume), name
        header = read_header(path)
        assert header.shape == SHAPE and not header.is_picture
        assert header.spacing == (pytest.approx(SPACING) if name in ("imagej", "ome") else None)


def test_a_picture_of_two_axes_is_a_case_of_its_own(tmp_path):
    for number in range(3):
        truth = labels(number)[4]
        for folder, array in (("images", intensities(truth, number)), ("masks", truth)):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(
                tmp_path / f"{folder}/p{number}.tif", array, resolution=(20, 10), resolutionunit="CENTIMETER"
            )
    card = write_card(
        tmp_path, classes=CLASSES, image={"channels": 1, "normalize": "zscore"}, layout={**LAYOUT, "val_fraction": 0.3}
    )
    (sample,) = reader_of(card).list_samples("val").samples
    assert (sample.case, sample.slice) == (None, None) and sample.name in ("p0", "p1", "p2")
    assert sample.spacing == pytest.approx((1.0, 0.5))  # rows, columns
    assert reader_of(card).read_image(sample).shape == (*SHAPE[1:], 1)


def test_a_volume_of_one_slice_is_a_volume_all_the_same(tmp_path):
    for number in range(2):
        save_nifti(tmp_path / f"images/p{number}.nii.gz", intensities(labels(number), number)[:1])
        save_nifti(tmp_path / f"masks/p{number}.nii.gz", labels(number)[:1])
    card = write_card(
        tmp_path,
        classes=CLASSES,
        image={"channels": 1, "normalize": "zscore"},
        layout={**LAYOUT, "folds": 2, "neighbours": 2},
    )
    reader = reader_of(card)
    (sample,) = reader.list_samples("train").samples
    assert sample.slice == 0
    image = reader.read_image(sample)
    assert image.shape == (*SHAPE[1:], 5) and (image == image[..., :1]).all()


def test_a_file_for_each_class_and_a_valid_region_are_read_from_volumes(tmp_path):
    truth, valid = labels(3), np.zeros(SHAPE, np.uint8)
    valid[:, :20] = 1
    for number in range(2):
        save_nifti(tmp_path / f"images/p{number}.nii.gz", intensities(truth, number))
        save_nifti(tmp_path / f"valid/p{number}.nii.gz", valid)
        for value, name in ((1, "a"), (2, "b")):
            save_nifti(tmp_path / f"masks/p{number}_{name}.nii.gz", np.uint8(255) * (truth == value))
    layout = {**LAYOUT, "mask_format": "files", "class_suffixes": {"anterior": "_a", "posterior": "_b"}, "folds": 2}
    card = write_card(
        tmp_path,
        classes=CLASSES,
        image={"channels": 1, "normalize": "zscore"},
        layout={**layout, "valid": "valid"},
    )
    reader = reader_of(card)
    _, masks = put_together(reader, reader.list_samples("val").samples)
    (mask,) = masks.values()
    assert np.array_equal(mask[:, :20], truth[:, :20]) and (mask[:, 20:] == 65535).all()


def test_what_was_decoded_is_kept_up_to_the_limit_and_the_oldest_goes_first(tmp_path, monkeypatch):
    scans(tmp_path)
    paths = [tmp_path / f"images/p{i}.nii.gz" for i in range(3)]
    size = read_volume(paths[0]).nbytes
    decoded = []
    monkeypatch.setattr(
        "segnext_pafpn.data.readers.volume.cache.read_volume",
        lambda path, labels: decoded.append(path) or read_volume(path, labels),
    )
    cache = VolumeCache(2 * size)
    for i in (0, 1, 0, 2, 0, 1):  # 2 drives out 1, not 0, which was asked for later
        cache.get(paths[i])
    assert decoded == [paths[i] for i in (0, 1, 2, 1)]
    assert pickle.loads(pickle.dumps(cache)).max_bytes == 2 * size


def test_unpacked_volumes_are_mapped_and_written_anew_when_their_file_changes(tmp_path):
    card = scans(tmp_path)
    reader = reader_of(card, unpack="unpacked")
    sample = reader.list_samples("train").samples[5]
    before = reader.read_image(sample)
    (path,) = (tmp_path / "unpacked").glob(f"{sample.case}-*.npy")
    assert isinstance(reader.cache.get(sample.image), np.memmap)
    number = int(sample.case[1:])
    save_nifti(sample.image, intensities(labels(number), number) + np.int16(7))
    assert np.array_equal(reader_of(card, unpack="unpacked").read_image(sample), before + 7)
    assert len(list((tmp_path / "unpacked").glob(f"{sample.case}-*.npy"))) == 2 and path.is_file()


def test_check_says_when_volumes_do_not_fit_into_memory(tmp_path):
    card = scans(tmp_path)
    assert not reader_of(card).list_samples("train").warnings
    (warning,) = reader_of(card, cache_mb=0).list_samples("train").warnings
    assert "layout.unpack" in warning
    assert not reader_of(card, cache_mb=0, unpack="x").list_samples("train").warnings


# what is wrong with the files, each with the file's name and what to do


def problem_of(card, **layout):
    """The one line about a data set in which one file is wrong, whether it shows in the header or in the voxels."""
    reader = reader_of(card, folds=0, val_fraction=0.0, **layout)
    try:
        listing = reader.list_samples("train")
        for sample in listing.samples:
            reader.read_image(sample)
            reader.read_mask(sample)
    except UserError as error:
        return str(error)
    assert len(listing.problems) == 1, listing.problems
    return listing.problems[0]


def test_labels_of_another_shape_are_refused_by_name(tmp_path):
    card = scans(tmp_path)
    save_nifti(tmp_path / "masks/p1.nii.gz", labels(1)[:-1])
    text = problem_of(card)
    assert "masks/p1.nii.gz: 11x40x36 voxels, while its image has 12x40x36" in text and "resample" in text


@pytest.mark.parametrize("change", ["origin", "orientation", "spacing"])
def test_labels_in_another_place_are_refused_unless_that_is_allowed(tmp_path, change):
    card = scans(tmp_path)
    moved = affine()
    if change == "origin":
        moved[0, 3] += 2
    elif change == "orientation":
        moved[:3, 0] *= -1
    else:
        moved[:3, 2] *= 1.5
    save_nifti(tmp_path / "masks/p2.nii.gz", labels(2), moved)
    text = problem_of(card)
    assert "masks/p2.nii.gz: its affine" in text and "require_affine" in text
    assert not reader_of(card, require_affine=False).list_samples("train").problems


def test_an_affine_that_differs_by_rounding_is_the_same(tmp_path):
    card = scans(tmp_path)
    save_nifti(tmp_path / "masks/p2.nii.gz", labels(2), affine() + 1e-4)
    assert not reader_of(card, folds=0).list_samples("train").problems


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".tif", ".npy"])
def test_a_file_that_is_cut_short_is_refused_by_name(tmp_path, ending):
    card = scans(tmp_path, ending=ending)
    path = tmp_path / f"images/p1{ending}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    text = problem_of(card)
    assert f"images/p1{ending}: cannot be decoded" in text and "again" in text


def test_a_compressed_file_with_a_damaged_byte_is_refused_by_name(tmp_path):
    card = scans(tmp_path)
    path = tmp_path / "images/p3.nii.gz"
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # of the checksum
    path.write_bytes(content)
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(bytes(content))
    assert "images/p3.nii.gz: cannot be decoded" in problem_of(card)


def test_something_else_under_a_volumes_name_is_refused_by_name(tmp_path):
    for ending in (".nii.gz", ".nii", ".tif", ".npy"):
        card = scans(tmp_path / ending, ending=ending)
        (tmp_path / ending / f"images/p0{ending}").write_bytes(b"no volume at all" * 40)
        assert f"images/p0{ending}: cannot be decoded" in problem_of(card)


def test_four_axes_are_refused_with_what_to_do_about_them(tmp_path):
    card = scans(tmp_path)
    volume = np.stack([intensities(labels(0), i) for i in range(2)]).T
    nibabel.save(nibabel.Nifti1Image(volume, affine()), tmp_path / "images/p0.nii.gz")
    text = problem_of(card)
    assert "images/p0.nii.gz: has 4 axes (36, 40, 12, 2), expected 3" in text and "CASE_0001.nii.gz" in text
    nibabel.save(nibabel.Nifti1Image(volume[..., :1], affine()), tmp_path / "images/p0.nii.gz")
    assert not reader_of(card).list_samples("train").problems  # a fourth axis of length 1 says nothing


def test_labels_that_were_interpolated_are_refused_by_name(tmp_path):
    card = scans(tmp_path)
    save_nifti(tmp_path / "masks/p0.nii.gz", labels(0).astype(np.float32) * 0.7)
    assert "masks/p0.nii.gz: the labels are float32 values" in problem_of(card)
    save_nifti(tmp_path / "masks/p0.nii.gz", labels(0).astype(np.float64))
    assert not reader_of(card).list_samples("train").problems


@pytest.mark.parametrize("package, ending", [("nibabel", ".nii.gz"), ("tifffile", ".tif")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch, package, ending):
    card = scans(tmp_path, ending=ending)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"needs .*pip install \"segnext-pafpn\[medical\]\""):
        reader_of(card).list_samples("train")


@pytest.mark.parametrize(
    "options, text",
    [
        ({"axis": 3}, "layout.axis"),
        ({"neighbours": -1}, "layout.neighbours"),
        ({"cache_mb": -1}, "layout.cache_mb"),
        ({"spacing": [1.0, 2.0]}, "layout.spacing"),
        ({"mask_format": "rgb"}, "layout.mask_format"),
        ({"axes": 1}, "Did you mean 'axis'"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(tmp_path, options, text):
    with pytest.raises(UserError, match=text):
        reader_of(scans(tmp_path, count=1), **options)
