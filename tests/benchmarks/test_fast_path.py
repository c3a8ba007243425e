"""The benchmark of fast ways to predict scores each way by the labels it gives."""

import torch

from segnext_pafpn.data.card import load_card
from segnext_pafpn.models import PAFPNeXt
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.preprocessing import Preprocessing


def spread_labels(network, classes):
    """Shift the last bias so that no class of an untrained network wins everywhere."""
    bias = [parameter for parameter in network.parameters() if parameter.shape == (classes,)][-1]
    with torch.no_grad():
        bias -= network(torch.randn(2, 3, 64, 96)).mean(dim=(0, 2, 3))


def test_every_way_has_a_rate_a_score_and_its_agreement_with_the_first(run, tmp_path):
    card = load_card("streets")
    torch.manual_seed(0)
    network = PAFPNeXt("elanext_nano", classes=len(card.classes), decoder_channels=16, head_channels=16)
    spread_labels(network.eval(), len(card.classes))
    preprocessing = Preprocessing(class_names=card.class_names, class_colors=card.class_colors, image_size=(32, 48))
    save_bundle(network, preprocessing, tmp_path / "model")
    ways = ["plain float32, NCHW", "plain float32", "fused float32", "fused bfloat16", "tta flips"]
    options = ("--checkpoint", tmp_path / "model", "--card", "streets", "--device", "cpu", "--rounds", 1)
    content = run("fast_path", *options, "--ways", *ways)
    plain, laid_out, fused, half, mirrored = content["rows"]
    assert [row["way"] for row in content["rows"]] == ways
    assert plain["equal_labels_percent"] == 100
    assert laid_out["equal_labels_percent"] > 99.9
    assert fused["equal_labels_percent"] > 99.9
    assert 50 < half["equal_labels_percent"] < 100 and mirrored["equal_labels_percent"] < 100
    assert mirrored["images_per_second"] < fused["images_per_second"]
    assert abs(fused["mIoU"] - plain["mIoU"]) < 0.1
    assert all(row["images_per_second"] > 0 for row in content["rows"])
