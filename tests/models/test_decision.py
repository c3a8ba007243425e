"""How logits become classes, with thresholds and without."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import load_bundle, save_bundle, save_preprocessing
from segnext_pafpn.models.decision import Decision
from segnext_pafpn.models.describe import describe_masks
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import Preprocessing

LOGITS = torch.randn(3, 2, 5, 7, generator=torch.Generator().manual_seed(1))


def test_without_thresholds_the_most_probable_class_is_taken():
    assert torch.equal(Decision().classes(LOGITS), LOGITS.argmax(1))
    assert torch.equal(Decision(thresholds=(0.5,)).classes(LOGITS), LOGITS.argmax(1))


def test_a_threshold_is_of_the_second_of_two_classes():
    decided = Decision(thresholds=(0.8,)).classes(LOGITS)
    assert torch.equal(decided, (LOGITS.softmax(1)[:, 1] > 0.8).long())
    assert 0 < decided.sum() < LOGITS.argmax(1).sum()


def test_of_several_labels_each_has_its_own_threshold():
    decided = Decision(multi_label=True, thresholds=(0.2, 0.9)).classes(LOGITS)
    assert torch.equal(decided[:, 0], (LOGITS[:, 0].sigmoid() > 0.2).long())
    assert torch.equal(decided[:, 1], (LOGITS[:, 1].sigmoid() > 0.9).long())
    assert (decided.sum(1) == 2).any() and (decided.sum(1) == 0).any()


def test_one_logit_is_yes_or_no():
    assert torch.equal(Decision().classes(LOGITS[:, :1]), (LOGITS[:, 0] > 0).long())
    assert torch.equal(Decision(thresholds=(0.7,)).classes(LOGITS[0, :1]), (LOGITS[0, 0].sigmoid() > 0.7).long())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "model"
    options = {"decoder_channels": 16, "head_channels": 16}
    model = build_model(ModelConfig(encoder_name="elanext_nano", options=options), 2)
    preprocessing = Preprocessing(class_names=("no", "yes"), class_colors=((0, 0, 0), (9, 9, 9)))
    save_bundle(model, preprocessing, folder)
    return folder, preprocessing


def test_thresholds_travel_with_the_model(bundle):
    folder, preprocessing = bundle
    tuned = replace(preprocessing, thresholds=(0.371,), thresholds_from="split 'val' of card 'x'")
    save_preprocessing(tuned, folder)
    assert load_bundle(folder)[1] == tuned and tuned.decision.thresholds == (0.371,)
    save_preprocessing(preprocessing, folder)


def test_models_from_before_there_were_thresholds_and_ids_can_be_read(bundle):
    folder, preprocessing = bundle
    path = folder / "preprocessing.json"
    values = json.loads(path.read_text())
    for key in ("multi_label", "thresholds", "thresholds_from", "class_ids"):
        del values[key]
    path.write_text(json.dumps(values))
    assert load_bundle(folder)[1] == preprocessing


def test_the_datas_own_ids_travel_with_the_model(bundle):
    folder, preprocessing = bundle
    save_preprocessing(replace(preprocessing, class_ids=(4, 65535)), folder)
    assert load_bundle(folder)[1].class_ids == (4, 65535)
    save_preprocessing(preprocessing, folder)


@pytest.mark.parametrize(
    "values",
    [{"thresholds": [0.5, 0.5]}, {"thresholds": [1.5]}, {"thresholds": ["a"]}]
    + [{"thresholds": [0.5], "class_names": ["a", "b", "c"], "class_colors": [[0, 0, 0]] * 3, "class_ids": None}]
    + [{"class_names": "ab"}, {"class_colors": [[0, 0, 0]]}, {"class_colors": [[0, 0, 0], [0, 0, 300]]}]
    + [{"mean": ["a", "b", "c"]}, {"mean": [None] * 3}, {"std": [0.2]}, {"std": [0.2, 0.2, 0]}, {"mean": 0.5}]
    + [{"image_size": [96]}, {"image_size": "96"}, {"image_size": [-4, 10]}, {"image_size": [0, 10]}]
    + [{"multi_label": "false"}, {"gamma": 2.2}]
    + [{"class_ids": [1]}, {"class_ids": [0, 65536]}, {"class_ids": ["a", "b"]}],
)
def test_values_that_cannot_be_are_refused(bundle, values):
    folder, preprocessing = bundle
    path = folder / "preprocessing.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    with pytest.raises(UserError, match=r"preprocessing.json: not a valid preprocessing file"):
        load_bundle(folder)
    save_preprocessing(preprocessing, folder)


def test_weights_that_are_no_numbers_are_refused(bundle, tmp_path):
    folder = shutil.copytree(bundle[0], tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(UserError, match=f"1 tensors of the weights hold NaN or infinite numbers, {name} first"):
        load_bundle(folder)


def test_loading_leaves_the_callers_draws_as_they_were(bundle):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_bundle(bundle[0])
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    "values, said",
    [
        ({}, "largest logit; its id is the class's place in class_names"),
        ({"thresholds": (0.3,)}, "where the second value of the softmax exceeds 0.3, else 0"),
        ({"multi_label": True, "thresholds": (0.3, 0.6)}, "each class whose sigmoid exceeds its threshold"),
        ({"class_names": ("cell",), "class_colors": ((1, 2, 3),)}, "A pixel is 1, cell, where the sigmoid exceeds 0.5"),
    ],
)
def test_what_is_done_with_logits_is_said(bundle, values, said):
    assert said in describe_masks(replace(bundle[1], **values))
