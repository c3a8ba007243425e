"""What is wrong with files of volumes is said with the name of the file and what to do."""

import gzip
import sys

import nibabel
import numpy as np
import pytest
import tifffile
import yaml

from segnext_pafpn.data.readers.volume.files import read_header
from segnext_pafpn.errors import UserError
from tests.data.scans import reader_of, scans
from tests.data.volumes import affine, intensities, labels, save_nifti


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


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.7, 0.9])
def test_a_compressed_stack_that_is_cut_short_is_not_a_smaller_one(tmp_path, kept):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, intensities(labels(1), 1), photometric="minisblack", compression="zlib")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match=r"a\.tif: cannot be decoded"):
        read_header(path)


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


def test_a_third_value_in_labels_of_two_is_not_merged_in_silence(tmp_path):
    card = scans(tmp_path)
    content = {**yaml.safe_load(card.read_text()), "classes": [{"name": "no"}, {"name": "yes"}]}
    card.write_text(yaml.safe_dump(content))
    reader = reader_of(card, mask_format="binary")
    samples = [*reader.list_samples("train").samples, *reader.list_samples("val").samples]
    mixed = [s for s in samples if len(np.unique(labels(int(s.case[1:]))[s.slice])) == 3]
    with pytest.raises(
        UserError,
        match=r"3 different values of 0 to 2, .* Was it resampled\? Set .*threshold: 0, for",
    ):
        reader.read_mask(mixed[0])
    assert set(np.unique(reader_of(card, mask_format="binary", threshold=1).read_mask(mixed[0]))) == {0, 1}


def test_volumes_that_run_another_way_than_the_others_are_told(tmp_path):
    card = scans(tmp_path)
    assert not reader_of(card).list_samples("train").warnings
    turned = affine()
    turned[:3, 0] *= -1  # i runs to the other side
    for folder in ("images", "masks"):
        path = tmp_path / folder / "p1.nii.gz"
        save_nifti(path, nibabel.load(path).get_fdata().T.astype(np.int16), turned)
    reader = reader_of(card)
    (warning,) = [line for split in ("train", "val") for line in reader.list_samples(split).warnings]
    usual = reader.slicing.orientation
    assert len(usual) == 3 and "the axes of 1 of 2 volumes run " in warning
    assert f", not {usual}: {tmp_path}/images/p1.nii.gz. They are turned to {usual}" in warning
    reader = reader_of(card, orientation="stored")
    (warning,) = [line for split in ("train", "val") for line in reader.list_samples(split).warnings]
    assert f", not {usual}: " in warning and f"Set layout.orientation: {usual}." in warning
    assert reader.slicing.orientation == ""


def test_volumes_that_do_not_say_how_they_run_are_told_beside_others(tmp_path):
    card = scans(tmp_path)
    for folder in ("images", "masks"):
        path = tmp_path / folder / "p1.nii.gz"
        np.save(tmp_path / folder / "p1.npy", np.asarray(nibabel.load(path).dataobj).T)
        path.unlink()
    reader = reader_of(card)
    (warning,) = [line for split in ("train", "val") for line in reader.list_samples(split).warnings]
    assert "1 of 2 volumes do not say how their axes run, others run" in warning
    assert f"{tmp_path}/images/p1.npy. The network may see them" in warning


def test_an_affine_that_a_file_does_not_have_gives_no_orientation(tmp_path):
    nibabel.save(nibabel.Nifti1Image(intensities(labels(1), 1).T, None), tmp_path / "a.nii.gz")
    assert read_header(tmp_path / "a.nii.gz").orientation == ""


def test_an_orientation_that_is_none_is_refused(tmp_path):
    card = scans(tmp_path)
    assert reader_of(card, orientation="LPS").slicing.orientation == "LPS"
    for text in ("RAR", "ras", "RA", "RASS", "XYZ"):
        with pytest.raises(UserError, match=f"layout.orientation: expected usual or stored, .* found '{text}'"):
            reader_of(card, orientation=text)
