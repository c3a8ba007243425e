"""Self-distillation: what it adds to the loss, and that both runs of a seed are trained and filed."""

import torch
from torch import nn

from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.losses import SegmentationLoss
from tests.benchmarks.conftest import small_config
from tests.conftest import write_dataset


def test_answers_like_the_teachers_cost_nothing_and_others_do():
    from distill import SoftTargets, _LossBesideTeacher

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    target = torch.randint(0, 3, (2, 4, 4), generator=generator)
    soft = SoftTargets(nn.Identity(), temperature=2.0)
    soft.targets = (logits / 2).log_softmax(1)
    plain = SegmentationLoss(LossConfig(), 3)
    beside = _LossBesideTeacher(plain, soft)
    assert torch.allclose(beside(logits, target), plain(logits, target))
    other = torch.randn(2, 3, 4, 4, generator=generator)
    p, q = (logits / 2).softmax(1), (other / 2).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    assert torch.allclose(beside(other, target), plain(other, target) + 4 * divergence)
    with torch.no_grad():
        assert torch.equal(beside(other, target), plain(other, target))


def test_both_runs_of_a_seed_are_trained_once(run, tmp_path):
    card = write_dataset(tmp_path / "data")
    options = ["--config", small_config(tmp_path, card=str(card)), "--root", tmp_path / "data", "--epochs", 1]
    options += ["--runs", tmp_path / "runs"]
    first = run("distill", *options)["rows"]
    assert [row["change"] for row in first] == ["as shipped", "soft targets of that run besides"]
    assert [row["settings"] for row in first] == [{}, {"temperature": 2.0}]
    assert all(row["steps"] == first[0]["steps"] and row["stopped"] is None for row in first)
    assert run("distill", *options)["rows"] == first
