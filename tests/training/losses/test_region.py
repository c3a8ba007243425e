"""Losses over regions: beside smp, and on numbers that can be checked by hand."""

import pytest
import torch
from segmentation_models_pytorch.losses import LovaszLoss, TverskyLoss
from segmentation_models_pytorch.losses.lovasz import _lovasz_softmax_flat

from segnext_pafpn.training.losses import dice_loss, lovasz_loss, tversky_loss
from tests.training.losses.test_pixel import batch, logits_of


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.3, 0.7), (1.0, 1.0)])
def test_tversky_loss_is_smps_on_the_labelled_pixels(weights):
    alpha, beta = weights
    for mode, name in (("softmax", "multiclass"), ("sigmoid", "multilabel")):
        logits, target, part, labels = batch(mode)
        expected = TverskyLoss(name, alpha=alpha, beta=beta)(part, labels)
        torch.testing.assert_close(tversky_loss(logits, target, alpha=alpha, beta=beta, mode=mode), expected)


@pytest.mark.parametrize("mode", ["softmax", "sigmoid"])
def test_tversky_loss_with_halves_is_the_dice_loss(mode):
    logits, target, _, _ = batch(mode)
    halves = tversky_loss(logits, target, alpha=0.5, beta=0.5, mode=mode)
    torch.testing.assert_close(halves, dice_loss(logits, target, mode=mode))


def test_tversky_loss_worked_by_hand():
    """Class 1 has truth 1, 1, 0 and probabilities 0.5, 1, 0.5: TP 1.5, FP 0.5, FN 0.5. Class 0: TP 0.5, FP 0.5, FN 0.5.

    With weights 1 and 3: 1 - 1.5/3.5 and 1 - 0.5/2.5, to the power of 2.
    """
    logits, target = logits_of(0.5, 1 - 1e-12, 0.5), torch.tensor([[[1, 1, 0]]])
    value = tversky_loss(logits, target, alpha=1.0, beta=3.0, exponent=2.0)
    assert value.item() == pytest.approx(((2 / 3.5) ** 2 + (2 / 2.5) ** 2) / 2)


def test_classes_that_are_not_there_do_not_count():
    logits = torch.zeros(1, 10, 1, 4)
    logits[:, 0] = 50.0
    target = torch.zeros(1, 1, 4, dtype=torch.long)
    assert tversky_loss(logits, target).item() == pytest.approx(0.0, abs=1e-6)
    assert lovasz_loss(logits, target).item() == pytest.approx(0.0, abs=1e-6)


def test_lovasz_loss_and_its_gradient_are_smps():
    logits, target, _, _ = batch()
    target[target == 3] = 255  # a class that is not there
    ours, theirs = logits.float().requires_grad_(), logits.float().requires_grad_()
    value = lovasz_loss(ours, target)
    expected = LovaszLoss("multiclass", ignore_index=255)(theirs, target)
    torch.testing.assert_close(value, expected)
    value.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_lovasz_loss_of_sigmoids_is_smps_extension_of_each_channel():
    logits, target, part, labels = batch("sigmoid")
    each = [
        _lovasz_softmax_flat(part[:, k].float().sigmoid().reshape(-1, 1), 1 - labels[:, k].reshape(-1), classes=[0])
        for k in range(4)
    ]
    torch.testing.assert_close(lovasz_loss(logits.float(), target, mode="sigmoid"), torch.stack(each).mean())


def test_lovasz_loss_of_a_hard_prediction_is_1_minus_its_iou():
    """Class 1 is in 3 pixels, 2 found, 1 false alarm: IoU 2/4; class 0 in 3, 2 found: IoU 2/4."""
    logits = logits_of(1 - 1e-12, 1 - 1e-12, 1e-12, 1 - 1e-12, 1e-12, 1e-12)
    assert lovasz_loss(logits, torch.tensor([[[1, 1, 1, 0, 0, 0]]])).item() == pytest.approx(1 / 2)


@pytest.mark.parametrize("exponent", [0.75, 1.0])
def test_a_perfect_prediction_has_a_gradient(exponent):
    logits = torch.tensor([80.0, -80.0]).view(1, 2, 1, 1).requires_grad_()
    target = torch.zeros(1, 1, 1, dtype=torch.long)
    (tversky_loss(logits, target, exponent=exponent) + lovasz_loss(logits, target)).backward()
    assert logits.grad.isfinite().all()
