"""Losses on numbers that can be checked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.losses import LossConfig, SegmentationLoss, cross_entropy, dice_loss


def test_cross_entropy_equals_torch_on_the_labelled_pixels():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 4, 5, 6), torch.randint(0, 4, (2, 5, 6))
    target[:, :2] = 255
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    torch.testing.assert_close(cross_entropy(logits, target), F.cross_entropy(logits, target, ignore_index=255))
    torch.testing.assert_close(
        cross_entropy(logits, target, class_weights=weights),
        F.cross_entropy(logits, target, weight=weights, ignore_index=255),
    )


def test_dice_of_a_half_sure_network_is_worked_by_hand():
    # Two pixels, one of each class, every probability 1/2:
    # per class 2 * 0.5 / (1 + 1) = 0.5, so the loss is 0.5.
    logits = torch.zeros(1, 2, 1, 2)
    target = torch.tensor([[[0, 1]]])
    assert dice_loss(logits, target).item() == pytest.approx(0.5)


def test_dice_is_0_when_right_and_1_when_wrong():
    target = torch.tensor([[[0, 1, 1, 0]]])
    right = 50.0 * F.one_hot(target, 2).permute(0, 3, 1, 2).float()
    assert dice_loss(right, target).item() == pytest.approx(0.0, abs=1e-5)
    assert dice_loss(right.flip(1), target).item() == pytest.approx(1.0, abs=1e-5)


def test_dice_averages_the_classes_that_occur():
    target = torch.zeros(1, 1, 4, dtype=torch.long)
    logits = torch.zeros(1, 10, 1, 4)
    logits[:, 0] = 50.0
    assert dice_loss(logits, target).item() == pytest.approx(0.0, abs=1e-5)


def test_ignored_pixels_change_neither_loss_nor_gradient():
    torch.manual_seed(0)
    loss = SegmentationLoss(LossConfig(label_smoothing=0.1), num_classes=3)
    target = torch.randint(0, 3, (1, 4, 4), dtype=torch.uint8)
    target[:, 2:] = 255
    logits = torch.randn(1, 3, 4, 4)
    logits[:, :, 2:] = 1e4
    logits.requires_grad_()
    whole = loss(logits, target)
    part = loss(logits[:, :, :2].detach(), target[:, :2])
    torch.testing.assert_close(whole, part)
    whole.backward()
    assert logits.grad[:, :, 2:].abs().max() == 0


def test_a_batch_without_labels_costs_nothing_and_breaks_nothing():
    loss = SegmentationLoss(LossConfig(class_weights=[1.0, 2.0, 3.0]), num_classes=3)
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((2, 4, 4), 255, dtype=torch.uint8))
    value.backward()
    assert value.item() == 0 and logits.grad.isfinite().all()


def test_half_precision_logits_of_a_large_image_stay_finite():
    logits = torch.zeros(1, 2, 512, 512, dtype=torch.float16)
    value = SegmentationLoss(LossConfig(), num_classes=2)(logits, torch.zeros(1, 512, 512, dtype=torch.uint8))
    # Cross-entropy log 2; the class that occurs has Dice 2 * N/2 / (N/2 + N) = 2/3.
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(math.log(2) + 1 / 3, rel=1e-4)


def test_auxiliary_heads_add_their_weight():
    torch.manual_seed(0)
    loss = SegmentationLoss(LossConfig(auxiliary=0.4), num_classes=3)
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    torch.testing.assert_close(loss(logits, target, [logits, logits]), 1.4 * loss(logits, target))


def test_wrong_number_of_class_weights_is_refused():
    with pytest.raises(UserError, match="found 2 weights, expected one for each of 3 classes"):
        SegmentationLoss(LossConfig(class_weights=[1.0, 1.0]), num_classes=3)
