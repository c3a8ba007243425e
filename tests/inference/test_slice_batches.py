"""Slices that go through the network together get the labels that each gets by itself."""

import numpy as np
import pytest
import torch

from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.volumes import VolumeFiles, predict_volume
from segnext_pafpn.intensity import Intensity
from segnext_pafpn.models import PAFPNeXt
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.slicing import Slicing, stack_along, take_slice
from tests.data.volumes import SHAPE, intensities, labels, save_nifti

SCALED = Intensity(method="zscore", channels=1, mean=(-400.0,), std=(150.0,))


def predictor_of(image_size=None, max_pixels=2**22, window=(768, 768), axis=0, batch_size=4):
    torch.manual_seed(4)
    colors = ((0, 0, 0), (200, 0, 0), (0, 200, 0))
    preprocessing = Preprocessing.of_images(SCALED, ("a", "b", "c"), colors, image_size, slicing=Slicing(axis=axis))
    model = PAFPNeXt("elanext_nano", classes=3, in_channels=1)
    for parameter in model.parameters():  # large random weights, so that classes differ from voxel to voxel
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    return Predictor(model, preprocessing, max_pixels=max_pixels, window=window, batch_size=batch_size)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 100},  # all slices at once
        {"batch_size": 5},  # fewer in the last pass
        {"image_size": (32, 48)},
        {"max_pixels": 400, "window": (16, 16)},  # each slice in windows
    ],
)
def test_no_voxel_changes_where_slices_are_predicted_together(tmp_path, axis, options):
    volume = intensities(labels(3), 3)
    save_nifti(tmp_path / "a.nii.gz", volume)
    predictor = predictor_of(axis=axis, **options)
    found = predict_volume(predictor, VolumeFiles("a", (tmp_path / "a.nii.gz",))).labels
    one_by_one = [predictor.predict(take_slice(volume[..., None], axis, i)) for i in range(SHAPE[axis])]
    assert np.array_equal(found, stack_along(one_by_one, axis)) and len(np.unique(found)) > 1


def test_images_of_other_channels_are_refused_in_a_batch_too():
    predictor = predictor_of()
    with pytest.raises(ValueError, match="trained on 1"):
        predictor.predict_batch([np.zeros((32, 32, 1), np.int16), np.zeros((32, 32, 2), np.int16)])
