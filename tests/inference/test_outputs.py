"""What predict writes, what it leaves alone, and what it says of both."""

from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.readers.files import read_ids
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.inputs import find_images
from segnext_pafpn.inference.run import predict_files
from segnext_pafpn.models.bundle import save_preprocessing
from tests.inference.conftest import predict_config as config


@pytest.mark.parametrize("output", [".", "deep/..", "link"])
def test_an_input_is_never_overwritten(folder, checkpoint, output):
    (folder / "link").symlink_to(folder)
    before = (folder / "a.png").read_bytes()
    with pytest.raises(UserError, match=r"the masks would lie among the images \(.*a\.png\)"):
        predict_files(config(checkpoint, folder, folder / output, overwrite=True))
    assert (folder / "a.png").read_bytes() == before
    assert not (folder / "b.png").exists()


def test_an_input_in_the_colour_folder_is_never_overwritten(folder, checkpoint, tmp_path):
    (tmp_path / "color").symlink_to(folder)
    with pytest.raises(UserError, match="color: the masks would lie among the images"):
        predict_files(config(checkpoint, folder, tmp_path, color=True, overwrite=True))


def test_a_linked_input_is_never_overwritten(folder, checkpoint, tmp_path):
    target = (folder / "a.png").rename(tmp_path / "a.png")
    (folder / "a.png").symlink_to(target)
    with pytest.raises(UserError, match=r"a\.png: this output would overwrite its input"):
        predict_files(config(checkpoint, folder, tmp_path, overwrite=True))


def test_masks_do_not_lie_among_photos_of_another_suffix_where_the_next_reader_takes_them_for_images(
    folder, checkpoint
):
    (folder / "a.png").unlink()
    with pytest.raises(UserError, match=r"the masks would lie among the images \(.*b\.jpg\)"):
        predict_files(config(checkpoint, folder, folder))
    assert [path.name for path in find_images(str(folder))] == ["b.jpg"]


def test_files_that_are_there_are_replaced_on_request_alone(folder, checkpoint, tmp_path):
    out = tmp_path / "out"
    (out / "color").mkdir(parents=True)
    for name in ("b.png", "color/a.png", "other.png"):
        (out / name).write_text("precious")
    message = rf"out: holds 2 of the files .* the first of them {out}/color/a\.png\. Replace them with --overwrite true"
    with pytest.raises(UserError, match=message):
        predict_files(config(checkpoint, folder, out, color=True))
    assert (out / "b.png").read_text() == "precious" and not (out / "a.png").exists()
    predict_files(config(checkpoint, folder, out, color=True, overwrite=True))
    assert read_ids(out / "b.png").shape == (20, 30)
    assert (out / "other.png").read_text() == "precious"


def test_a_second_run_that_may_replaces_the_masks(folder, checkpoint, tmp_path):
    first = predict_files(config(checkpoint, folder, tmp_path / "out"))
    second = predict_files(config(checkpoint, folder, tmp_path / "out", overwrite=True))
    assert second.written == first.written


def test_no_output_takes_the_place_of_another_images(folder, checkpoint, make_image, tmp_path):
    """Of images in a folder called as that of the coloured masks."""
    (folder / "color").mkdir()
    Image.fromarray(make_image(9, 11)).save(folder / "color/a.png")
    options, out = {"keep_folders": True}, tmp_path / "out"
    words = rf"color/a\.png: would be an output of {folder}/a\.png and of {folder}/color/a\.png\. Rename one"
    with pytest.raises(UserError, match=words):
        predict_files(config(checkpoint, folder / "**/*.png", out, color=True, **options))
    assert not out.exists()
    for overwrite in (False, True):  # the second time, too, the mask of color/a.png is no coloured mask
        predict_files(config(checkpoint, folder / "**/*.png", out, overwrite=overwrite, **options))
        assert [read_ids(out / name).shape for name in ("a.png", "color/a.png")] == [(33, 17), (9, 11)]


def test_an_output_that_is_a_file_is_refused(folder, checkpoint, tmp_path):
    (tmp_path / "out").write_text("precious")
    for output in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(UserError, match="out: is a file, expected a folder"):
            predict_files(config(checkpoint, folder, output))
    assert (tmp_path / "out").read_text() == "precious"


def test_a_mask_that_cannot_be_written_is_named(folder, checkpoint, tmp_path):
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    with pytest.raises(UserError, match=r"out/a\.png: cannot be written"):
        predict_files(config(checkpoint, folder, tmp_path / "out"))


def test_what_is_wrong_with_many_images_alike_is_said_a_few_times(folder, checkpoint, tmp_path, capsys):
    for i in range(9):
        Image.fromarray(np.zeros((4, 4 + i), np.uint16)).save(folder / f"z{i}.png")
    (folder / "empty.png").write_bytes(b"")
    arguments = ["--checkpoint", str(checkpoint), "-i", str(folder), "-o", str(tmp_path / "out"), "--device=cpu"]
    assert main(["predict", *arguments]) == 2
    printed = capsys.readouterr()
    empty, *deep = printed.err.strip().splitlines()
    assert str(folder / "empty.png") in empty
    assert [line.split(":")[1] for line in deep[:3]] == [f" {folder}/z{i}.png" for i in range(3)]
    assert deep[0].endswith("Convert it to 8 bits, which the model was trained on.") and "card" not in printed.err
    assert deep[3:] == ["error: 6 more like the last one"]
    assert "2 masks are in" in printed.out


def test_images_are_counted_apart_from_their_masks(folder, checkpoint, preprocessing, tmp_path, capsys):
    layers = copytree(checkpoint, tmp_path / "model")
    save_preprocessing(replace(preprocessing, multi_label=True), layers)
    for bundle, words in ((checkpoint, "2 masks are in"), (layers, "8 masks of 2 images, one for each class, are in")):
        options = ["-i", str(folder), "-o", str(tmp_path / f"out{words[0]}"), "--device=cpu"]
        assert main(["predict", "--checkpoint", str(bundle), *options]) == 0
        assert words in capsys.readouterr().out
