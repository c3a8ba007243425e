"""PAFPNeXt keeps smp's contract for models: channels, depths, saving, TorchScript, export, compile; at any size."""

import json
import re

import pytest
import segmentation_models_pytorch as smp
import torch
import torch._dynamo
from torch import nn

from segnext_pafpn import PAFPNeXt

SMALL = dict(decoder_channels=16, head_channels=16)
SIZES = [(1, 3, 64, 96), (1, 3, 65, 97), (2, 3, 123, 70)]


def build(encoder_name: str = "elanext_nano", **options) -> PAFPNeXt:
    torch.manual_seed(0)
    return smp.create_model("pafpnext", encoder_name, None, **{**SMALL, **options}).eval()


@pytest.fixture(scope="module")
def model() -> PAFPNeXt:
    return build(classes=3)


def assert_same_logits(found: nn.Module, expected: nn.Module, channels: int = 3) -> None:
    with torch.no_grad():
        for batch, _, height, width in SIZES:
            x = torch.randn(batch, channels, height, width)
            ours, theirs = found(x), expected(x)
            ours, theirs = (y if isinstance(y, tuple) else (y,) for y in (ours, theirs))
            assert theirs[0].shape[-2:] == (height, width)
            assert len(ours) == len(theirs)
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_one_class_and_three_channels_are_the_default():
    logits = build()(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 1, 64, 64)
    logits.mean().backward()


@pytest.mark.parametrize("depth", [3, 4, 5])
@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_channels_depth_and_classes_go_together(channels, depth):
    model = build(in_channels=channels, encoder_depth=depth, classes=7)
    with torch.no_grad():
        assert model(torch.randn(1, channels, 65, 50)).shape == (1, 7, 65, 50)
    assert len(model.encoder.out_channels) == depth + 1


@pytest.mark.parametrize("depth", [2, 6])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=f"depth of 3, 4 or 5, found {depth}"):
        build(encoder_depth=depth)
    with pytest.raises(ValueError, match="needs three feature levels; 'resnet18' at encoder_depth=2 has 2"):
        build("resnet18", encoder_depth=2)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_image_labels_stand_beside_the_masks(pooling):
    head = {"pooling": pooling, "classes": 10, "dropout": 0.5, "activation": "sigmoid"}
    model = build(aux_params=head)
    pool, _, dropout, linear, activation = model.classification_head
    assert isinstance(pool, nn.AdaptiveAvgPool2d if pooling == "avg" else nn.AdaptiveMaxPool2d)
    assert dropout.p == 0.5 and linear.out_features == 10
    assert isinstance(activation.activation, nn.Sigmoid)
    masks, labels = model(torch.randn(2, 3, 65, 97))
    assert masks.shape == (2, 1, 65, 97) and labels.shape == (2, 10)
    assert labels.min() >= 0 and labels.max() <= 1


@pytest.mark.parametrize(("activation", "total"), [("softmax2d", 1.0), ("sigmoid", None)])
def test_activations_follow_the_logits(activation, total):
    found = build(classes=3, activation=activation)(torch.randn(1, 3, 40, 33))
    assert found.min() >= 0 and found.max() <= 1
    if total is not None:
        torch.testing.assert_close(found.sum(1), torch.full((1, 40, 33), total))


@pytest.mark.parametrize("load", [smp.from_pretrained, PAFPNeXt.from_pretrained])
def test_a_saved_model_comes_back_with_every_option(tmp_path, load):
    options = dict(encoder_depth=4, in_channels=4, classes=5, decoder_dilations=(2, 3), auxiliary_heads=True)
    model = build(**options, aux_params={"classes": 2})
    model.save_pretrained(tmp_path, dataset="a data set", metrics={"mIoU": 0.99})
    card = (tmp_path / "README.md").read_text()
    assert "a data set" in card and "0.99" in card
    loaded = load(tmp_path)
    assert isinstance(loaded, PAFPNeXt)
    assert len(loaded.auxiliary_heads) == 3
    assert_same_logits(loaded.eval(), model, channels=4)


def test_the_saved_configuration_names_the_class_and_what_was_asked_for(tmp_path):
    build(classes=5).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["_model_class"] == "PAFPNeXt"
    assert config["encoder_name"] == "elanext_nano" and config["classes"] == 5
    assert {key: config[key] for key in SMALL} == SMALL


def test_a_given_configuration_takes_the_place_of_the_models_own(tmp_path):
    """What smp's ``push_to_hub`` and ``save_pretrained(config=...)`` write."""
    model = build(classes=5)
    given = {**model.config, "_model_class": "PAFPNeXt", "head_dropout": 0.7}
    model.save_pretrained(tmp_path, config=given)
    loaded = smp.from_pretrained(tmp_path)
    assert loaded.decoder.head.dropout.p == 0.7
    assert_same_logits(loaded.eval(), model)


def test_another_number_of_classes_keeps_all_other_weights(tmp_path):
    model = build(classes=5)
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"segmentation_head\.0\.weight"):
        loaded = smp.from_pretrained(tmp_path, classes=9, strict=False)
    assert loaded.segmentation_head[0].out_channels == 9
    theirs = model.state_dict()
    for key, value in loaded.state_dict().items():
        assert key.startswith("segmentation_head") or torch.equal(value, theirs[key]), key


def test_weights_of_the_top_down_path_lie_finest_first():
    """The order in which the path runs is the other one; files written before hold these names."""
    model = build()
    shapes = {k: v.shape[1] for k, v in model.state_dict().items() if re.search(r"laterals\.\d\.conv\.weight", k)}
    assert sorted(shapes.items()) == [
        (f"decoder.neck.laterals.{i}.conv.weight", c) for i, c in enumerate((32, 64, 128))
    ]


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ("elanext_nano", {}),
        ("elanext_nano", {"encoder_depth": 3, "decoder_norm": "layer"}),
        ("elanext_nano", {"aux_params": {"classes": 4}, "auxiliary_heads": True}),
        ("resnet18", {}),
        ("tu-elanext_nano", {}),
        ("tu-convnext_atto", {}),
    ],
)
def test_torchscript_computes_the_same_at_any_size(tmp_path, encoder, options):
    model = build(encoder, **options)
    path = tmp_path / "model.pt"
    torch.jit.script(model).save(path)
    assert_same_logits(torch.jit.load(path), model)


def test_torchscript_of_a_folded_model_computes_the_same():
    model = build()
    assert_same_logits(torch.jit.script(build().fuse()), model)


def test_a_model_in_training_mode_can_be_scripted():
    scripted = torch.jit.script(build(classes=2).train())
    scripted(torch.randn(2, 3, 65, 97)).mean().backward()
    assert all(p.grad is not None for p in scripted.parameters())


def test_export_computes_the_same_at_any_size(model):
    auto = torch.export.Dim.AUTO
    shapes = {"x": {0: auto, 2: auto, 3: auto}}
    exported = torch.export.export(model, (torch.randn(2, 3, 65, 97),), dynamic_shapes=shapes)
    assert_same_logits(exported.module(), model)


def test_one_compiled_graph_serves_all_sizes(model):
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    with torch.no_grad(), torch._dynamo.config.patch(error_on_recompile=True):
        for size in ((2, 3, 65, 97), (3, 3, 64, 96)):
            x = torch.randn(size)
            torch.testing.assert_close(compiled(x), model(x), atol=1e-5, rtol=1e-4)


def test_a_frozen_encoder_keeps_its_statistics_and_weights():
    model = build()
    model.freeze_encoder()
    model.train()
    before = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    model(torch.randn(2, 3, 64, 64)).mean().backward()
    assert all(torch.equal(v, before[k]) for k, v in model.encoder.state_dict().items())
    assert all(p.grad is None for p in model.encoder.parameters())
    model.unfreeze_encoder()
    model.train()
    model(torch.randn(2, 3, 64, 64)).mean().backward()
    assert not torch.equal(model.encoder.stem.norm.running_mean, before["stem.norm.running_mean"])
