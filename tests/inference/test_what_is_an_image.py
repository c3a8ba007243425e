"""Arrays, pictures of Pillow's and paths that a Predictor takes, and what it does not."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segnext_pafpn import PAFPNeXt
from segnext_pafpn.cli import main
from segnext_pafpn.data.readers.files import read_ids, read_rgb
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models.bundle import save_bundle
from tests.inference.pointwise import Pointwise, sized


def test_flipped_and_read_only_images_are_taken(preprocessing, make_image, recwarn):
    predictor = Predictor(Pointwise(), preprocessing)
    image = make_image(6, 7)
    image.flags.writeable = False
    np.testing.assert_array_equal(predictor.predict(image[:, ::-1]), predictor.predict(image)[:, ::-1])
    assert not recwarn.list


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4), np.float32), r"\(4, 4\), expected uint8 \(H, W, 3\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), "4 channels, .* 3"),
        (np.zeros((3, 9, 10), np.uint8), r"10 channels, .* Channels come last: give image.transpose\(1, 2, 0\)"),
    ],
)
def test_what_is_no_image_is_refused(preprocessing, image, problem):
    with pytest.raises(ValueError, match=problem) as error:
        Predictor(Pointwise(), preprocessing).logits(image)
    assert not isinstance(error.value, UserError)


@pytest.mark.parametrize("image", [[[0, 0], [0, 0]], torch.zeros(4, 4, 3)])
def test_what_is_no_array_is_refused_with_what_is_taken(preprocessing, image):
    words = rf"is a {type(image).__name__}, expected uint8 \(H, W, 3\) in a numpy array, a PIL image or a path"
    with pytest.raises(TypeError, match=words):
        Predictor(Pointwise(), preprocessing).predict(image)


def test_a_grey_array_is_what_a_grey_file_is(preprocessing, make_image, tmp_path):
    grey = make_image(8, 10)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    predictor = Predictor(Pointwise(), preprocessing)
    np.testing.assert_array_equal(predictor.predict(grey), predictor.predict(read_rgb(tmp_path / "grey.png")))


def test_a_grey_model_takes_one_channel():
    model = nn.Conv2d(1, 3, 1)
    predictor = Predictor(model, sized((4, 5), channels=1))
    image = np.zeros((8, 10, 1), np.uint8)
    assert predictor.predict(image).shape == predictor.predict(image[..., 0]).shape == (8, 10)


def test_a_grey_model_takes_grey_files_and_says_so(make_image, tmp_path, capsys):
    run, pictures = tmp_path / "run", tmp_path / "in"
    save_bundle(PAFPNeXt("elanext_nano", in_channels=1, classes=3), sized(None, channels=1), run)
    assert "It takes 8-bit images of 1 channel(s) as `(image / 255 - mean) / std`" in (run / "README.md").read_text()
    pictures.mkdir()
    grey = make_image(8, 10)[..., 0]
    Image.fromarray(grey).save(pictures / "grey.png")
    Image.fromarray(make_image(8, 10)).save(pictures / "rgb.png")
    Image.fromarray(grey.astype(np.uint16)).save(pictures / "deep.png")
    expected = Predictor.from_checkpoint(run, device="cpu").predict(grey)
    command = ["--checkpoint", run, "-i", pictures, "-o", tmp_path / "out", "--device=cpu", "--overlay=true"]
    assert main(["predict", *map(str, command)]) == 2
    np.testing.assert_array_equal(read_ids(tmp_path / "out/grey.png"), expected)
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["grey.png"]
    said = capsys.readouterr().err
    assert "deep.png: the image has uint16 values, expected 8 bits" in said
    assert "rgb.png: the image has 3 channels (shape (8, 10, 3)), the model expects 1" in said
    predictor = Predictor.from_checkpoint(run, device="cpu")
    for same in (pictures / "grey.png", Image.open(pictures / "grey.png")):
        np.testing.assert_array_equal(predictor.predict(same), expected)
    with pytest.raises(ValueError, match=r"deep\.png is uint16 \(8, 10, 1\), expected uint8 \(H, W, 1\)"):
        predictor.predict(pictures / "deep.png")


def test_no_pixels_at_all_are_refused(preprocessing):
    with pytest.raises(UserError, match="max_pixels"):
        Predictor(Pointwise(), preprocessing, max_pixels=0)


def test_one_image_is_not_taken_for_a_stack_of_grey_ones(make_image):
    predictor = Predictor(Pointwise(classes=3), sized(None))
    image = make_image(8, 9)
    with pytest.raises(ValueError, match=r"images: found one image \(8, 9, 3\), expected several: give a list"):
        predictor.predict_batch(image)
    assert len(predictor.predict_batch(image[None])) == len(predictor.predict_batch([image])) == 1
    assert len(predictor.predict_batch(image[..., 0][None])) == 1  # grey ones in a stack


def test_pictures_and_paths_are_predicted_as_their_arrays(tmp_path, checkpoint, make_image):
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    image = make_image(40, 33)
    Image.fromarray(image).save(tmp_path / "a.png")
    expected = predictor.predict(image)
    pictures = [Image.fromarray(image), Image.fromarray(np.dstack([image, image[..., :1]])), tmp_path / "a.png"]
    for same in (*pictures, str(tmp_path / "a.png")):
        np.testing.assert_array_equal(predictor.predict(same), expected)
    grey = Image.fromarray(image[..., 0])
    np.testing.assert_array_equal(predictor.predict(grey), predictor.predict(image[..., 0]))
    for wrong, words in (
        (Image.fromarray(image[..., 0].astype(np.uint16)), "the picture: the image has more than 8 bits per channel"),
        (np.dstack([image, image[..., :1]]), r"trained on 3\. To leave alpha out, give image\[\.\.\., :3\]\."),
        (tmp_path / "b.png", "b.png: no such file"),
    ):
        with pytest.raises(ValueError, match=words):
            predictor.predict(wrong)


def test_a_picture_of_pillows_is_what_its_file_is(checkpoint, make_image, tmp_path):
    """Turned upright by its EXIF data, and refused where the file would be."""
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    picture = Image.fromarray(make_image(24, 40))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        mask = predictor.predict(opened)
    assert mask.shape == (40, 24) and np.array_equal(mask, predictor.predict(tmp_path / "turned.png"))
    pages = [Image.fromarray(make_image(8, 8)) for _ in range(2)]
    pages[0].save(tmp_path / "pages.gif", save_all=True, append_images=pages[1:])
    with Image.open(tmp_path / "pages.gif") as opened, pytest.raises(UserError, match="the picture: holds 2 pages"):
        predictor.predict(opened)
    cv2.imwrite(str(tmp_path / "deep.png"), make_image(8, 8).astype(np.uint16) * 257)
    with Image.open(tmp_path / "deep.png") as opened, pytest.raises(UserError, match="more than 8 bits per channel"):
        predictor.predict(opened)
