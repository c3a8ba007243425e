"""Losses that are means over pixels: beside torch and smp, and on numbers that can be checked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import FocalLoss
from segmentation_models_pytorch.losses._functional import softmax_focal_loss_with_logits

from segnext_pafpn.training.losses import cross_entropy, focal_loss, ohem_cross_entropy


def batch(mode="softmax", seed=0):
    """Logits and a target in which half of the pixels are ignored, and the labelled half of both."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 6, 5, generator=generator, dtype=torch.float64)
    shape = (2, 6, 5) if mode == "softmax" else (2, 4, 6, 5)
    target = torch.randint(0, 4 if mode == "softmax" else 2, shape, generator=generator)
    labelled = logits[:, :, 3:], target[..., 3:, :].clone()
    target[..., :3, :] = 255
    return logits, target, *labelled


def logits_of(*probabilities):
    """Two classes, a row of pixels; the probability of class 1 of each."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([torch.zeros_like(p), torch.log(p / (1 - p))]).view(1, 2, 1, -1)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.0])
def test_focal_loss_is_smps_on_the_labelled_pixels(gamma):
    logits, target, part, labels = batch()
    expected = softmax_focal_loss_with_logits(part, labels, gamma=gamma)
    torch.testing.assert_close(focal_loss(logits, target, gamma=gamma), expected)
    logits, target, part, labels = batch("sigmoid")
    expected = FocalLoss("multilabel", gamma=gamma)(part, labels)
    torch.testing.assert_close(focal_loss(logits, target, gamma=gamma, mode="sigmoid"), expected)


def test_focal_loss_worked_by_hand():
    """Probability of the truth 0.9 and 0.5: (0.01 * -ln 0.9 + 0.25 * -ln 0.5) / 2."""
    value = focal_loss(logits_of(0.9, 0.5), torch.tensor([[[1, 0]]]), gamma=2.0)
    assert value.item() == pytest.approx((0.01 * -math.log(0.9) + 0.25 * math.log(2)) / 2)


@pytest.mark.parametrize("mode", ["softmax", "sigmoid"])
def test_focal_loss_without_focus_is_the_cross_entropy(mode):
    logits, target, _, _ = batch(mode)
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    torch.testing.assert_close(
        focal_loss(logits, target, class_weights=weights, gamma=0.0, mode=mode),
        cross_entropy(logits, target, class_weights=weights, mode=mode),
    )


def test_cross_entropy_of_sigmoids_is_torchs_on_the_labelled_entries():
    logits, target, part, labels = batch("sigmoid")
    expected = F.binary_cross_entropy_with_logits(part, labels.double())
    torch.testing.assert_close(cross_entropy(logits, target, mode="sigmoid"), expected)
    smooth = F.binary_cross_entropy_with_logits(part, labels.double() * 0.8 + 0.1)
    torch.testing.assert_close(cross_entropy(logits, target, label_smoothing=0.2, mode="sigmoid"), smooth)


def test_class_weights_of_sigmoids_weigh_channels():
    logits, target, part, labels = batch("sigmoid")
    each = F.binary_cross_entropy_with_logits(part, labels.double(), reduction="none").mean(dim=(0, 2, 3))
    weights = torch.tensor([1.0, 0.0, 3.0, 0.0])
    expected = (each[0] + 3 * each[2]) / 4
    torch.testing.assert_close(cross_entropy(logits, target, class_weights=weights, mode="sigmoid"), expected)


def test_ohem_keeps_the_pixels_that_are_not_sure():
    """Truth is class 1 with 0.9, 0.8, 0.6, 0.5: below 0.7 are two."""
    logits, target = logits_of(0.9, 0.8, 0.6, 0.5, 0.1), torch.tensor([[[1, 1, 1, 1, 255]]])
    value = ohem_cross_entropy(logits, target, threshold=0.7, share=0.25)
    assert value.item() == pytest.approx(-(math.log(0.6) + math.log(0.5)) / 2)


def test_ohem_keeps_a_share_where_all_are_sure():
    """Of four labelled pixels, all surer than 0.3, the hardest 3 of 4 are kept; the ignored one is none of them."""
    logits, target = logits_of(0.9, 0.8, 0.6, 0.5, 0.1), torch.tensor([[[1, 1, 1, 1, 255]]])
    value = ohem_cross_entropy(logits, target, threshold=0.3, share=0.75)
    assert value.item() == pytest.approx(-(math.log(0.8) + math.log(0.6) + math.log(0.5)) / 3)


@pytest.mark.parametrize("mode", ["softmax", "sigmoid"])
def test_ohem_of_every_pixel_is_the_cross_entropy(mode):
    logits, target, _, _ = batch(mode)
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    torch.testing.assert_close(
        ohem_cross_entropy(logits, target, class_weights=weights, share=1.0, mode=mode),
        cross_entropy(logits, target, class_weights=weights, mode=mode),
    )


def test_a_network_that_is_entirely_sure_has_a_gradient():
    logits = torch.tensor([80.0, -80.0]).view(1, 2, 1, 1).requires_grad_()
    for gamma in (0.5, 2.0):
        focal_loss(logits, torch.zeros(1, 1, 1, dtype=torch.long), gamma=gamma).backward()
        assert logits.grad.isfinite().all()
