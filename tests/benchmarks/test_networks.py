"""The networks that are compared can be built, and are those of the results that are filed."""

import json
from dataclasses import asdict

import torch

from segnext_pafpn.models.factory import build_model
from tests.benchmarks.conftest import FOLDER


def test_every_network_gives_logits():
    from networks import NETWORKS

    for name, config in NETWORKS.items():
        model = build_model(config, classes=3).eval()
        with torch.no_grad():
            assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64), name


def test_names_in_filed_results_are_those_of_the_same_networks():
    from networks import COMPARISONS, NETWORKS

    known = {**NETWORKS, **{name: config for networks in COMPARISONS.values() for name, config in networks.items()}}
    contents = [json.loads(path.read_text()) for path in (FOLDER / "results").glob("*.json")]
    trained = [
        (row.get("network") or content["network"], row)
        for content in contents
        for row in content.get("rows", [])
        if "model" in row
    ]
    assert trained
    for name, row in trained:
        config = asdict(known[name])
        assert row["model"] == {key: config[key] for key in row["model"]}, name


def test_each_benchmark_names_networks_alike():
    import gpu_train
    import isbi
    import speed
    import stability
    from networks import NETWORKS

    for script in (gpu_train, isbi, speed, stability):
        assert script.NETWORKS and script.NETWORKS.items() <= NETWORKS.items()
