"""Speed beside the floor, which is counted right."""

import re

import pytest
import torch
from torch import nn


def test_the_floor_counts_one_convolution_as_by_hand():
    """64x32x(3x3) weights on an 8x8 map: 64 * 32 * 9 multiply-adds at each of 64 pixels."""
    from roofline import measure_floor

    conv = nn.Conv2d(32, 64, 3, padding=1, bias=False)
    image = torch.zeros(1, 32, 8, 8)
    flop = 2 * 64 * 32 * 9 * 64
    elements = 32 * 64 + 64 * 32 * 9 + 64 * 64
    compute_bound = measure_floor(conv, image, train=False, tflops=1e-6, gbps=1e9)
    assert compute_bound.gflop == pytest.approx(flop / 1e9)
    assert compute_bound.milliseconds == pytest.approx(1000 * flop / 1e6)  # at 10^6 FLOP/s
    memory_bound = measure_floor(conv, image, train=False, tflops=1e9, gbps=1.0, element_bytes=2)
    assert memory_bound.milliseconds == pytest.approx(2 * elements / 1e9 * 1e3)
    # with the backward pass, the gradients of input and weights cost a forward pass each; a leaf image needs none
    assert measure_floor(conv, image, train=True, tflops=1.0, gbps=1.0).gflop == pytest.approx(2 * flop / 1e9)


@pytest.mark.parametrize("groups", [1, 4, 32])
def test_a_training_step_costs_three_forward_passes_whatever_the_groups(groups):
    from roofline import measure_floor

    conv = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 32, 7, padding=3, groups=groups))
    image = torch.zeros(1, 3, 8, 8)
    first, second = (2 * 64 * flop / 1e9 for flop in (3 * 32, 32 * 32 * 49 / groups))
    step = measure_floor(conv, image, train=True, tflops=1.0, gbps=1.0).gflop
    assert step == pytest.approx(2 * first + 3 * second)  # the image needs no gradient


def test_speed_interleaves_networks_and_says_what_it_could_not_measure(run):
    paths = ["train eager float32", "eager float32", "fused channels_last float32"]
    names = ["PAFPNeXt elanext_nano", "FPN resnet18"]
    content = run(
        "speed", "--device", "cpu", "--size", 64, 32, "--batch", 2, "--rounds", 2, "--only", *names, "--paths", *paths
    )
    rows = {(row["network"], row["path"]): row for row in content["rows"]}
    assert len(rows) == 6
    assert rows[names[1], paths[2]]["not_measured"] == "has no fuse()"
    for row in content["rows"]:
        if "not_measured" not in row:
            assert row["images_per_second"] == pytest.approx(2000 / row["ms"], rel=0.01, abs=0.01)
            assert row["ms_quartiles"][0] <= row["ms"] <= row["ms_quartiles"][1]


def test_the_floor_is_filed_and_grows_with_the_work(run):
    content = run("floor", "--only", "FPN resnet18", "--batch", 1, 2, "--size", 64, 32)
    rows = {(row["job"], row["batch"]): row for row in content["rows"]}
    assert rows["predict", 2]["gflop"] == pytest.approx(2 * rows["predict", 1]["gflop"], abs=0.02)
    assert rows["train", 1]["floor_ms"] > rows["predict", 1]["floor_ms"] > 0
    from table_kinds import KINDS

    assert len(KINDS[content["benchmark"]](content).splitlines()) == 2 + 2 + 4


def test_a_network_that_does_not_train_on_one_image_has_no_floor_there(run):
    content = run("floor", "--only", "DeepLabV3Plus resnet18", "--batch", 1, 2, "--size", 64, 32)
    train, *rest = content["rows"]
    assert (train["job"], train["batch"]) == ("train", 1) and "does not train on one image" in train["not_measured"]
    assert all(row["floor_ms"] > 0 for row in rest)
    from table_kinds import KINDS

    assert "| DeepLabV3Plus resnet18 | train | 1 | - | - | BatchNorm over" in KINDS[content["benchmark"]](content)


def test_layers_of_ours_are_timed_beside_pytorchs(run, monkeypatch):
    import layers

    monkeypatch.setattr(layers, "DEPTHWISE", [(3, 6, 8, (7, 7))])
    monkeypatch.setattr(layers, "POINTWISE", [(3, 5, 6, 8)])
    content = run("layers", "--batch", 1, "--size", 64, 32, "--only", "PAFPNeXt elanext_nano", "--rounds", 1)
    rows = content["rows"]
    assert [row["what"] for row in rows] == [
        "gradient of a depthwise 7x7 kernel, 3 x 6 x 8",
        "1x1, 3 to 5 channels, 6 x 8",
        "training step, PAFPNeXt elanext_nano",
        "inference, PAFPNeXt elanext_nano",
    ] * 4
    assert all(row["ours_ms"] > 0 and row["pytorch_ms"] > 0 for row in rows)


def test_a_profile_tells_kinds_of_operations_apart(run):
    from table_kinds import KINDS

    options = ["--device", "cpu", "--size", 64, 32, "--batch", 1, "--steps", 1]
    paths = ["--paths", "eager float32", "fused channels_last float32"]
    result = run("gpu_profile", *options, "--only", "PAFPNeXt elanext_nano", "FPN resnet18", *paths)
    ours, peer, fused, unfused = result["rows"]
    assert unfused["not_measured"] == "has no fuse()" and "not_measured" not in fused
    kinds = ours["kinds_ms"]
    assert sum(kinds.values()) == pytest.approx(ours["busy_ms"], abs=0.02)
    assert {"dense convolutions, forward", "depthwise convolutions, forward", "norms", "resizing"} <= kinds.keys()
    assert not any("depthwise" in kind or "matrix" in kind for kind in peer["kinds_ms"])
    table = KINDS["profile"](result)
    assert "| PAFPNeXt elanext_nano | " in table and "| FPN resnet18 | has no fuse() | - | - |" in table
    assert re.search(r"\| PAFPNeXt elanext_nano \| \w+ \| \d+x\d+", table)


@pytest.mark.parametrize(
    ("name", "shapes", "kind"),
    [
        ("aten::cudnn_convolution", [[2, 8, 9, 9], [8, 1, 7, 7], []], "depthwise convolutions, forward"),
        ("aten::cudnn_convolution", [[2, 8, 9, 9], [16, 8, 1, 1], []], "1x1 convolutions, forward"),
        ("aten::convolution_backward", [[2, 8, 9, 9], [2, 8, 9, 9], [8, 1, 7, 7]], "depthwise convolutions, backward"),
        ("aten::convolution_backward", [[2, 8, 9, 9], [2, 3, 18, 18], [8, 3, 3, 3]], "dense convolutions, backward"),
        ("aten::upsample_bilinear2d_backward", [], "resizing"),
        ("aten::addmm", [], "matrix products"),
        ("aten::native_group_norm", [], "norms"),
        ("aten::add_", [], "biases and sums"),
        ("aten::_fused_adamw_", [], "optimizer"),
        ("aten::abs", [], "others"),
    ],
)
def test_operations_are_counted_by_kind(name, shapes, kind):
    from gpu_profile import kind_of

    assert kind_of(name, shapes) == kind
