"""A network that says the same of every pixel is told of."""

import numpy as np
import pytest
import torch

from segnext_pafpn.cli import main
from segnext_pafpn.evaluation.one_answer import one_answer_line
from segnext_pafpn.evaluation.scores import scores_from_matrix
from segnext_pafpn.models.bundle import load_bundle, save_bundle
from tests.training.small_runs import two_steps

NAMES = ("sky", "road", "car")


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[5, 0, 0], [3, 0, 0], [1, 0, 0]], "split 'val': every pixel is predicted as 'sky', so that"),
        ([[0, 5, 0], [0, 3, 0], [0, 0, 0]], "split 'val': every pixel is predicted as 'road', so that"),
        ([[0, 0, 0], [0, 3, 0], [0, 0, 0]], None),  # the split holds no other
        ([[5, 0, 0], [2, 1, 0], [1, 0, 0]], None),
        ([[0, 0, 0]] * 3, None),
        ([[[5, 0], [3, 0]], [[8, 0], [0, 0]], [[7, 0], [1, 0]]], "split 'val': no pixel is predicted as any class."),
        ([[[8, 0], [0, 0]]] * 3, None),  # the split holds none
        ([[[5, 0], [2, 1]], [[8, 0], [0, 0]], [[7, 0], [1, 0]]], None),
        ([[[0, 5], [0, 3]], [[8, 0], [0, 0]], [[7, 0], [1, 0]]], "every pixel is predicted as 'sky', so that"),
    ],
)
def test_one_class_or_none_is_told(matrix, words):
    line = one_answer_line(scores_from_matrix(np.array(matrix)), NAMES, "val")
    assert line is None if words is None else words in line and "Train longer, raise optim.lr" in line


def test_a_threshold_is_advised_where_there_may_be_one():
    two = one_answer_line(scores_from_matrix(np.array([[5, 0], [3, 0]])), NAMES[:2], "val")
    assert "--tune-threshold" in two
    three = one_answer_line(scores_from_matrix(np.array([[5, 0, 0], [3, 0, 0], [1, 0, 0]])), NAMES, "val")
    assert "--tune-threshold" not in three


@pytest.mark.usefixtures("one_thread")
def test_train_and_val_warn_once(capsys, dataset, tmp_path):
    card = dataset / "card.yaml"
    run = two_steps(card, tmp_path)
    model, preprocessing = load_bundle(run)
    bias = [*model.parameters()][-1]
    assert bias.shape == (8,)
    with torch.no_grad():
        bias[2] = 1e4
    save_bundle(model, preprocessing, run / "model")
    capsys.readouterr()
    line = "warning: split 'val': every pixel is predicted as 'road'"
    assert main(["val", "--checkpoint", str(run), "--trainer.accelerator=cpu", "--data.num_workers=0"]) == 0
    assert capsys.readouterr().out.count(line) == 1
    two_steps(card, tmp_path / "again", f"--weights={run}", "--optim.lr=1e-9")
    assert capsys.readouterr().out.count(line) == 1
