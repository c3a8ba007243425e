"""The boundary loss beside scipy's distances, and on a row of pixels."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from segnext_pafpn.training.losses import boundary_loss, signed_distances
from tests.training.losses.test_pixel import logits_of


def test_distances_are_scipys_outside_and_inside():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, size=(2, 4, 5)).repeat(7, axis=1).repeat(6, axis=2)
    labels[0, :5, :9] = 255
    maps = signed_distances(torch.from_numpy(labels), num_classes=4)
    for picture, found in zip(labels, maps.numpy(), strict=True):
        for k in range(3):
            inside = picture == k
            expected = distance_transform_edt(~inside) - np.where(inside, distance_transform_edt(inside) - 1, 0)
            np.testing.assert_allclose(found[k], expected, atol=1e-4)
    assert not maps[:, 3].any()


def test_a_class_that_is_everywhere_has_no_distance():
    assert not signed_distances(torch.zeros(1, 5, 5, dtype=torch.long), num_classes=2).any()


def test_boundary_loss_worked_by_hand():
    """Class 1 is in the last two of four pixels: distances 2, 1, 0, -1; of class 0: -1, 0, 1, 2.

    Probabilities of class 1 are 0, 1/2, 1, 1: (0 + 1/2 + 0 - 1) + (-1 + 0 + 0 + 0) over 8 entries.
    """
    logits, target = logits_of(1e-12, 0.5, 1 - 1e-12, 1 - 1e-12), torch.tensor([[[0, 0, 1, 1]]])
    assert signed_distances(target, 2)[0, :, 0].tolist() == [[-1, 0, 1, 2], [2, 1, 0, -1]]
    assert boundary_loss(logits, target).item() == pytest.approx(-1.5 / 8)


def test_sigmoid_channels_that_part_the_picture_have_the_distances_of_classes():
    target = torch.randint(0, 3, (2, 9, 8), generator=torch.Generator().manual_seed(0))
    channels = torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(signed_distances(channels, 3, mode="sigmoid"), signed_distances(target, 3))


def test_a_prediction_nearer_to_the_truth_costs_less():
    target = torch.zeros(1, 12, 12, dtype=torch.long)
    target[:, 4:8, 4:8] = 1
    costs = []
    for shift in (0, 1, 3, 6):
        mask = target.roll(shift, dims=2)
        logits = 20.0 * torch.nn.functional.one_hot(mask, 2).permute(0, 3, 1, 2)
        costs.append(boundary_loss(logits, target).item())
    assert costs == sorted(costs) and costs[0] < costs[-1]
