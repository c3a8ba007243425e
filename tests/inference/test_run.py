import os
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.data.readers.files import read_ids, read_rgb
from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.pictures import colorize
from segnext_pafpn.inference.inputs import find_images
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.run import PredictConfig, predict_files
from segnext_pafpn.inference.writer import overlay
from segnext_pafpn.models.bundle import save_preprocessing
from tests.inference.conftest import predict_config as config

ORIENTATION = 0x0112


def test_a_file_a_folder_and_globs_are_found(folder):
    def names(pattern):
        return [path.name for path in find_images(str(folder / pattern))]

    assert names("b.jpg") == ["b.jpg"]
    assert names("") == ["a.png", "b.jpg"]
    assert names("*") == ["a.png", "b.jpg"]
    assert names("*.png") == ["a.png"]
    assert names("**/*.png") == ["a.png", "c.png"]
    assert names("**/**/*.png") == ["a.png", "c.png"]


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(folder):
    folder = folder.rename(folder.with_name("photos [raw]"))
    assert [path.name for path in find_images(str(folder))] == ["a.png", "b.jpg"]


@pytest.mark.parametrize("pattern", ["nowhere", "*.tif", "notes", "deep"])
def test_a_pattern_that_finds_nothing_is_named(folder, pattern):
    with pytest.raises(UserError, match=r"no images found\. Expected .*glob") as error:
        find_images(str(folder / pattern))
    assert str(error.value).startswith(str(folder / pattern))


def test_a_list_names_images_from_its_own_folder_from_here_or_by_their_whole_paths(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    listed = folder / "wanted.txt"
    listed.write_text(f"deep/er/c.png\n\nphotos/b.jpg\n{folder / 'a.png'}\n")
    assert [path.resolve() for path in find_images(str(listed))] == [
        folder / name for name in ("deep/er/c.png", "b.jpg", "a.png")
    ]


@pytest.mark.parametrize(
    "lines, said",
    [
        ("a.png\nb.png\n", "line 2: 'b.png': no such file. Expected an image"),
        ("\n", "is empty. Expected the path of an image a line"),
    ],
)
def test_a_list_of_what_is_not_there_is_refused(folder, lines, said):
    (folder / "wanted.txt").write_text(lines)
    with pytest.raises(UserError) as error:
        find_images(str(folder / "wanted.txt"))
    assert said in str(error.value)


def test_an_image_that_a_list_names_twice_is_predicted_once(folder, checkpoint, tmp_path):
    (folder / "wanted.txt").write_text("a.png\nb.jpg\na.png\n")
    report = predict_files(config(checkpoint, folder / "wanted.txt", tmp_path / "out"))
    assert sorted(report.written) == [tmp_path / "out/a.png", tmp_path / "out/b.png"]


def test_masks_lie_in_folders_as_their_images_do_on_request(folder, checkpoint, make_image, tmp_path):
    Image.fromarray(make_image(8, 8)).save(folder / "deep/er/a.png")
    options = {"keep_folders": True, "color": True}
    report = predict_files(config(checkpoint, folder / "**" / "*", tmp_path / "out", **options))
    names = ["a.png", "b.png", "deep/er/a.png", "deep/er/c.png"]
    assert sorted(report.written) == [tmp_path / "out" / name for name in names]
    assert all((tmp_path / "out" / "color" / name).is_file() for name in names)
    (folder / "wanted.txt").write_text("../photos/a.png\ndeep/er/../er/c.png\n")
    wanted = config(checkpoint, folder / "wanted.txt", tmp_path / "few", keep_folders=True)
    assert predict_files(wanted).written == [tmp_path / "few/a.png", tmp_path / "few/deep/er/c.png"]
    with pytest.raises(UserError, match=r"of an earlier prediction would stay .*--color true"):
        predict_files(config(checkpoint, folder / "**" / "*", tmp_path / "out", keep_folders=True, overwrite=True))


def test_folders_of_images_that_are_not_looked_into_are_told(folder, checkpoint):
    (folder / "empty").mkdir()
    report = predict_files(config(checkpoint, folder, folder / "masks"))
    assert report.left_out == [folder / "deep"]
    again = config(checkpoint, folder, folder / "masks", overwrite=True)
    assert predict_files(again).left_out == [folder / "deep"]  # the masks are no images that were left out
    assert predict_files(config(checkpoint, folder / "a.png", folder / "one")).left_out == []


@pytest.mark.parametrize("twin", ["a.jpg", "deep/a.png"])
def test_two_images_of_one_stem_are_refused(folder, twin, checkpoint, tmp_path):
    Image.new("RGB", (4, 4)).save(folder / twin)
    with pytest.raises(UserError) as error:
        predict_files(config(checkpoint, folder / "**" / "*", tmp_path / "out"))
    assert str(folder / "a.png") in str(error.value)
    assert str(folder / twin) in str(error.value) and "--keep_folders true" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_masks_have_their_images_names_and_sizes_and_the_models_ids(folder, checkpoint, tmp_path):
    report = predict_files(config(checkpoint, folder, tmp_path / "out"))
    assert report.written == [tmp_path / "out" / "a.png", tmp_path / "out" / "b.png"]
    assert report.failed == []
    assert 0 < report.model_seconds <= report.seconds
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    for source, mask in zip((folder / "a.png", folder / "b.jpg"), report.written, strict=True):
        np.testing.assert_array_equal(read_ids(mask), predictor.predict(read_rgb(source)))


def test_ids_are_those_of_the_datas_own_masks(folder, checkpoint, preprocessing, tmp_path):
    predict_files(config(checkpoint, folder, tmp_path / "places"))
    bundle = copytree(checkpoint, tmp_path / "model")
    save_preprocessing(replace(preprocessing, class_ids=(7, 8, 1000, 0)), bundle)
    report = predict_files(config(bundle, folder, tmp_path / "ids", ids=True, color=True))
    for path in report.written:
        places = read_ids(tmp_path / "places" / path.name)
        np.testing.assert_array_equal(read_ids(path), np.array([7, 8, 1000, 0])[places])
        color = colorize(places, preprocessing.class_colors)
        np.testing.assert_array_equal(read_rgb(tmp_path / "ids" / "color" / path.name), color)


def test_ids_that_the_model_does_not_know_are_refused(folder, checkpoint, preprocessing, tmp_path):
    with pytest.raises(UserError, match=r"no class_ids in preprocessing\.json"):
        predict_files(config(checkpoint, folder, tmp_path / "out", ids=True))
    layers = copytree(checkpoint, tmp_path / "model")
    save_preprocessing(replace(preprocessing, multi_label=True), layers)
    with pytest.raises(UserError, match="one for each class"):
        predict_files(config(layers, folder, tmp_path / "out", ids=True))
    assert not (tmp_path / "out").exists()


def test_colours_and_overlays_are_written_beside_the_masks(folder, checkpoint, preprocessing, tmp_path):
    out = tmp_path / "out"
    predict_files(config(checkpoint, folder, out, color=True, overlay=True))
    for source in (folder / "a.png", folder / "b.jpg"):
        name = f"{source.stem}.png"
        mask, image = read_ids(out / name), read_rgb(source)
        np.testing.assert_array_equal(read_rgb(out / "color" / name), colorize(mask, preprocessing.class_colors))
        expected = overlay(image, mask, preprocessing.class_colors)
        np.testing.assert_array_equal(read_rgb(out / "overlay" / name), expected)


def test_greyscale_palette_and_transparent_images_are_predicted(checkpoint, make_image, tmp_path):
    image = Image.fromarray(make_image(12, 21))
    folder = tmp_path / "in"
    folder.mkdir()
    for mode in ("L", "P", "RGBA", "1", "LA"):
        image.convert(mode).save(folder / f"{mode}.png")
    report = predict_files(config(checkpoint, folder, tmp_path / "out"))
    assert report.failed == []
    assert [read_ids(path).shape for path in report.written] == [(12, 21)] * 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photo_gets_a_mask_of_the_upright_photo(checkpoint, make_image, tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(make_image(10, 24)).save(tmp_path / "photo.png", exif=exif)
    report = predict_files(config(checkpoint, tmp_path / "photo.png", tmp_path / "out"))
    assert read_ids(report.written[0]).shape == ((24, 10) if orientation >= 5 else (10, 24))


def test_unreadable_images_are_named_and_the_others_predicted(folder, checkpoint, tmp_path):
    whole = (folder / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "deep.png").write_bytes(b"")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(folder / "z16.png")
    (folder / "zz.png").symlink_to(folder / "gone.png")
    report = predict_files(config(checkpoint, folder, tmp_path / "out"))
    assert [path.name for path in report.written] == ["a.png", "b.png"]
    assert [line.split(":")[0] for line in report.failed] == [
        str(folder / name) for name in ("cut.png", "deep.png", "z16.png", "zz.png")
    ]
    assert not any("\n" in line for line in report.failed)


def test_options_are_looked_at_before_the_names_of_images(folder, checkpoint, tmp_path):
    Image.new("RGB", (4, 4)).save(folder / "a.jpg")
    wrong = PredictConfig(checkpoint=str(checkpoint), input=str(folder), output=str(tmp_path / "out"), device="gpu7")
    with pytest.raises(UserError, match="device: 'gpu7' cannot be used"):
        predict_files(wrong)


def test_a_checkpoint_that_is_a_file_is_called_so(folder, checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"config\.json: is a file, expected the folder of a finished run"):
        predict_files(config(checkpoint / "config.json", folder, tmp_path / "out"))


def test_nothing_readable_is_still_a_report(checkpoint, tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    report = predict_files(config(checkpoint, tmp_path / "a.png", tmp_path / "out"))
    assert report.written == []
    assert len(report.failed) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [{"overlap": 0.91}, {"overlap": -0.5}, {"max_pixels": 0}])
def test_numbers_out_of_range_are_refused_before_anything_is_written(folder, checkpoint, tmp_path, options):
    with pytest.raises(UserError, match=next(iter(options))):
        predict_files(config(checkpoint, folder, tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()


def test_a_missing_checkpoint_is_named_before_anything_is_written(folder, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        predict_files(config(tmp_path / "nowhere", folder, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_track_sees_every_image(folder, checkpoint, tmp_path):
    seen = []

    def track(jobs, total, title):
        seen.append((total, title))
        yield from jobs

    predict_files(config(checkpoint, folder, tmp_path / "out"), track)
    assert seen == [(2, "predict")]


def test_relative_paths_are_those_of_the_working_folder(folder, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    report = predict_files(config(checkpoint, "*.png", os.path.join("..", "out")))
    assert report.written == [Path("..", "out", "a.png")]
    assert (tmp_path / "out" / "a.png").is_file()
