"""Weights of timm's ConvNeXt (arXiv 2201.03545) and of earlier runs in ELANeXt's encoder, from local files."""

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import encoders
from torch import nn

from segnext_pafpn import ELANeXtEncoder, PAFPNeXt, UserError
from segnext_pafpn.layers import ConvNeXtBlock, LayerNorm2d
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.init_from import init_from
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.layers.random_weights import randomise_vectors

# at strides 4 to 32 the network below has 40, 80, 160 and 64 channels, convnext_atto 40, 80, 160 and 320
ATTO_PREFIXES = ("stages.0.blocks", "stages.1.downsample", "stages.1.blocks", "stages.2.downsample", "stages.2.blocks")


@pytest.fixture(scope="module")
def atto() -> nn.Module:
    torch.manual_seed(1)
    return randomise_vectors(timm.create_model("convnext_atto", pretrained=False), seed=1).eval()


@pytest.fixture(scope="module")
def atto_file(atto, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "atto.safetensors"
    save_file(atto.state_dict(), path)
    return str(path)


@pytest.fixture(autouse=True)
def encoder_of_40_channels(monkeypatch):
    variant = dict(widths=(16, 40, 80, 160, 64), depths=(2, 1, 1, 1))
    row = {"encoder": ELANeXtEncoder, "pretrained_settings": {}, "params": variant}
    monkeypatch.setitem(encoders, "elanext_40", row)


def network(encoder: str = "elanext_40", seed: int = 0, **options) -> PAFPNeXt:
    torch.manual_seed(seed)
    return PAFPNeXt(encoder, decoder_channels=16, head_channels=16, classes=3, **options)


def save_run(model: nn.Module, folder) -> str:
    names, colors = tuple("abc"), ((0, 0, 0), (1, 1, 1), (2, 2, 2))
    save_bundle(model, Preprocessing(class_names=names, class_colors=colors), folder / "model")
    return str(folder)


@torch.no_grad()
def test_a_block_that_took_over_weights_computes_what_timms_does(atto, atto_file):
    """With the source's norm in BatchNorm's place, as nothing else differs: LayerScale is folded."""
    model = network()
    init_from(model, f"timm:convnext_atto@{atto_file}")
    for i, width in enumerate((40, 80, 160)):
        block = next(m for m in model.encoder.stages[i] if isinstance(m, ConvNeXtBlock)).eval()
        norm = LayerNorm2d(width)
        norm.load_state_dict({"weight": block.norm.weight, "bias": block.norm.bias})
        block.norm = norm
        x = torch.randn(1, width, 8, 12)
        assert block.gamma is None
        assert (block(x) - atto.stages[i].blocks[0](x)).abs().max() < 1e-5
        if i > 0:
            conv, theirs = model.encoder.stages[i][0][1], atto.stages[i].downsample[1]
            assert torch.equal(conv.weight, theirs.weight) and torch.equal(conv.bias, theirs.bias)


def test_the_report_accounts_for_every_tensor_once(atto, atto_file):
    model = network()
    before = {f"encoder.{key}": value.clone() for key, value in model.encoder.state_dict().items()}
    report = init_from(model, f"timm:convnext_atto@{atto_file}")
    after = {f"encoder.{key}": value for key, value in model.encoder.state_dict().items()}
    names = [key for key in before if not key.endswith("num_batches_tracked")]
    assert sorted([*report.mapped, *report.left]) == sorted(names)
    assert all(torch.equal(before[name], after[name]) for name in report.left)
    changed = [name for name in report.mapped if not torch.equal(before[name], after[name])]
    assert changed == list(report.mapped)
    made_of = {name for text in report.mapped.values() for name in text.split(" * ")}
    assert made_of.isdisjoint(report.unused)
    assert sorted(made_of | set(report.unused)) == sorted(name for name, _ in atto.named_parameters())
    assert all(name.startswith(ATTO_PREFIXES) for name in made_of)
    assert report.mapped["encoder.stages.0.1.dw.weight"] == "stages.0.blocks.0.conv_dw.weight"
    assert report.mapped["encoder.stages.0.2.pw2.bias"] == "stages.0.blocks.1.mlp.fc2.bias * stages.0.blocks.1.gamma"
    elans = [name for name in names if ".chain" in name]
    assert elans and set(elans) <= set(report.left)
    count = sum(p.numel() for n, p in model.encoder.named_parameters() if f"encoder.{n}" in report.mapped)
    assert report.share == count / sum(p.numel() for p in model.encoder.parameters())


def test_layer_scale_and_layer_norm_are_copied_where_ours_has_them(atto, atto_file):
    model = network()
    stage = model.encoder.stages[1]
    index = next(i for i, m in enumerate(stage) if isinstance(m, ConvNeXtBlock))
    stage[index] = ConvNeXtBlock(80, norm="layer", layer_scale=1e-6)
    report = init_from(model, f"timm:convnext_atto@{atto_file}")
    block, theirs = stage[index].eval(), atto.stages[1].blocks[0]
    x = torch.randn(1, 80, 8, 12)
    assert torch.equal(block.gamma, theirs.gamma)
    assert (block(x) - theirs(x)).abs().max() < 1e-5
    assert report.mapped[f"encoder.stages.1.{index}.gamma"] == "stages.1.blocks.0.gamma"


def test_weights_in_the_papers_own_form_are_read_too(atto, atto_file, tmp_path):
    """The official files hold linear layers, other names, and the state under 'model'."""
    official = {}
    for key, value in atto.state_dict().items():
        key = key.replace("stem.", "downsample_layers.0.").replace(".blocks.", ".").replace("conv_dw", "dwconv")
        if ".downsample." in key:
            key = key.replace("stages.", "downsample_layers.").replace(".downsample.", ".")
        key = key.replace("mlp.fc", "pwconv").replace("head.norm", "norm").replace("head.fc", "head")
        official[key] = value[..., 0, 0] if "pwconv" in key and key.endswith("weight") else value
    torch.save({"model": official}, tmp_path / "official.pth")
    models = [network(), network()]
    init_from(models[0], f"timm:convnext_atto@{atto_file}")
    init_from(models[1], f"timm:convnext_atto@{tmp_path / 'official.pth'}")
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_all_other_weights_are_those_of_a_network_without_init_from(atto_file, caplog):
    options = {"decoder_channels": 16, "head_channels": 16}
    config = ModelConfig(encoder_name="elanext_40", options=options)
    torch.manual_seed(0)
    plain = build_model(config, classes=3)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    config.init_from = f"timm:convnext_atto@{atto_file}"
    with caplog.at_level("INFO"):
        model = build_model(config, classes=3)
    assert torch.equal(torch.rand(1), drawn)
    decoder = plain.decoder.state_dict()
    assert all(torch.equal(value, decoder[key]) for key, value in model.decoder.state_dict().items())
    assert "% of the encoder's parameters taken over" in caplog.text
    assert "BatchNorm statistics start anew" in caplog.text


def test_the_encoder_of_a_run_is_taken_by_name(tmp_path):
    source, model = network(seed=1), network(seed=0)
    decoder = {key: value.clone() for key, value in model.decoder.state_dict().items()}
    report = init_from(model, save_run(source, tmp_path))
    state = source.encoder.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.encoder.state_dict().items())
    assert all(torch.equal(value, decoder[key]) for key, value in model.decoder.state_dict().items())
    assert (report.left, report.unused, report.share) == ((), (), 1.0)


def test_the_convnext_of_a_run_gives_its_blocks(tmp_path):
    source = network("tu-convnext_atto", seed=1)
    model = network()
    report = init_from(model, save_run(source, tmp_path))
    assert len([name for name in report.mapped if name.endswith("dw.weight")]) == sum(
        isinstance(m, ConvNeXtBlock) for stage in model.encoder.stages[:3] for m in stage
    )
    name = report.mapped["encoder.stages.0.1.dw.weight"]
    assert torch.equal(source.encoder.get_parameter(name), model.encoder.stages[0][1].dw.weight)


def test_where_nothing_fits_the_widths_of_both_are_named(atto_file, tmp_path):
    with pytest.raises(UserError, match=r"blocks of 40 \(7x7\), 80 \(7x7\).*ResNetEncoder has no ConvNeXt blocks"):
        init_from(network("resnet18"), f"timm:convnext_atto@{atto_file}")
    model = network()
    for module in model.encoder.modules():
        if isinstance(module, ConvNeXtBlock):
            module.dw = nn.Conv2d(module.dw.in_channels, module.dw.in_channels, 5, padding=2)
    for stage in model.encoder.stages:
        stage[0][1] = nn.Conv2d(stage[0][1].in_channels, stage[0][1].out_channels, 3, stride=2)
    with pytest.raises(UserError, match=r"40 \(7x7\).* 320 \(7x7\) channels; .*has ConvNeXt blocks of 40 \(5x5\), 80"):
        init_from(model, f"timm:convnext_atto@{atto_file}")
    with pytest.raises(UserError, match=r"ResNetEncoder has the widths \[3, 64.*ELANeXtEncoder has \[3, 16, 40"):
        init_from(network(), save_run(network("resnet18"), tmp_path))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:convnext_tyni", "timm has no model 'convnext_tyni'. Did you mean 'convnext_tiny'?"),
        ("timm:convnext_atto@nowhere.safetensors", "nowhere.safetensors: no such file. Give the weights of timm's"),
        ("timm:resnet18@any.safetensors", "timm:resnet18: a ResNet that is not made of ConvNeXt's blocks"),
        ("timm:convnextv2_atto@any.safetensors", "timm:convnextv2_atto: a ConvNeXt that is not made of ConvNeXt's"),
        ("timm:convnext_atto_rms@any.safetensors", "timm:convnext_atto_rms: a ConvNeXt that is not made of"),
        ("runs/nowhere", "runs/nowhere/config.json: no such file"),
    ],
)
def test_a_source_that_cannot_be_is_said_in_one_line(source, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")) as error:
        init_from(network(), source)
    assert "\n" not in str(error.value)


def test_a_file_of_another_network_is_refused_and_leaves_the_model_alone(atto, atto_file, tmp_path):
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    part = {key: value for key, value in atto.state_dict().items() if "stages.2." not in key}
    save_file(part, tmp_path / "part.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights at all")
    for name, file in (
        ("convnext_nano", atto_file),
        ("convnext_atto", tmp_path / "part.safetensors"),
        ("convnext_atto", tmp_path / "broken.safetensors"),
    ):
        with pytest.raises(UserError, match=f"not the weights of timm's {name}: "):
            init_from(model, f"timm:{name}@{file}")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_weights_that_cannot_be_fetched_are_asked_for_as_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"cannot be fetched: .*or give a file of them: timm:convnext_atto@FILE"):
        init_from(network(), "timm:convnext_atto")
