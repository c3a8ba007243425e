"""Volumes are predicted slice by slice and written in the form they came in."""

from dataclasses import replace
from shutil import copytree
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from segnext_pafpn.cli import main
from segnext_pafpn.data.readers.volume.files import read_header
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.volumes import find_volumes, predict_volume, save_labels
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models import PAFPNeXt
from segnext_pafpn.models.bundle import load_preprocessing, save_bundle, save_preprocessing
from segnext_pafpn.models.describe import describe_images
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.slicing import Slicing
from tests.data.volumes import SHAPE, SPACING, affine, intensities, labels, reorient, save_nifti, save_stack

AS_THEY_ARE = Intensity(method="none", channels=1, mean=(0.0,), std=(1.0,))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model of volumes with one channel, random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "model"
    preprocessing = Preprocessing.of_images(
        AS_THEY_ARE, ("background", "organ"), ((0, 0, 0), (255, 0, 0)), None, slicing=Slicing(images=("{name}.*",))
    )
    save_bundle(PAFPNeXt("elanext_nano", classes=2, in_channels=1), preprocessing, folder)
    return folder


class AboveMinus400(nn.Module):
    """Of the fourth channel."""

    def forward(self, x):
        distance = x[:, 3:4] + 400
        return torch.cat([-distance, distance], dim=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_labels_of_the_slices_are_the_labels_of_the_volume(tmp_path, axis):
    """The model is a threshold on the slice itself, the second channel of the middle one of three."""
    volume = intensities(labels(2), 2)
    save_nifti(tmp_path / "a_0000.nii.gz", np.zeros(SHAPE, np.int16))
    save_nifti(tmp_path / "a_0001.nii.gz", volume)
    slicing = Slicing(axis=axis, neighbours=1, images=("{name}_0000.nii.gz", "{name}_0001.nii.gz"))
    many = Intensity(method="none", channels=6, mean=(0.0,) * 6, std=(1.0,) * 6)
    preprocessing = Preprocessing.of_images(many, ("background", "organ"), ((0, 0, 0), (1, 1, 1)), None, slicing)
    (case,) = find_volumes(str(tmp_path), slicing)
    answer = predict_volume(Predictor(AboveMinus400(), preprocessing, batch_size=3), case, probabilities=True)
    found = answer.labels
    assert np.array_equal(found, volume > -400) and found.any() and not found.all() and answer.seconds > 0
    assert np.array_equal(answer.probabilities[1] > 0.5, found)
    assert np.allclose(answer.probabilities.sum(0), 1, atol=1e-3) and answer.probabilities.shape == (2, *SHAPE)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_a_nifti_of_labels_has_the_voxels_where_the_image_has_them(tmp_path, ending):
    hand_made = labels(5)
    source, out = tmp_path / f"image{ending}", tmp_path / f"out/labels{ending}"
    image = nibabel.Nifti1Image(intensities(hand_made, 5).T, affine())
    image.header.set_slope_inter(2.0, -1024.0)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine(), code=2)
    image.set_qform(affine(), code=1)
    nibabel.save(image, source)
    save_labels(hand_made, out, like=source)
    written = nibabel.load(out)
    assert np.array_equal(written.affine, nibabel.load(source).affine)
    assert nibabel.aff2axcodes(written.affine) == nibabel.aff2axcodes(affine())
    assert written.header.get_zooms() == pytest.approx(SPACING[::-1])
    assert (int(written.header["sform_code"]), int(written.header["qform_code"])) == (2, 1)
    assert written.header.get_xyzt_units() == ("mm", "sec")
    assert np.array_equal(np.asarray(written.dataobj), hand_made.T) and written.get_data_dtype() == np.uint8
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_a_nifti_keeps_its_number_of_axes(tmp_path):
    for shape in ((36, 40), (36, 40, 1), (36, 40, 12, 1)):
        source, out = tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.float32), affine()), source)
        truth = labels(1, read_header(source).shape)
        save_labels(truth, out, like=source)
        assert nibabel.load(out).shape == shape
        assert np.array_equal(np.asarray(nibabel.load(out).dataobj).reshape(truth.T.shape), truth.T)


def test_a_tiff_of_labels_keeps_the_spacing(tmp_path):
    truth = labels(1)
    save_stack(tmp_path / "with.tif", intensities(truth, 1, np.uint16, 900), SPACING)
    save_stack(tmp_path / "without.tif", intensities(truth, 1, np.uint16, 900))
    save_stack(tmp_path / "beside_0000.tif", intensities(truth, 1, np.uint16, 900))
    (tmp_path / "beside.json").write_text('{"spacing": [3.0, 0.5, 0.75]}')
    for name, spacing in (("with", SPACING), ("without", None), ("beside_0000", SPACING)):
        out = tmp_path / f"out/{name}.tif"
        save_labels(truth, out, like=tmp_path / f"{name}.tif")
        assert np.array_equal(tifffile.imread(out), truth)
        found = read_header(out).spacing
        assert found == (None if spacing is None else pytest.approx(spacing))


def test_numpy_arrays_stay_numpy_arrays(tmp_path):
    truth = labels(1)
    for name, array in (("volume", truth), ("picture", truth[:1])):
        np.save(tmp_path / f"{name}.npy", array if name == "volume" else array[0])
        save_labels(array, tmp_path / f"{name}-out.npy", like=tmp_path / f"{name}.npy")
        assert np.array_equal(np.load(tmp_path / f"{name}-out.npy"), array if name == "volume" else array[0])


def test_labels_of_another_shape_are_a_programmers_error(tmp_path):
    save_nifti(tmp_path / "a.nii.gz", labels(1))
    with pytest.raises(ValueError, match=r"expected uint8 or uint16 \(12, 40, 36\)"):
        save_labels(labels(1)[1:], tmp_path / "out.nii.gz", like=tmp_path / "a.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()


def test_channels_on_other_grids_are_refused(tmp_path):
    save_nifti(tmp_path / "a_0000.nii.gz", labels(1), affine())
    save_nifti(tmp_path / "a_0001.nii.gz", labels(1), affine(3))
    slicing = Slicing(images=("{name}_0000.nii.gz", "{name}_0001.nii.gz"))
    model = SimpleNamespace(preprocessing=None, predict=None)
    with pytest.raises(UserError, match=r"a_0001.nii.gz: its affine puts a corner 3 mm away"):
        predict_volume(model, find_volumes(str(tmp_path), slicing)[0])


def predict(checkpoint, source, output, *options):
    return main(
        ["predict", "--checkpoint", str(checkpoint), "-i", str(source), "-o", str(output), "--device", "cpu", *options]
    )


def test_a_volume_that_cannot_be_read_is_reported_and_the_others_are_written(checkpoint, tmp_path, capsys):
    for number in range(3):
        save_nifti(tmp_path / f"scans/p{number}.nii.gz", intensities(labels(number), number))
    path = tmp_path / "scans/p1.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])
    assert predict(checkpoint, tmp_path / "scans", tmp_path / "out") == 2
    assert "scans/p1.nii.gz: cannot be decoded" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["p0.nii.gz", "p2.nii.gz"]


def test_one_file_is_predicted_too_and_nothing_overwrites_it(checkpoint, tmp_path, capsys):
    save_nifti(tmp_path / "p1.nii.gz", intensities(labels(1), 1))
    assert predict(checkpoint, tmp_path / "p1.nii.gz", tmp_path / "out") == 0
    assert nibabel.load(tmp_path / "out/p1.nii.gz").shape == SHAPE[::-1]
    before = (tmp_path / "p1.nii.gz").read_bytes()
    assert predict(checkpoint, tmp_path / "p1.nii.gz", tmp_path) == 2
    assert "the masks would lie among the images" in capsys.readouterr().err
    assert (tmp_path / "p1.nii.gz").read_bytes() == before
    assert predict(checkpoint, tmp_path, tmp_path / "x", "--color", "true") == 2
    assert "color and overlay are for pictures" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".nii.gz", ".tif"])
def test_ids_above_255_are_written_in_16_bits(checkpoint, tmp_path, ending):
    bundle = copytree(checkpoint, tmp_path / "model")
    save_preprocessing(replace(load_preprocessing(checkpoint), class_ids=(0, 1000)), bundle)
    save = save_nifti if ending == ".nii.gz" else save_stack
    save(tmp_path / f"scans/p{ending}", intensities(labels(0), 0))
    assert predict(bundle, tmp_path / "scans", tmp_path / "places") == 0
    assert predict(bundle, tmp_path / "scans", tmp_path / "ids", "--ids", "true") == 0
    read = (lambda path: np.asarray(nibabel.load(path).dataobj)) if ending == ".nii.gz" else tifffile.imread
    places, ids = (read(tmp_path / folder / f"p{ending}") for folder in ("places", "ids"))
    assert places.dtype == np.uint8 and np.array_equal(ids, 1000 * places.astype(int))


def test_a_volume_with_another_number_of_channels_is_named(checkpoint, tmp_path, capsys):
    np.save(tmp_path / "p.npy", np.zeros((3, 32, 32, 2), np.float32))
    assert predict(checkpoint, tmp_path / "p.npy", tmp_path / "out") == 2
    assert "p.npy: the image has 2 channels" in capsys.readouterr().err


def test_how_volumes_are_cut_travels_with_the_model(checkpoint):
    assert load_preprocessing(checkpoint).slicing == Slicing(images=("{name}.*",))


def test_a_volume_that_runs_another_way_than_those_of_training_is_turned_and_back(checkpoint, tmp_path, capsys):
    """The mask of a volume is the same wherever its axes run; the network, of random weights, sees it as it learnt."""
    learnt = load_preprocessing(checkpoint)
    copytree(checkpoint, tmp_path / "model")
    slicing = replace(learnt.slicing, orientation="LAS")
    save_preprocessing(replace(learnt, slicing=slicing), tmp_path / "model")
    assert load_preprocessing(tmp_path / "model").slicing == slicing
    volume = nibabel.Nifti1Image(np.ascontiguousarray(intensities(labels(0), 0).T), affine())
    assert nibabel.aff2axcodes(volume.affine) == ("L", "A", "S")
    found = {}
    for codes in ("LAS", "RPI", "SLP"):
        nibabel.save(volume, tmp_path / f"{codes}.nii.gz")
        reorient(tmp_path / f"{codes}.nii.gz", codes)
        options = ("--save_probabilities", "true", "--overwrite", "true")
        assert predict(tmp_path / "model", tmp_path / f"{codes}.nii.gz", tmp_path / "out", *options) == 0
        told = f"1 volume, {tmp_path}/{codes}.nii.gz first, turned to LAS for the network, as in training"
        assert (told in capsys.readouterr().out) == (codes != "LAS")
        mask = nibabel.load(tmp_path / f"out/{codes}.nii.gz")
        assert nibabel.aff2axcodes(mask.affine) == tuple(codes)
        assert mask.shape == nibabel.load(tmp_path / f"{codes}.nii.gz").shape
        (shares,) = (tmp_path / "out").rglob(f"{codes}*.npz")
        shares = np.load(shares)["probabilities"]
        clear = np.abs(shares[1] - 0.5) > 0.01  # not rounded to a tie
        assert np.array_equal((shares[1] > 0.5)[clear], np.asarray(mask.dataobj).T[clear]) and clear.mean() > 0.5
        reorient(tmp_path / f"out/{codes}.nii.gz", "LAS")
        found[codes] = np.asarray(nibabel.load(tmp_path / f"out/{codes}.nii.gz").dataobj)
    assert found["LAS"].any() and not found["LAS"].all()
    assert all(np.array_equal(mask, found["LAS"]) for mask in found.values())
    np.save(tmp_path / "a.npy", intensities(labels(0), 0))
    assert predict(tmp_path / "model", tmp_path / "a.npy", tmp_path / "out") == 0
    assert "a.npy first, without a word on how the axes run, expected LAS as in training" in capsys.readouterr().out
    assert np.array_equal(np.load(tmp_path / "out/a.npy"), found["LAS"].T)


def test_the_description_of_a_model_says_how_volumes_are_cut(checkpoint):
    learnt = load_preprocessing(checkpoint)
    slicing = Slicing(axis=1, neighbours=1, standardize=True, orientation="RAS")
    text = describe_images(replace(learnt, slicing=slicing))
    assert "turned until columns, rows and slices (NIfTI's i, j, k) run to RAS, standardised as a whole" in text
    assert "each slice with the 1 before and the 1 after as channels" in text
    assert describe_images(learnt).startswith("An image is a slice of a volume (slices, rows, columns), which is cut ")
    assert "slice" not in describe_images(replace(learnt, slicing=None))


def test_an_orientation_that_is_none_in_a_models_file_is_named(checkpoint, tmp_path, capsys):
    copytree(checkpoint, tmp_path / "model")
    file = tmp_path / "model/preprocessing.json"
    file.write_text(file.read_text().replace('"orientation": ""', '"orientation": "RAX"'))
    np.save(tmp_path / "a.npy", intensities(labels(0), 0))
    assert predict(tmp_path / "model", tmp_path / "a.npy", tmp_path / "out") == 2
    assert "preprocessing.json: not a valid preprocessing file" in (error := capsys.readouterr().err)
    assert "orientation is 'RAX', expected one such as RAS" in error


def test_models_that_turn_volumes_otherwise_do_not_answer_together(checkpoint, tmp_path, capsys):
    for name, orientation in (("a", "RAS"), ("b", "LPS")):
        copytree(checkpoint, tmp_path / name)
        learnt = load_preprocessing(checkpoint)
        save_preprocessing(replace(learnt, slicing=replace(learnt.slicing, orientation=orientation)), tmp_path / name)
    np.save(tmp_path / "a.npy", intensities(labels(0), 0))
    assert predict(f"[{tmp_path}/a, {tmp_path}/b]", tmp_path / "a.npy", tmp_path / "out") == 2
    assert f"{tmp_path}/b: has layout.orientation LPS, but {tmp_path}/a has RAS, so" in capsys.readouterr().err


def test_a_volume_whose_slices_the_network_does_not_take_is_named(checkpoint, tmp_path, capsys, monkeypatch):
    class OneSize(nn.Module):
        def forward(self, x):
            return x.expand(-1, 2, -1, -1) + x.new_zeros(SHAPE[1:])

    model = Predictor(OneSize(), load_preprocessing(checkpoint))
    monkeypatch.setattr(Predictor, "from_checkpoint", lambda *_, **__: model)
    for name, shape in (("a", SHAPE), ("b", (4, 7, 5)), ("c", SHAPE)):
        save_nifti(tmp_path / f"scans/{name}.nii.gz", np.zeros(shape, np.int16))
    assert predict(checkpoint, tmp_path / "scans", tmp_path / "out") == 2
    assert f"error: {tmp_path}/scans/b.nii.gz: model: fails on images of 5 x 7 (width" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.nii.gz", "c.nii.gz"]
