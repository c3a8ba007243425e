"""What a step of pretraining learns from, and how fast each layer learns."""

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.training.pretrain.config import (
    ImageAugmentConfig,
    ImageFolderConfig,
    PretrainOptimConfig,
)
from segnext_pafpn.training.pretrain.images import ImageFolderDataModule
from segnext_pafpn.training.pretrain.module import ClassificationModule
from segnext_pafpn.training.pretrain.optim import parameter_groups, scaled_lr, warmup_of


def test_learning_rates_fall_by_layer_decay_towards_the_stem():
    model = timm.create_model("elanext_nano", depths=(2, 1, 1, 1), num_classes=3, layer_scale=1e-6)
    groups = parameter_groups(model, PretrainOptimConfig(layer_decay=0.5, weight_decay=0.05), lr=1.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    group_of = {names[id(parameter)]: group for group in groups for parameter in group["params"]}
    assert group_of.keys() == set(names.values())
    # stem; stage 0: downsampling with block, block, ELAN; stages 1 to 3: downsampling with block, ELAN; classifier
    layers = {
        "stem.conv.weight": 0, "stages.0.0.1.weight": 1, "stages.0.1.dw.weight": 1, "stages.0.2.dw.weight": 2,
        "stages.0.3.conv1.conv.weight": 3, "stages.1.0.1.weight": 4, "stages.1.1.pw1.weight": 4,
        "stages.3.2.chain1.0.dw.weight": 9, "head.fc.weight": 10, "head.fc.bias": 10,
    }  # fmt: skip
    for name, layer in layers.items():
        assert group_of[name]["lr"] == pytest.approx(0.5 ** (10 - layer)), name
    for name, group in group_of.items():
        vector = name.endswith(("bias", "gamma")) or ".norm." in name or name.endswith(".0.0.weight")
        assert group["weight_decay"] == (0.0 if vector else 0.05), name


def test_without_layer_decay_all_layers_learn_alike():
    model = timm.create_model("elanext_nano", num_classes=3)
    groups = parameter_groups(model, PretrainOptimConfig(), lr=0.3)
    assert {group["lr"] for group in groups} == {0.3}
    for group in groups:
        assert all((parameter.ndim > 1) == (group["weight_decay"] == 0.05) for parameter in group["params"])
    assert {group["weight_decay"] for group in groups} == {0.0, 0.05}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_learning_rate_goes_with_the_pictures_of_a_step():
    assert scaled_lr(PretrainOptimConfig(lr=4e-3, lr_batch_size=4096), 1024) == pytest.approx(1e-3)
    assert scaled_lr(PretrainOptimConfig(lr=4e-3, lr_batch_size=None), 1024) == 4e-3


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0), (0.0, 0.0)])
def test_mixed_targets_reach_the_loss(mixup, cutmix):
    torch.manual_seed(0)
    augment = ImageAugmentConfig(mixup=mixup, cutmix=cutmix, label_smoothing=0.1, random_erasing=0.0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    module = ClassificationModule(network, 3, augment, PretrainOptimConfig(), lr=1e-3, warmup_steps=0)
    image = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    batch = {"image": image, "label": torch.tensor([0, 1, 2, 2]), "name": list("abcd")}
    smooth = 0.9 * F.one_hot(batch["label"], 3) + 0.1 / 3
    np.random.seed(3)
    mixed, target = module.training_inputs(batch)
    if mixup or cutmix:
        share = (target - smooth.flip(0))[0, 0] / (smooth - smooth.flip(0))[0, 0]
        assert 0.01 < share < 0.99
        assert torch.allclose(target, share * smooth + (1 - share) * smooth.flip(0), atol=1e-6)
        assert not torch.equal(mixed, module.normalize(image))
    else:
        target = smooth
        assert torch.equal(mixed, module.normalize(image))
    expected = -(target * network(mixed).log_softmax(1)).sum(1).mean()
    np.random.seed(3)
    assert module.loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_erasing_turns_a_part_of_every_picture_into_noise():
    augment = ImageAugmentConfig(mixup=0, cutmix=0, random_erasing=1.0)
    module = ClassificationModule(nn.Identity(), 3, augment, PretrainOptimConfig(), lr=1e-3, warmup_steps=0)
    image = torch.full((4, 3, 32, 32), 255, dtype=torch.uint8)
    batch = {"image": image, "label": torch.zeros(4, dtype=torch.long), "name": list("abcd")}
    changed = (module.training_inputs(batch)[0] != module.normalize(image)).any(1).float().mean((1, 2))
    assert (changed > 0.01).all() and (changed < 0.5).all()


def test_augmentation_follows_from_seed_epoch_and_index_alone(images):
    data = ImageFolderDataModule(ImageFolderConfig(root=str(images), input_size=32, batch_size=2), seed=1)
    first = data.train_dataloader().dataset
    before = torch.get_rng_state()
    one, other_epoch = first[(0, 3)]["image"], first[(1, 3)]["image"]
    assert torch.equal(before, torch.get_rng_state())
    np.random.seed(99)
    assert torch.equal(one, first[(0, 3)]["image"]) and not torch.equal(one, other_epoch)
    assert one.shape == (3, 32, 32) and one.dtype == torch.uint8


@pytest.mark.parametrize(("epochs", "total_steps", "steps"), [(1, 100, 10), (1, 20, 10), (1, 19, 1), (20, 8, 0)])
def test_a_short_run_warms_up_for_a_tenth_of_its_steps(epochs, total_steps, steps):
    assert warmup_of(PretrainOptimConfig(warmup_epochs=epochs), 10, total_steps) == steps
