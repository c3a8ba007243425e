"""Sizes of networks against arithmetic that can be done by hand, and the table in the documentation."""

import json
import re
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch import nn

from segnext_pafpn.cli import main
from segnext_pafpn.errors import UserError
from segnext_pafpn.models import ELANEXT_VARIANTS
from segnext_pafpn.models.summary import our_networks, padded_size, summarize

DOCS = Path(__file__).parent.parent.parent / "docs"


class OneConvolution(smp.base.SegmentationModel):
    """3x3 from 3 channels to the classes, after an encoder that gives the image alone."""

    def __init__(self, encoder_name: str, encoder_weights: str | None, in_channels: int, classes: int):
        super().__init__()
        self.encoder = nn.Identity()
        self.conv = nn.Conv2d(in_channels, classes, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.encoder(x))


def models(capsys: pytest.CaptureFixture, *arguments: object) -> dict:
    assert main(["models", "--json", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_convolution_costs_what_it_does_by_hand(monkeypatch):
    monkeypatch.setitem(smp.MODEL_ARCHITECTURES_MAPPING, "oneconvolution", OneConvolution)
    found = summarize("oneconvolution", "resnet18", (32, 64), classes=5)
    assert found.parameters == 3 * 5 * 3 * 3 + 5
    assert found.flops == 2 * (32 * 64) * (3 * 5 * 3 * 3)
    assert found.folded_parameters is None and found.folded_flops is None
    assert found.strides == found.channels == ()


def test_resnet18_has_its_published_size():
    """11.69 M parameters and 1.81 G multiply-adds, less the classifier: 512 x 1000 weights and 1000 biases."""
    found = summarize(None, "resnet18", (224, 224), classes=1)
    assert found.parameters == 11_689_512 - 513_000
    assert found.flops == 2 * (1_814_073_344 - 512_000)
    assert found.strides == (2, 4, 8, 16, 32)
    assert found.channels == (64, 64, 128, 256, 512)


def test_flops_grow_with_the_padded_area():
    small, large = (summarize(None, "elanext_nano", size, classes=1).flops for size in ((60, 50), (128, 128)))
    assert large == 4 * small
    assert padded_size((60, 50)) == (64, 64)
    assert padded_size((64, 65)) == (64, 96)


def test_encoders_that_begin_at_stride_4_show_no_stride_2():
    found = summarize(None, "tu-convnext_atto", (64, 64), classes=1)
    assert found.strides == (4, 8, 16, 32)
    assert found.channels == (40, 80, 160, 320)


def test_folding_takes_the_branches_of_repconv_and_the_norms():
    """RepConv's 1x1 goes; every BatchNorm's scale goes, its shift becomes a bias where there was none."""
    from segnext_pafpn import PAFPNeXt

    found = summarize("pafpnext", "elanext_nano", (64, 64), classes=11)
    model = PAFPNeXt("elanext_nano", classes=11).eval()
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.folded_parameters == sum(p.numel() for p in model.fuse().parameters())
    # 1x1 branches: four of 64 to 128 at strides 4 to 32
    pixels = [16**2, 8**2, 4**2, 2**2]
    assert found.flops - found.folded_flops == 2 * sum(pixels) * 64 * 128


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import network_sizes

    return network_sizes


def test_the_command_lists_every_network_of_ours_once_and_the_documentation_has_them(page):
    values = page.measured()
    names = [(row["arch"], row["encoder_name"]) for row in values["networks"]]
    assert names == list(our_networks())
    assert len(set(names)) == len(names)
    for name, variant in ELANEXT_VARIANTS.items():
        assert (None, name) in names and ("pafpnext", name) in names
        row = values["networks"][names.index((None, name))]
        assert tuple(row["channels"]) == variant["widths"]
    assert (values["size"], values["padded_size"]) == ([480, 360], [480, 384])
    text = page.PAGE.read_text()
    assert text.count("| pafpnext | elanext_tiny |") == 1
    assert page.with_table(text, values) == text, "run: python docs/network_sizes.py"


def test_the_command_measures_any_network(capsys):
    unet = models(capsys, "--arch", "unet", "--encoder_name", "resnet18", "--classes", 1)["networks"]
    assert [row["parameters"] for row in unet] == [14_328_209]
    encoder = models(capsys, "--encoder_name", "resnet18")["networks"]
    assert [row["parameters"] for row in encoder] == [11_176_512]
    alone = models(capsys, "--arch", "FPN", "--size", 32, 32)["networks"]
    assert [(row["arch"], row["encoder_name"]) for row in alone] == [("FPN", "elanext_tiny")]


def test_the_table_says_what_was_measured(capsys):
    assert main(["models", "--encoder_name", "elanext_nano", "--size", "100", "64"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "100 x 64, padded to 128 x 64" in text and "2 x multiply-add" in text
    assert re.search(r"encoder elanext_nano 1\.54 ", text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arch", "unett"], "Did you mean 'unet'?"),
        (["--encoder_name", "resnet81"], "Did you mean 'resnet18'?"),
        (["--encoder_name", "tu-resnet1x8"], "timm has no model 'resnet1x8'"),
        (["--encoder_name", "tu-test_vit"], "'tu-test_vit' has no pyramid of levels at strides 4, 8, 16 and 32"),
        (["--size", "0", "32"], "must be at least 1, found 0 x 32"),
        (["--size", "32"], "size"),
        (["--size", "32", "32", "--arch", "pan", "--encoder_name", "resnet18"], "cannot run at 32 x 32: "),
    ],
)
def test_mistakes_get_one_line(capsys, arguments, words):
    assert main(["models", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and words in error and "\n" not in error


def test_an_encoder_that_takes_no_such_image_is_named():
    words = r"tu-swin_s3_tiny_224: cannot run at 64 x 32: .* takes images of 224x224 alone, .*\)\. Give another size\.$"
    with pytest.raises(UserError, match=words):
        summarize(None, "tu-swin_s3_tiny_224", (32, 64), classes=1)


def test_snippets_and_links_of_the_documentation_work(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.PAGE.read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, "networks.md", "exec"), {})
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (DOCS / target).exists(), target


def test_the_picture_of_the_network_was_drawn_from_its_numbers(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "figures")
    import network

    with Image.open(DOCS / "figures/network.png") as picture:
        assert picture.info["Description"] == network.numbers(), "run: python docs/figures/network.py"
