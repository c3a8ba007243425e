from dataclasses import replace

import numpy as np
import pytest
import torch

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.metrics import ConfusionMatrix, count_each_image
from segnext_pafpn.evaluation.per_image import ImageMatrices, image_rows, load_images, load_images_of_run, save_images
from segnext_pafpn.evaluation.scores import scores_from_matrix


def made(matrices, names=None, class_names=("a", "b")) -> ImageMatrices:
    matrices = np.array(matrices)
    names = names or tuple(f"i{k}" for k in range(len(matrices)))
    return ImageMatrices(tuple(names), matrices, tuple(class_names), "val")


def test_each_image_is_counted_by_itself():
    prediction = torch.tensor([[[0, 1], [1, 1]], [[0, 0], [0, 1]]])
    target = torch.tensor([[[0, 1], [0, 255]], [[1, 1], [1, 1]]])
    found = count_each_image(prediction, target, 2)
    assert found.dtype == torch.int32
    assert found.tolist() == [[[1, 1], [0, 1]], [[0, 0], [3, 1]]]


def test_images_add_up_to_the_matrix_of_the_data_set():
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randint(0, 7, (5, 33, 21), generator=generator, dtype=torch.uint8)
    target = torch.randint(0, 5, (5, 33, 21), generator=generator, dtype=torch.uint8)
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    whole = ConfusionMatrix(5)
    whole.update(prediction, target)
    assert torch.equal(count_each_image(prediction, target, 5).sum(dim=0), whole.compute())


def test_scores_of_an_image_are_those_of_its_own_matrix():
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 50, (6, 4, 4)) * rng.integers(0, 2, (6, 4, 1))
    images = made(matrices, class_names="abcd")
    for i, matrix in enumerate(matrices):
        expected = scores_from_matrix(matrix)
        assert images.miou()[i] == pytest.approx(expected.mIoU, nan_ok=True)
        assert images.accuracy()[i] == pytest.approx(expected.aAcc, nan_ok=True)


def test_the_list_begins_with_the_worst_and_leaves_out_images_that_cannot_be_scored():
    images = made([[[4, 0], [0, 4]], [[0, 0], [0, 0]], [[2, 2], [0, 4]], [[0, 4], [4, 0]]])
    assert images.worst_first().tolist() == [3, 2, 0]
    assert image_rows(images)[:2] == [("i3", 0.0, 0.0, "a"), ("i2", 58.33, 75.0, "a")]


def test_images_of_a_case_add_up_and_the_fullest_slice_stands_for_it():
    matrices = [[[4, 0], [0, 4]], [[7, 0], [1, 0]], [[2, 2], [0, 4]]]
    images = made(matrices, names=("a/0", "b", "a/1"))
    assert not images.has_slices and images.by_case() is images
    images = replace(images, cases=("a", "b", "a"))
    assert images.by_case().names == ("a", "b")
    assert images.by_case().matrices.tolist() == [[[6, 2], [0, 8]], [[7, 0], [1, 0]]]
    assert images.shown_of("a") == 2 and images.shown_of("b") == 1  # 6 pixels are no background there
    with pytest.raises(ValueError, match="2 cases for 3 images"):
        replace(images, cases=("a", "b"))


def test_saved_images_are_read_back(tmp_path):
    images = replace(made([[[1, 2], [3, 4]]], names=["straße, 1"], class_names=["a", "b"]), cases=("straße",))
    save_images(images, tmp_path / "x.npz")
    again = load_images(tmp_path / "x.npz")
    assert (again.names, again.class_names, again.split) == (images.names, images.class_names, "val")
    assert again.cases == ("straße",)
    assert np.array_equal(again.matrices, images.matrices)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_missing_and_broken_files_are_named_with_what_to_do(tmp_path):
    for tta, words in (("none", r"metrics_test_images\.npz: .* --split test$"), ("flip", r"test_flip_.* --tta flip$")):
        with pytest.raises(UserError, match=words):
            load_images_of_run(tmp_path, "test", tta)
    with pytest.raises(UserError, match=r"x\.npz: no such file, expected the scores of every image"):
        load_images(tmp_path / "x.npz")
    for content in (b"", b"not a zip", b"PK\x03\x04 broken"):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(UserError, match=r"x\.npz: not a readable file of per-image scores.*run segnext-pafpn val"):
            load_images(tmp_path / "x.npz")


def test_matrices_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(1, 2, 2\)"):
        ImageMatrices(("a",), np.zeros((1, 3, 3)), ("x", "y"), "val")
