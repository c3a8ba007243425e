"""Published checkpoints of MSCAN and SegNeXt load under the names their files have, or say why not."""

import argparse

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import load_file, save_file

from segnext_pafpn import UserError
from segnext_pafpn.models import SegNeXt, load_official_mscan
from tests.models.test_mscan import FIXTURE

# Entries of `decode_head.` in a published SegNeXt-T, with their shapes at C = 256 and 11 classes.
DECODE_HEAD = {
    "conv_seg.weight": (11, 256, 1, 1),
    "conv_seg.bias": (11,),
    "squeeze.conv.weight": (256, 480, 1, 1),
    "squeeze.gn.weight": (256,),
    "squeeze.gn.bias": (256,),
    "hamburger.ham_in.conv.weight": (256, 256, 1, 1),
    "hamburger.ham_in.conv.bias": (256,),
    "hamburger.ham_out.conv.weight": (256, 256, 1, 1),
    "hamburger.ham_out.gn.weight": (256,),
    "hamburger.ham_out.gn.bias": (256,),
    "align.conv.weight": (256, 256, 1, 1),
    "align.gn.weight": (256,),
    "align.gn.bias": (256,),
}


def random_backbone(name: str = "mscan_tiny", seed: int = 1) -> dict[str, torch.Tensor]:
    """What a published backbone holds, random; as the network's own names are the published ones, from it."""
    generator = torch.Generator().manual_seed(seed)
    state = timm.create_model(name, num_classes=0).state_dict()
    return {n: torch.rand(t.shape, generator=generator) if t.ndim else t for n, t in state.items()}


def random_segmentor() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    backbone = {f"backbone.{n}": t for n, t in random_backbone().items()}
    return backbone | {f"decode_head.{n}": torch.rand(s, generator=generator) for n, s in DECODE_HEAD.items()}


def holds(state: dict[str, torch.Tensor], values: dict[str, torch.Tensor], prefix: str = "") -> bool:
    return all(torch.equal(state[prefix + name], value) for name, value in values.items())


def test_names_are_the_published_ones():
    published = {name.removeprefix("mscan.") for name in load_file(FIXTURE) if name.startswith("mscan.")}
    network = timm.create_model("mscan_tiny", num_classes=0, depths=(1, 1, 2, 1)).state_dict()
    assert {name for name in network if not name.endswith("num_batches_tracked")} == published


@pytest.mark.parametrize("build", [
    lambda: timm.create_model("mscan_tiny", num_classes=7),
    lambda: smp.encoders.get_encoder("mscan_tiny", weights=None),
    lambda: smp.Unet("mscan_tiny", encoder_weights=None),
    lambda: SegNeXt("mscan_tiny"),
])  # fmt: skip
def test_imagenet_weights_go_into_every_network_with_the_encoder(tmp_path, build):
    backbone = random_backbone()
    head = {"head.weight": torch.rand(1000, 256), "head.bias": torch.rand(1000)}
    torch.save({"state_dict": backbone | head, "epoch": 300, "arch": "mscan"}, tmp_path / "mscan_t.pth")
    model = build()
    report = load_official_mscan(model, tmp_path / "mscan_t.pth")
    prefix = "encoder." if hasattr(model, "encoder") else ""
    assert holds(model.state_dict(), backbone, prefix)
    assert report.left == ("head.weight", "head.bias")
    assert set(report.loaded) == {prefix + name for name in backbone}
    assert set(report.loaded) | set(report.kept) == set(model.state_dict())
    assert not set(report.loaded) & set(report.kept)


def test_a_whole_segmentor_is_loaded(tmp_path):
    segmentor = random_segmentor()
    meta = {"CLASSES": ("sky", "road"), "PALETTE": [[0, 0, 0], [1, 2, 3]]}
    torch.save({"meta": meta, "state_dict": segmentor}, tmp_path / "segnext_t.pth")
    model = SegNeXt("mscan_tiny", classes=11)
    report = load_official_mscan(model, tmp_path / "segnext_t.pth")
    assert report.left == ()
    assert report.kept == ("decoder.hamburger.ham.bases",)
    state = model.state_dict()
    for name in DECODE_HEAD:
        target = name.replace("conv_seg", "segmentation_head.0") if "conv_seg" in name else f"decoder.{name}"
        assert torch.equal(state[target], segmentor[f"decode_head.{name}"]), name
    assert holds(state, random_backbone(), "encoder.")


def test_a_classifier_of_other_classes_is_left(tmp_path):
    save_file(random_segmentor(), tmp_path / "segnext_t.safetensors")
    model = SegNeXt("mscan_tiny", classes=5)
    before = model.segmentation_head[0].weight.clone()
    report = load_official_mscan(model, tmp_path / "segnext_t.safetensors")
    assert set(report.left) == {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"}
    assert torch.equal(model.segmentation_head[0].weight, before)
    assert {"segmentation_head.0.weight", "segmentation_head.0.bias"} < set(report.kept)


def test_another_decoder_leaves_the_published_one(tmp_path):
    save_file(random_segmentor(), tmp_path / "segnext_t.safetensors")
    report = load_official_mscan(smp.Unet("mscan_tiny", encoder_weights=None), tmp_path / "segnext_t.safetensors")
    assert set(report.left) == {f"decode_head.{name}" for name in DECODE_HEAD}


def test_mmsegmentation_1_names_the_depthwise_convolution_of_the_mlp_shorter(tmp_path):
    backbone = random_backbone()
    save_file({n.replace("dwconv.dwconv", "dwconv"): t for n, t in backbone.items()}, tmp_path / "a.safetensors")
    model = timm.create_model("mscan_tiny", num_classes=0)
    assert load_official_mscan(model, tmp_path / "a.safetensors").left == ()
    assert holds(model.state_dict(), backbone)


def test_shallower_encoders_leave_the_stages_they_do_not_have(tmp_path):
    save_file(random_backbone(), tmp_path / "a.safetensors")
    model = smp.Unet("mscan_tiny", encoder_weights=None, encoder_depth=4, decoder_channels=(32, 32, 16, 16))
    report = load_official_mscan(model, tmp_path / "a.safetensors")
    assert report.left and {name.split(".")[0] for name in report.left} == {"patch_embed4", "block4", "norm4"}


@pytest.mark.parametrize("name, content, words", [
    ("none.pth", None, "none.pth: no such file"),
    ("text.pth", b"hello", "text.pth: cannot be read as a checkpoint"),
    ("text.safetensors", b"hello", "text.safetensors: cannot be read as a checkpoint"),
    ("empty.pth", b"", "empty.pth: cannot be read as a checkpoint"),
    ("object.pth", {"state_dict": {}, "args": argparse.Namespace(lr=1)}, "weights_only=True"),
    ("list.pth", [torch.zeros(1)], "list.pth: holds no table of tensors"),
    ("mixed.pth", {"state_dict": {"a": 1}}, "mixed.pth: holds no table of tensors"),
    ("other.pth", {"conv1.weight": torch.zeros(1)}, "other.pth: not a checkpoint of this MSCAN: .* are missing"),
])  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path, name, content, words):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / name)
    with pytest.raises(UserError, match=words):
        load_official_mscan(SegNeXt("mscan_tiny"), tmp_path / name)


def test_another_variant_is_refused_and_changes_nothing(tmp_path):
    save_file(random_backbone("mscan_small"), tmp_path / "small.safetensors")
    model = SegNeXt("mscan_tiny")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=r"encoder\.\S+ is \[64\], the model's is \[32\]\. Build .*variant"):
        load_official_mscan(model, tmp_path / "small.safetensors")
    assert holds(model.state_dict(), before)


def test_same_widths_but_fewer_blocks_are_refused(tmp_path):
    save_file(random_backbone("mscan_small"), tmp_path / "small.safetensors")
    with pytest.raises(UserError, match=r"entries are missing, the first 'block1\.2\."):
        load_official_mscan(timm.create_model("mscan_base"), tmp_path / "small.safetensors")


def test_a_network_without_mscan_is_the_callers_mistake(tmp_path):
    with pytest.raises(ValueError, match="Unet has no MSCAN"):
        load_official_mscan(smp.Unet("resnet18", encoder_weights=None), tmp_path / "a.pth")
