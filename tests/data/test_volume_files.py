"""What is read from NIfTI, TIFF and numpy files of volumes, and how it is kept in memory or unpacked."""

import pickle

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from segnext_pafpn.data.readers.volume.cache import VolumeCache
from segnext_pafpn.data.readers.volume.files import read_header, read_volume
from segnext_pafpn.ids import IGNORED_ID
from tests.conftest import write_card
from tests.data.scans import CLASSES, LAYOUT, put_together, reader_of, scans
from tests.data.volumes import SHAPE, SPACING, intensities, labels, save_nifti, save_stack


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
    assert np.array_equal(mask[:, :20], truth[:, :20]) and (mask[:, 20:] == IGNORED_ID).all()


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
    assert isinstance(reader.voxels.cache.get(sample.image), np.memmap)
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


def test_what_must_be_decoded_or_copied_counts_and_what_is_mapped_does_not(tmp_path):
    volume = intensities(labels(0), 0)
    np.save(tmp_path / "short.npy", volume)
    np.save(tmp_path / "double.npy", volume.astype(np.float64))
    save_stack(tmp_path / "plain.tif", volume)
    save_stack(tmp_path / "packed.tif", volume, compression="zlib")
    save_nifti(tmp_path / "plain.nii", volume)
    save_nifti(tmp_path / "double.nii", volume.astype(np.float64))
    scaled = nibabel.Nifti1Image(np.ascontiguousarray(volume.T), np.eye(4))
    scaled.header.set_slope_inter(0.5, 0)
    nibabel.save(scaled, tmp_path / "scaled.nii")
    found = {path.name: read_header(path).unpacked_bytes // volume.size for path in tmp_path.iterdir()}
    assert found == {
        "short.npy": 0, "double.npy": 8, "plain.tif": 0, "packed.tif": 2, "plain.nii": 0, "double.nii": 8,
        "scaled.nii": 4,
    }  # fmt: skip


def test_how_large_a_picture_is_to_be_printed_is_no_spacing(tmp_path):
    picture = labels(0)[0]
    tifffile.imwrite(tmp_path / "print.tif", picture, resolution=(72, 72), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "scope.tif", picture, resolution=(20, 10), resolutionunit="CENTIMETER")
    assert read_header(tmp_path / "print.tif").spacing is None
    assert read_header(tmp_path / "scope.tif").spacing == (1.0, 1.0, 0.5)
