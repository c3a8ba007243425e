"""Options are understood in the forms that other programs have, too."""

import pytest

from segnext_pafpn.arguments import parse, rewrite
from segnext_pafpn.commands.common import build_parser
from segnext_pafpn.data.card import load_card
from segnext_pafpn.training.load_config import load_config
from segnext_pafpn.training.pretrain.config import ImageFolderConfig
from tests.conftest import write_card


@pytest.fixture
def parser():
    parser = build_parser("x", "")
    parser.add_argument("--save_probabilities", type=bool, default=False)
    parser.add_argument("--tune-threshold", action="store_true")
    parser.add_argument("--name", type=str, default="")
    return parser


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], (False, False, "")),
        (["--save_probabilities", "true", "--tune-threshold"], (True, True, "")),
        (["--save-probabilities=true", "--tune_threshold"], (True, True, "")),
        (["--save-probabilities", "--name", "true"], (True, False, "true")),
        (["--save_probabilities", "false", "--tune-threshold", "true"], (False, True, "")),
        (["--tune-threshold", "false", "--name=a-b", "--save_probabilities"], (True, False, "a-b")),
        (["--save_probabilities"], (True, False, "")),
    ],
)
def test_dashes_underscores_and_switches_with_a_value_or_without(parser, argv, expected):
    arguments = parse(parser, argv)
    assert (arguments.save_probabilities, arguments.tune_threshold, arguments.name) == expected


def test_a_tilde_is_the_users_folder_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["-i", "~/in", "-o=~/out", "--json=~/x.json", "--data.root=~", "--name=~x"]
    named = ["--input", f"{tmp_path}/in", f"--output={tmp_path}/out", f"--json={tmp_path}/x.json"]
    assert rewrite(words) == [*named, "--data.root=~", "--name=~x"]
    data = "{card: ~/card.yaml, root: ~/data, cache_dir: ~/cache}"
    (tmp_path / "run.yaml").write_text(f"output_dir: ~/runs\nweights: ~/old\ndata: {data}\nmodel: {{init_from: ~/a}}\n")
    assert rewrite(["--config=~/run.yaml"]) == ["--config", f"{tmp_path}/run.yaml"]
    config = load_config("~/run.yaml")
    assert config.run_dir == tmp_path / "runs/train" and config.output_dir == f"{tmp_path}/runs"
    assert (config.weights, config.model.init_from) == (f"{tmp_path}/old", f"{tmp_path}/a")
    found = [config.data.card, config.data.root, config.data.cache_dir]
    assert found == [f"{tmp_path}/{name}" for name in ("card.yaml", "data", "cache")]
    assert load_config("quickstart", {"data.root": "~/data"}).data.root == f"{tmp_path}/data"
    assert ImageFolderConfig(root="~/data").root == f"{tmp_path}/data"
    assert load_card(str(write_card(tmp_path, root="~/data"))).root == tmp_path / "data"
