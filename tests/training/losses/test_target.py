"""A target that does not fit is refused in words, by each of the losses."""

import pytest
import torch
import torch.nn.functional as F

from segnext_pafpn.training import losses
from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.losses import SegmentationLoss

LOSSES = {
    name: getattr(losses, name)
    for name in ("cross_entropy", "focal_loss", "ohem_cross_entropy", "dice_loss", "tversky_loss", "lovasz_loss")
} | {"boundary_loss": losses.boundary_loss}


@pytest.mark.parametrize("name", LOSSES)
def test_what_does_not_fit_is_refused(name):
    loss = LOSSES[name]
    logits, ids = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8)
    for mode, target, words in (
        ("multilabel", ids, r"mode: 'multilabel' is not known\. Known: softmax, sigmoid \(smp's multiclass is softmax"),
        ("sigmoid", ids, r"target: found uint8 \(2, 4, 5\), expected \(2, 3, 4, 5\) beside logits \(2, 3, 4, 5\)"),
        ("softmax", ids[:, None], r"target: found uint8 \(2, 1, 4, 5\), expected \(2, 4, 5\)"),
        ("softmax", ids.float(), r"target: found float32 \(2, 4, 5\), expected class ids as whole numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            loss(logits, target, mode=mode)
    with pytest.raises(ValueError, match=r"logits: found one class.* Use the mode sigmoid and a target \(2, 1, 4, 5\)"):
        loss(logits[:, :1], ids)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("mode", ["softmax", "sigmoid"])
def test_whole_numbers_of_any_type_mean_the_same(name, mode):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5)
    target = torch.randint(0, 3, (2, 4, 5)) if mode == "softmax" else torch.randint(0, 2, (2, 3, 4, 5))
    expected = LOSSES[name](logits, target, mode=mode)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert LOSSES[name](logits, target.to(dtype), mode=mode) == expected


def test_soft_labels_are_not_cut_to_whole_ones():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    target[0, 1, 2] = 255
    labelled = target != 255
    expected = F.binary_cross_entropy_with_logits(logits[labelled], target[labelled])
    alone = SegmentationLoss(LossConfig(mode="sigmoid", dice=0.0), 3)
    torch.testing.assert_close(alone(logits, target), expected)
    dice = [losses.dice_loss(logits, soft, mode="sigmoid") for soft in (target, target.round())]
    assert dice[0] != dice[1]


def test_logits_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="logits: found 3 classes, expected 4"):
        SegmentationLoss(LossConfig(), 4)(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8))


def test_class_weights_may_be_whole_numbers():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    of_whole, of_real = (SegmentationLoss(LossConfig(class_weights=w), 3) for w in ([1, 2, 3], [1.0, 2.0, 3.0]))
    assert of_whole(logits, target) == of_real(logits, target)
