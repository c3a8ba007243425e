"""The weighted sum, and what all losses have in common, on numbers that can be checked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from segnext_pafpn.errors import UserError
from segnext_pafpn.training.loss_config import TERMS, LossConfig
from segnext_pafpn.training.losses import SegmentationLoss, cross_entropy, dice_loss

NOTHING = dict.fromkeys(TERMS, 0.0)


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


@pytest.mark.parametrize("weights", [[-1.0, 1.0], [math.nan, 1.0], [math.inf, 1.0], [0.0, 0.0]])
def test_class_weights_that_nothing_can_be_learnt_with_are_refused(weights):
    with pytest.raises(UserError, match=r"loss.class_weights: must be 0 or more, finite, and not all 0, found \["):
        SegmentationLoss(LossConfig(class_weights=weights), num_classes=2)
    SegmentationLoss(LossConfig(class_weights=[0.0, 1.0]), num_classes=2)


def test_wrong_number_of_class_weights_is_refused():
    with pytest.raises(UserError, match="found 2 weights, expected one for each of 3 classes"):
        SegmentationLoss(LossConfig(class_weights=[1.0, 1.0]), num_classes=3)


def alone(term, mode="softmax", num_classes=3, **options):
    """One term with weight 1."""
    return SegmentationLoss(LossConfig(**{**NOTHING, term: 1.0}, mode=mode, **options), num_classes)


def target_of(mode, generator, num_classes=3):
    if mode == "sigmoid":
        return torch.randint(0, 2, (2, num_classes, 4, 4), generator=generator, dtype=torch.uint8)
    return torch.randint(0, num_classes, (2, 4, 4), generator=generator, dtype=torch.uint8)


every_term = pytest.mark.parametrize("term", TERMS)
both_modes = pytest.mark.parametrize("mode", ["softmax", "sigmoid"])


@every_term
@both_modes
def test_every_loss_leaves_ignored_pixels_out_of_value_and_gradient(term, mode):
    generator = torch.Generator().manual_seed(0)
    loss, target = alone(term, mode), target_of(mode, generator)
    target[..., 2:, :] = 255
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    other = logits.clone()
    other[..., 2:, :] = 1e4
    other.requires_grad_()
    value = loss(other, target)
    torch.testing.assert_close(value, loss(logits, target))
    value.backward()
    assert other.grad[..., 2:, :].abs().max() == 0 and other.grad[..., :2, :].abs().max() > 0


@every_term
@both_modes
def test_every_loss_of_a_batch_without_labels_is_0(term, mode):
    loss = alone(term, mode, class_weights=[1.0, 2.0, 3.0])
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    target = torch.full((2, 3, 4, 4) if mode == "sigmoid" else (2, 4, 4), 255, dtype=torch.uint8)
    value = loss(logits, target)
    value.backward()
    assert value.item() == 0 and logits.grad.abs().max() == 0


@every_term
@both_modes
def test_every_loss_has_the_gradient_of_its_value(term, mode):
    generator = torch.Generator().manual_seed(1)
    loss, target = alone(term, mode, class_weights=[1.0, 2.0, 0.5]).double(), target_of(mode, generator).long()
    target[..., 0, :] = 255
    logits = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    terms = lambda x: next(loss._terms(x, target, None))[1]  # noqa: E731 - in double, past the cast to float32
    assert torch.autograd.gradcheck(terms, logits)


@every_term
@both_modes
def test_every_loss_is_computed_in_float32_under_autocast(term, mode):
    generator = torch.Generator().manual_seed(2)
    loss, target = alone(term, mode), target_of(mode, generator)
    logits = torch.randn(2, 3, 4, 4, generator=generator).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(logits.float(), target))


@every_term
@both_modes
def test_every_loss_is_smaller_for_a_better_prediction(term, mode):
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, 2:6, 2:6] = 1
    truth = F.one_hot(target, 2).permute(0, 3, 1, 2)
    logits = 8.0 * truth - 4.0
    loss = alone(term, mode, num_classes=2)
    given = truth if mode == "sigmoid" else target
    assert loss(logits, given) < loss(0.1 * logits, given) < loss(-logits, given)


def test_terms_add_up_with_their_weights():
    generator = torch.Generator().manual_seed(3)
    logits, target = torch.randn(2, 3, 4, 4, generator=generator), target_of("softmax", generator)
    weights = {term: 0.5 + i for i, term in enumerate(TERMS)}
    expected = sum(weight * alone(term)(logits, target) for term, weight in weights.items())
    torch.testing.assert_close(SegmentationLoss(LossConfig(**weights), 3)(logits, target), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_term
@both_modes
def test_every_loss_and_gradient_on_cuda_is_that_of_the_cpu_and_the_same_each_time(term, mode):
    generator = torch.Generator().manual_seed(4)
    logits, target = torch.randn(2, 3, 64, 64, generator=generator), target_of(mode, generator)
    target = target.repeat_interleave(16, -1).repeat_interleave(16, -2)
    loss, gradients = alone(term, mode, class_weights=[1.0, 2.0, 0.5]), []
    torch.use_deterministic_algorithms(True)
    try:
        for device in ("cpu", "cuda", "cuda"):
            given = logits.to(device, copy=True).requires_grad_()
            loss.to(device)(given, target.to(device)).backward()
            gradients.append(given.grad.cpu())
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert torch.equal(gradients[1], gradients[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (NOTHING, "loss: every weight is 0"),
        ({"dice": -1.0}, "loss.dice: must be 0 or more, found -1.0"),
        ({"ohem_threshold": 0.0}, "loss.ohem_threshold: must be from more than 0 to 1, found 0.0"),
        ({"label_smoothing": 1.5}, "loss.label_smoothing: must be from 0 to 1, found 1.5"),
        ({"tversky_exponent": 0.0}, "loss.tversky_exponent: must be more than 0, found 0.0"),
        ({"mode": "softmin"}, "loss.mode: 'softmin' is not known"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        SegmentationLoss(LossConfig(**options), num_classes=3)


def test_masks_that_do_not_fit_the_mode_are_refused():
    logits, target = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"loss.mode: sigmoid needs masks of 4 axes, found the shape \(1, 4, 4\)"):
        alone("dice", "sigmoid")(logits, target)
    with pytest.raises(UserError, match="loss.mode: softmax needs masks of 3 axes"):
        alone("dice")(logits, target.unsqueeze(1))


def test_class_weights_that_are_not_yet_numbers_are_refused():
    with pytest.raises(ValueError, match="class_weights is 'inverse', expected numbers"):
        SegmentationLoss(LossConfig(class_weights="inverse"), num_classes=3)
