"""Volumes, stacks and arrays as hospitals have them: one line that names the file, what was found and what to do."""

import json
import shutil

import nibabel
import numpy as np
import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.errors import UserError
from tests.data.problems import WHOLE, checked_card, only
from tests.data.problems import problems_of_card as problems
from tests.data.test_volumes import scans
from tests.data.volumes import SHAPE, affine, intensities, labels, nnunet, save_nifti, save_stack

# --- labels that do not lie where their image lies


def test_a_label_that_is_flipped_or_oblique_against_its_image(tmp_path):
    card = scans(tmp_path)
    flipped, oblique = affine(), affine()
    flipped[:3, 0] *= -1
    angle = np.deg2rad(8)
    oblique[:3, :3] @= np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    for transform in (flipped, oblique):
        save_nifti(tmp_path / "masks/p1.nii.gz", labels(1), transform)
        only(
            problems(card, **WHOLE),
            "masks/p1.nii.gz: its affine puts a corner",
            "images/p1.nii.gz",
            "resample it",
        )


def test_an_affine_of_nan_is_told_and_not_compared(tmp_path):
    card = scans(tmp_path, ending=".nii")
    path = tmp_path / "images/p1.nii"
    content = bytearray(path.read_bytes())
    content[280:328] = np.full(12, np.nan, "<f4").tobytes()  # srow_x to srow_z of NIfTI-1
    path.write_bytes(content)
    only(
        problems(card, **WHOLE),
        "masks/p1.nii: its affine, or that of its image, holds values that are no numbers",
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [(lambda v: v[:-1], "11x40x36"), (lambda v: v[:, ::2], "12x20x36"), (lambda v: v.transpose(0, 2, 1), "12x36x40")],
)
@pytest.mark.parametrize("ending", [".nii.gz", ".tif", ".npy"])
def test_a_label_of_another_shape(tmp_path, change, found, ending):
    card = scans(tmp_path, ending=ending)
    path, volume = tmp_path / f"masks/p1{ending}", np.ascontiguousarray(change(labels(1)))
    if ending == ".npy":
        np.save(path, volume)
    else:
        (save_nifti if ending == ".nii.gz" else save_stack)(path, volume)
    only(problems(card, **WHOLE), f"masks/p1{ending}: {found} voxels, while its image has 12x40x36")


# --- labels that are no whole numbers


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m * np.float32(0.999), "float32 values of 0 to 0.999, expected whole numbers"),
        (lambda m: np.where(m == 1, np.nan, m).astype(np.float32), "float32 values of nan to nan"),
        (lambda m: m.astype(np.int16) - 1, "int16 values of -1 to "),
    ],
)
def test_labels_that_are_no_class_ids_are_named_once_or_more_but_no_line_twice(tmp_path, change, words):
    card = scans(tmp_path)
    save_nifti(tmp_path / "masks/p1.nii.gz", change(labels(1, values=(0, 1))))
    found = problems(card, **WHOLE)
    assert found and len(found) == len(set(found)) <= SHAPE[0]
    assert all("masks/p1.nii.gz: the labels are" in line for line in found) and words in found[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint16])
def test_whole_numbers_of_any_type_are_labels(tmp_path, dtype):
    card = scans(tmp_path)
    truth = labels(1).astype(dtype)
    nibabel.save(nibabel.Nifti1Image(truth.T, affine(), dtype=dtype), tmp_path / "masks/p1.nii.gz")
    assert problems(card, **WHOLE) == []


# --- images whose values or files cannot be


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_no_number_is_named_with_its_place(tmp_path, value):
    card = scans(tmp_path)
    volume = intensities(labels(1), 1, np.float32)
    volume[3, 4, 5] = value
    save_nifti(tmp_path / "images/p1.nii.gz", volume)
    only(problems(card, **WHOLE), "images/p1.nii.gz slice 3: 1 values are NaN or infinite (first at x 5, y 4")


def test_voxels_that_float32_would_round_are_refused(tmp_path):
    card = scans(tmp_path)
    volume = intensities(labels(1), 1, np.int32)
    volume[3, 4, 5] = 2**24 + 1
    save_nifti(tmp_path / "images/p1.nii.gz", volume)
    only(problems(card, **WHOLE), "images/p1.nii.gz", "int32 values of", "to 16777217, expected at most 16777216")


@pytest.mark.parametrize("folder", ["images", "masks"])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".tif", ".npy"])
def test_an_empty_file_of_a_volume(tmp_path, folder, ending):
    card = scans(tmp_path, ending=ending)
    (tmp_path / f"{folder}/p1{ending}").write_bytes(b"")
    only(problems(card, **WHOLE), f"{folder}/p1{ending}: cannot be decoded: the file is empty (0 bytes)")


@pytest.mark.parametrize(("is_named", "should_be"), [(".nii.gz", ".nii"), (".nii", ".nii.gz")])
def test_a_volume_that_is_compressed_or_not_against_its_name(tmp_path, is_named, should_be):
    card = scans(tmp_path, ending=is_named)
    save_nifti(tmp_path / f"x{should_be}", intensities(labels(1), 1))
    (tmp_path / f"x{should_be}").rename(tmp_path / f"images/p1{is_named}")
    not_ = "not " if is_named == ".nii.gz" else ""
    only(
        problems(card, **WHOLE),
        f"images/p1{is_named}: cannot be decoded: it is {not_}compressed by gzip, against",
    )


def test_a_header_without_voxels(tmp_path):
    card = scans(tmp_path, ending=".nii")
    path = tmp_path / "images/p1.nii"
    path.write_bytes(path.read_bytes()[:352])
    only(problems(card, **WHOLE), "images/p1.nii: cannot be decoded (Expected 34560 bytes, got 0 bytes")
    nibabel.save(nibabel.Nifti1Image(np.zeros((36, 40, 0), np.int16), affine()), path)
    only(problems(card, **WHOLE), "images/p1.nii: holds no voxels (36, 40, 0), expected some")


def test_voxels_that_are_complex_or_colours(tmp_path):
    card = scans(tmp_path)
    path = tmp_path / "images/p1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE[::-1], np.complex64), affine()), path)
    only(problems(card, **WHOLE), "images/p1.nii.gz: holds complex64 values, expected whole or floating numbers")
    colours = np.zeros(SHAPE[::-1], dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, affine()), path)
    only(problems(card, **WHOLE), "images/p1.nii.gz: its voxels are colours, expected numbers. Save each colour")


def test_an_image_without_label_and_a_label_without_image(tmp_path):
    card = scans(tmp_path)
    (tmp_path / "masks/p1.nii.gz").unlink()
    (tmp_path / "images/p2.nii.gz").unlink()
    report = checked_card(card, **WHOLE)
    only(report.problems, "images/p1.nii.gz: no mask for this image. Expected")
    only(report.warnings, "masks/p2.nii.gz: no image for this mask")


def test_a_folder_of_dicom_files_says_how_to_convert_them(tmp_path):
    card = scans(tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_name(f"{path.name.split('.')[0]}.dcm"))
    only(
        problems(card, **WHOLE),
        "images: holds no image",
        "(found 4 x .dcm; convert DICOM first, as with dcm2niix)",
    )


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 3, 4, 5, 6)), "an array of float64 (2, 3, 4, 5, 6), expected numbers (rows, columns), (slices"),
        (np.full(SHAPE, "a"), "an array of <U1"),
        (np.zeros(SHAPE, np.complex64), "an array of complex64"),
    ],
)
def test_arrays_that_are_no_volume(tmp_path, array, words):
    card = scans(tmp_path, ending=".npy")
    np.save(tmp_path / "images/p1.npy", array)
    only(problems(card, **WHOLE), "images/p1.npy: ", words)


def test_an_archive_of_arrays_under_an_arrays_name(tmp_path):
    card = scans(tmp_path, ending=".npy")
    np.savez(tmp_path / "x.npz", scan=np.zeros(SHAPE), mask=np.zeros(SHAPE))
    (tmp_path / "x.npz").rename(tmp_path / "images/p1.npy")
    only(problems(card, **WHOLE), "images/p1.npy: an archive (.npz) of the arrays scan, mask, expected one array")


# --- nnU-Net


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("channel_names"), "the key 'channel_names' is missing"),
        (lambda d: d.update(channel_names=["T1"]), r"channel_names: expected an object, found \['T1'\]"),
        (lambda d: d.update(labels=["a"]), "labels: expected an object"),
        (lambda d: d.update(labels={"a": 1, "b": 2}), 'labels: none is 0, .* nnU-Net v2 demands "background": 0'),
        (lambda d: d.update(labels={"background": 0, "a": "1"}), "labels: 'a': expected a whole number"),
        (lambda d: d.update(labels={"background": 0, "a": 1, "b": 1}), "mask id 1 stands in more than one row"),
        (lambda d: d.update(file_ending="nii.gz"), "file_ending: 'nii.gz' cannot be read. Known: .nii.gz"),
        (lambda d: d.update(file_ending=".mha"), "file_ending: '.mha' cannot be read"),
        (lambda d: d.update(numTraining="4"), "numTraining: expected a whole number, found '4'"),
    ],
)
def test_a_dataset_json_that_lacks_something_is_named(tmp_path, change, words):
    nnunet(tmp_path, cases=2)
    values = json.loads((tmp_path / "dataset.json").read_text())
    change(values)
    (tmp_path / "dataset.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=f"dataset.json: .*{words}"):
        load_card(str(tmp_path))


def test_a_dataset_json_that_begins_with_a_mark_is_read(tmp_path):
    nnunet(tmp_path, cases=2)
    path = tmp_path / "dataset.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_card(str(tmp_path)).class_names[0] == "background"


def test_folders_and_files_of_nnunet_that_are_not_there(tmp_path):
    nnunet(tmp_path / "a", cases=2)
    shutil.rmtree(tmp_path / "a/labelsTr")
    only(problems(tmp_path / "a", folds=2), "labelsTr: no such folder. Expected the masks of 'train' there")
    nnunet(tmp_path / "b", cases=2)
    for path in (tmp_path / "b/imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace("_0000", "")))
    only(
        problems(tmp_path / "b", folds=2),
        "imagesTr: holds no image that fits",
        "_0000.nii.gz' (found 2 x .nii.gz)",
    )
