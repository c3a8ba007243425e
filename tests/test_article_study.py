"""The study from the article network to ours: every row can be built, a loss that is not finite is a row, too."""

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from segnext_pafpn.arguments import shipped_configs
from segnext_pafpn.cli import main
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from tests.conftest import SMALL_RUN
from tests.data.layouts import make_camvid

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "article.md").read_text()


@pytest.fixture
def benchmarks(monkeypatch):
    """The folder's scripts as modules."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import accuracy
    import networks
    import tables
    from table_scores import accuracy_table

    return SimpleNamespace(
        accuracy=accuracy,
        tables=tables,
        chain=networks.COMPARISONS["article"],
        peers=networks.COMPARISONS["peers"],
        accuracy_table=accuracy_table,
    )


def row(network: str, miou: float | None, stopped: str | None = None, seed: int = 0) -> dict:
    return {
        "network": network, "seed": seed, "million_parameters": 1.25, "mIoU": miou, "stopped": stopped, "steps": 7,
        "seconds": 60,
    }  # fmt: skip


def test_every_network_of_the_chain_gives_logits(benchmarks):
    for name, config in benchmarks.chain.items():
        model = build_model(config, classes=3).eval()
        with torch.no_grad():
            assert model(torch.zeros(1, 3, 40, 64)).shape == (1, 3, 40, 64), name
    assert config == ModelConfig(), "the chain does not end at the default network"


def test_a_chain_stays_in_its_order_and_says_where_a_loss_was_not_finite(benchmarks):
    rows = [
        row("first", None, "non-finite loss at step 4"),
        row("second", 30.0),
        row("third", 20.0),
        row("second", 40.0, seed=1),
        row("third", None, "non-finite loss at step 5", seed=1),
    ]
    chain = {"rows": rows, "step_ms": {"second": 20.4, "third": 19.6}, "chain": True}
    assert benchmarks.accuracy_table(chain).splitlines()[2:] == [
        "| first | 1.2 | - | 7 | non-finite loss at step 4 | 1 |",
        "| second | 1.2 | 20 | 7 | 35.0 ± 7.1 | 2 |",
        "| third | 1.2 | 20 | 7 | 20.0, non-finite loss at step 5 | 2 |",
    ]
    table = benchmarks.accuracy_table({"rows": rows[:3]}).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in table] == ["second", "third", "first"]


def measure(
    accuracy, monkeypatch, folder: Path, lr: float, *names: str, time: bool = False, more: tuple[str, ...] = ()
) -> dict:
    """Run the script on a small data set; return its result file."""
    config = {
        "name": "small",
        "data": {"card": str(folder / "card.yaml"), "crop_size": [32, 48], "batch_size": 2, "num_workers": 0},
        "optim": {"warmup_steps": 1, "lr": lr, "ema_decay": None},
        "trainer": {"accelerator": "cpu", "max_epochs": 2, "gradient_clip_val": None},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(folder)
    options = ["--config", "small.yaml", "--root", str(folder), "--compare", "article", "--out", f"{lr}.json"]
    chosen = ["--time"] if time else ["--only", *names]
    monkeypatch.setattr("sys.argv", ["accuracy.py", *options, *more, *chosen])
    accuracy.main()
    return json.loads((folder / f"{lr}.json").read_text())


def test_the_script_measures_and_goes_on_after_a_loss_that_is_not_finite(benchmarks, monkeypatch, dataset):
    earlier, later = "depthwise residual blocks in ELAN and SPPCSPC", "FuseHead, still at stride 8"
    measure(benchmarks.accuracy, monkeypatch, dataset, 1e30, later)
    content = measure(benchmarks.accuracy, monkeypatch, dataset, 1e30, later, earlier)
    assert content["chain"] is True
    command = "python benchmarks/accuracy.py --config small.yaml --root PATH --compare article --out 1e+30.json --only"
    assert content["command"] == content["rows"][0]["command"] == shlex.join([*command.split(), later, earlier])
    assert [row["network"] for row in content["rows"]] == [earlier, later]  # the chain's order, not the runs'
    for row in content["rows"]:
        assert row["mIoU"] is None and re.fullmatch(r"non-finite loss at step [1-6]", row["stopped"])

    (row,) = measure(benchmarks.accuracy, monkeypatch, dataset, 1e-3, earlier)["rows"]
    assert 0 <= row["mIoU"] <= 100 and row["stopped"] is None and row["steps"] == 6
    assert row["million_parameters"] == pytest.approx(5.77, abs=0.01)

    timed = measure(benchmarks.accuracy, monkeypatch, dataset, 1e-3, time=True)
    assert timed["rows"] == [row]
    assert timed["step_ms"].keys() == {earlier} and 0 < timed["step_ms"][earlier] < 60_000
    assert timed["step_environment"].keys() == row["environment"].keys()


def test_at_equal_time_a_network_of_half_the_speed_has_half_the_epochs(benchmarks, monkeypatch, dataset):
    first, other, *_ = benchmarks.peers
    options = ("--compare", "peers", "--epochs", "2")
    content = measure(benchmarks.accuracy, monkeypatch, dataset, 1e-4, first, more=options)
    (dataset / "times.json").write_text(json.dumps({**content, "step_ms": {first: 10.0, other: 20.0}}))
    (dataset / "0.0001.json").unlink()
    options += ("--equal-time", "times.json")
    same, half = measure(benchmarks.accuracy, monkeypatch, dataset, 1e-4, first, other, more=options)["rows"]
    assert same == content["rows"][0] and same["steps"] == 6
    assert half["steps"] == 3


def test_networks_that_were_not_trained_cannot_be_timed(benchmarks, monkeypatch, dataset):
    with pytest.raises(SystemExit, match=r"0\.1\.json: no such file\. --time times the networks in it"):
        measure(benchmarks.accuracy, monkeypatch, dataset, 0.1, time=True)


def test_the_page_has_the_tables_of_the_results(benchmarks):
    assert benchmarks.tables.with_tables(PAGE) == PAGE
    assert ROOT / "docs" / "article.md" in benchmarks.tables.PAGES


def test_links_and_files_on_the_page_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for name in re.findall(r"`((?:layers|models)/\w+\.py)`", PAGE):
        assert (ROOT / "segnext_pafpn" / name).is_file(), name
    for name in re.findall(r"--config (\S+)", PAGE):
        assert name in shipped_configs()


def test_what_it_trains_predicts(tmp_path):
    make_camvid(tmp_path / "camvid")
    smaller = [a for a in SMALL_RUN if not a.startswith("--model")]
    train = [
        "train", "--config", "article-camvid-cpu", "--data.root", tmp_path / "camvid", "--output_dir", tmp_path,
        "--model.options", "{width: [8, 8, 16, 32]}", *smaller, "--trainer.max_epochs=1",
        "--trainer.check_val_every_n_epoch=1", "--data.samples_per_epoch=4", "--trainer.limit_val_batches=1",
    ]  # fmt: skip
    assert main([str(word) for word in train]) == 0
    run = tmp_path / "article-camvid-cpu"
    predict = ["predict", "--checkpoint", run, "-i", tmp_path / "camvid/val", "-o", tmp_path / "masks"]
    assert main([str(word) for word in predict]) == 0
    assert len(list((tmp_path / "masks").iterdir())) == len(list((tmp_path / "camvid/val").iterdir()))
