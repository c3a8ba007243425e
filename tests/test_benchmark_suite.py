"""The benchmarks of folds, stability, growth and one GPU run on little data, can be taken up again, and count right."""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.test_cli import make_camvid

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a script's ``main`` with arguments; returns what it filed."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.chdir(tmp_path)

    def call(script: str, *arguments: object, out: str = "out.json") -> dict:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments), "--out", str(tmp_path / out)])
        __import__(script).main()
        return json.loads((tmp_path / out).read_text())

    return call


def small_config(folder: Path, **data: object) -> Path:
    path = folder / "small.yaml"
    config = {
        "name": "small",
        "data": {"crop_size": [32, 48], "batch_size": 2, "num_workers": 0, **data},
        "optim": {"warmup_steps": 1, "ema_decay": None},
        "trainer": {"accelerator": "cpu", "max_epochs": 1},
    }
    path.write_text(yaml.safe_dump(config))
    return path


def write_slices(root: Path, count: int = 5) -> None:
    """Slices of two cells with a membrane between them, dark in the image."""
    for i in range(count):
        mask = np.full((48, 64), 255, dtype=np.uint8)
        mask[:, 20 + 4 * i : 24 + 4 * i] = 0
        noise = np.random.default_rng(i).integers(0, 30, (48, 64), dtype=np.uint8)
        for folder, array in (("images", mask // 2 + noise), ("labels", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / folder / f"{i:02}.png")


def test_folds_are_scored_and_taken_up_where_they_stopped(run, tmp_path, monkeypatch):
    write_slices(tmp_path / "isbi")
    options = ["--config", small_config(tmp_path), "--root", tmp_path / "isbi", "--runs", tmp_path / "runs"]
    options += ["--epochs", 2, "--only", "Unet resnet18"]
    first = run("isbi", *options, "--folds", 3)["rows"]
    both = run("isbi", *options, "--folds", 3, 1)["rows"]
    assert both[0] == first[0] and [row["fold"] for row in both] == [3, 1]
    config = yaml.safe_load((tmp_path / "runs/small-Unet-resnet18-fold1/config.yaml").read_text())
    assert config["data"]["layout"] == {"fold": 1} and config["trainer"]["check_val_every_n_epoch"] == 2
    for row in both:
        assert row["slices"] == 1 and row["steps"] == 4
        iou, dice = row["IoU"]["cell"] / 100, row["Dice"]["cell"] / 100
        assert dice == pytest.approx(2 * iou / (1 + iou), abs=2e-4)
        assert row["best_rand"] >= row["rand"] > 0 and row["best_info"] >= row["info"]
    with pytest.raises(SystemExit, match="another recipe"):
        run("isbi", *options, "--precision", "bf16-mixed")


def test_segments_of_the_true_membranes_score_100_percent(monkeypatch, tmp_path):
    """A network that sees the membrane itself, and one that sees none: both cells are one segment."""
    monkeypatch.syspath_prepend(FOLDER)
    from isbi import segment_row

    from segnext_pafpn.data.datamodule import DataConfig

    class Darkness:
        """Logits of membrane and cell from the grey value."""

        def __init__(self, gain: float):
            self.gain = gain

        def logits(self, image: np.ndarray) -> torch.Tensor:
            dark = torch.from_numpy(image[..., 0] < 64).float()
            return torch.stack([self.gain * (dark - 0.5) - float(self.gain == 0), torch.zeros_like(dark)])

    write_slices(tmp_path)
    data = DataConfig(card="isbi2012-folds", root=str(tmp_path), layout={"fold": 0})
    perfect = segment_row(Darkness(9.0), data)
    assert perfect["rand"] == perfect["info"] == perfect["best_rand"] == 100
    blind = segment_row(Darkness(0.0), data)
    assert blind["rand_split"] == 100 and blind["rand_merge"] < 70 and blind["info_merge"] == 0


def test_the_table_of_folds_has_means_and_deviations(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from table_kinds import isbi_table

    def row(network: str, fold: int, score: float) -> dict:
        both = {"membrane": score, "cell": score + 1}
        scores = {"rand": score, "info": score, "best_rand": score + 2, "best_info": score + 3}
        return {
            "network": network, "fold": fold, "stopped": None, "million_parameters": 4.04, "steps": 7,
            "IoU": both, "Dice": both, **scores,
        }  # fmt: skip

    stopped = {"network": "B", "fold": 1, "stopped": "non-finite loss at step 4", "steps": 4}
    table = isbi_table({"rows": [row("A", 0, 70), row("B", 0, 90), row("A", 1, 80), stopped]}).splitlines()
    assert table[2] == (
        "| B | 4.0 | 7 | 90.0 | 91.0 | 90.0 | 91.0 | 90.0 | 90.0 | 92.0 | 93.0 | 1; fold 1: non-finite loss at step 4 |"
    )
    assert table[3].startswith("| A | 4.0 | 7 | 75.0 ± 7.1 | 76.0 ± 7.1 |") and table[3].endswith("| 2 |")


def test_a_learning_rate_that_is_too_high_is_told_from_one_that_is_not(run, tmp_path):
    make_camvid(tmp_path / "camvid")
    names = ["--only", "PAFPNeXt elanext_tiny", "--precisions", "32-true", "--device", "cpu"]
    sizes = ["--steps", 3, "--batch", 2, "--crop", 64, 64]
    content = run("stability", "--root", tmp_path / "camvid", "--rates", 1e-4, 1e30, *names, *sizes)
    calm, wild = content["rows"]
    assert calm["stopped"] is None and calm["steps"] == 3 and 0 < calm["last_loss"] < 20
    assert wild["stopped"] == f"non-finite loss at step {wild['steps']}" and 1 < wild["steps"] <= 3
    assert wild["first_loss"] == calm["first_loss"]
    from table_kinds import stability_table

    last = stability_table(content).splitlines()[-1]
    assert last == (
        f"| PAFPNeXt elanext_tiny | 32-true | {calm['last_loss']:.2f} | not finite at step {wild['steps']} |"
    )


def test_growth_is_measured_point_by_point_in_processes_of_their_own(run):
    content = run(
        "scaling", "--device", "cpu", "--encoder", "elanext_nano", "--sides", 64, 256, "--batches", 2, "--classes", 20,
        "--pictures", 20, "--processes", "2x1", "--process-batch", 2, "--seconds", 0.01,
    )  # fmt: skip
    rows = content["rows"]
    assert not [row for row in rows if "not_measured" in row]
    assert [row["axis"] for row in rows] == [
        *["side"] * 4,
        "batch",
        "batch",
        "classes",
        "classes",
        "pictures",
        "processes",
    ]
    small, large = [row for row in rows if row["axis"] == "side" and row["job"] == "train"]
    grown = [row["peak_mib"] - row["start_mib"] for row in (small, large)]
    assert 0 < grown[0] < 0.6 * grown[1] and small["ms"] < large["ms"]
    two = rows[-1]
    assert two["images_per_second"] == pytest.approx(2000 / two["ms"], rel=0.01)
    from table_kinds import scaling_table

    table = scaling_table(content)
    assert f"\n| 64 | {small['ms']:.0f} | {grown[0]} |" in table
    assert f"\n| 2 x 1 | {two['ms']:.0f} | {two['images_per_second']:.1f} | {two['peak_mib']} |" in table


ENVIRONMENT = {
    "device": "a CPU", "cpu_cores": 2, "torch_threads": 1, "versions": {"torch": "2.11"}, "commit": "abc",
    "date": "2026-01-02",
}  # fmt: skip
TIMED = {"million_parameters": 4.04, "gflop": 20.0, "batch": 2, "threads": 1}
RESULTS = {
    "speed": (
        {
            "size": [8, 4], "rounds": 3, "rows": [
                {"network": "A", "job": "train", "path": "p", **TIMED, "ms": 4.0, "images_per_second": 500.0},
                {"network": "A", "job": "train", "path": "q", **TIMED, "not_measured": "has no fuse()"},
                {"network": "A", "job": "predict", "path": "r", **TIMED, "ms": 4.0, "images_per_second": 500.0,
                 "floor_ms": 1.0, "share_of_floor": 0.25},
            ],
        },
        ["| A | 4.0 | 10.0 | 500.0 | - |", "| A | 4.0 | 10.0 | 500.0 (25 %) |", "Not measured: q, A: has no fuse()."],
    ),
    "loader": (
        {
            "crop": [8, 4], "rows": [
                {"format": "png", "workers": 1, "loader": "ours", "images_per_second": 7.4},
                {"format": "png", "workers": 1, "loader": "plain", "images_per_second": 5.6},
            ],
        },
        ["| format | workers | ours | plain |", "| png | 1 | 7 | 6 |"],
    ),
    "metric": (
        {"size": [8, 4], "batch": 2, "rows": [{"classes": 11, "metric": "m", "ms": 1.234}]},
        ["| 11 | 1.23 |"],
    ),
    "check": (
        {"data": "card 'x'", "rows": [{"way": "w", "seconds": 2.0, "pairs_per_second": 12.3}]}, ["| w | 2.00 | 12 |"]
    ),
    "volumes": (
        {
            "arguments": {"cases": 2, "slices": 4, "side": 8},
            "slices_per_second": {"kept": {"first_epoch": 1.6, "later_epochs": 9.2}},
        },
        ["Slices a second of 2 volumes of 4 slices of 8x8. Measured on a CPU, 2 cores, 1 threads, torch 2.11, "
         "commit abc, 2026-01-02.", "| kept | 2 | 9 |"],
    ),
    "quickstart": (
        {"mIoU": 71.25, "pictures": 48, "split": "val", "seconds": 3.5, "rows": [{"command": "c", "seconds": 3.5}]},
        ["| `c` | 3.5 |", "| all | 3.5 |"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", RESULTS)
def test_every_kind_of_result_has_its_table(monkeypatch, kind):
    monkeypatch.syspath_prepend(FOLDER)
    from table_kinds import KINDS

    result, expected = RESULTS[kind]
    lines = KINDS[kind]({"benchmark": kind, "environment": ENVIRONMENT, **result}).splitlines()
    for line in expected:
        assert line in lines, "\n".join(lines)


def test_the_floor_is_filed_and_grows_with_the_work(run):
    content = run("floor", "--only", "FPN resnet18", "--batch", 1, 2, "--size", 64, 32)
    rows = {(row["job"], row["batch"]): row for row in content["rows"]}
    assert rows["predict", 2]["gflop"] == pytest.approx(2 * rows["predict", 1]["gflop"], abs=0.02)
    assert rows["train", 1]["floor_ms"] > rows["predict", 1]["floor_ms"] > 0
    from table_kinds import KINDS

    assert len(KINDS[content["benchmark"]](content).splitlines()) == 2 + 2 + 4


def test_the_page_of_benchmarks_names_what_there_is():
    page = (FOLDER.parent / "docs" / "benchmarks.md").read_text()
    for script in re.findall(r"python benchmarks/(\w+\.py)", page):
        assert (FOLDER / script).is_file(), script
    for script in re.findall(r"benchmarks/(\w+\.py)", (FOLDER.parent / "Makefile").read_text()):
        assert f"python benchmarks/{script}" in page, script
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (FOLDER.parent / "docs" / target).exists(), target


@pytest.fixture
def restored_signals():
    """Lightning leaves Ctrl-C ignored when it has stopped a run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def press_ctrl_c_after(checkpoint: Path) -> None:
    """To this process, as soon as the file is there."""

    def wait() -> None:
        for _ in range(1000):
            if checkpoint.is_file():
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.05)

    threading.Thread(target=wait, daemon=True).start()


def gpu(monkeypatch, *arguments: object) -> None:
    """Run the script."""
    monkeypatch.setattr(sys, "argv", ["gpu", *map(str, arguments)])
    __import__("gpu").main()


def test_a_stopped_network_goes_on_and_the_test_split_is_scored_once(
    run, tmp_path, monkeypatch, capfd, restored_signals
):
    make_camvid(tmp_path / "camvid")
    for part in ("", "annot"):
        shutil.copytree(tmp_path / f"camvid/val{part}", tmp_path / f"camvid/test{part}")
    config = small_config(tmp_path, card="camvid", val_batch_size=4)
    name, out, runs = "SegFormer mit_b0", tmp_path / "small.json", tmp_path / "runs"
    options = ["--config", config, "--root", tmp_path / "camvid", "--epochs", 10, "--runs", runs]
    monkeypatch.setattr(sys, "argv", ["x", "--network", name, *map(str, options), "--out", str(out)])
    import gpu_train

    checkpoint = runs / "small-SegFormer-mit_b0-0/checkpoints/last.ckpt"
    press_ctrl_c_after(checkpoint)
    assert gpu_train.main() == gpu_train.STOPPED and not out.is_file()
    assert 0 <= torch.load(checkpoint, weights_only=True)["epoch"] < 9
    first_weights = runs / "small-SegFormer-mit_b0-0/config.yaml"
    first_weights.with_name("mark").touch()  # a run that begins anew would remove it
    assert gpu_train.main() == 0 and first_weights.with_name("mark").is_file()
    (row,) = json.loads(out.read_text())["rows"]
    assert row["steps"] == 10 * 2 and row["stopped"] is None and 0 <= row["mIoU"] <= 100 and row["seconds"] > 0

    def call(*more: object) -> dict:
        gpu(monkeypatch, "accuracy", *options, "--only", name, *more, "--out", tmp_path)
        return json.loads(out.read_text())["rows"][0]

    assert call() == row and "All is done." in capfd.readouterr().out
    with pytest.raises(SystemExit, match="Unet resnet34, seed 0, is not trained yet"):
        call("--test", "--only", name, "Unet resnet34")
    assert call("--test", "--minutes", 0) == row and f"{name}, seed 0: not begun" in capfd.readouterr().out
    tested = call("--test")  # in a process of its own
    assert "All is done." in capfd.readouterr().out
    assert tested == {**row, "test": tested["test"]} and tested["test"]["mIoU"] == pytest.approx(row["mIoU"], abs=0.5)
    (log,) = (runs / "logs").iterdir()
    before = log.stat().st_mtime_ns
    assert call("--test") == tested and log.stat().st_mtime_ns == before


def test_a_process_that_runs_when_the_time_is_over_is_stopped(run, tmp_path, monkeypatch, capsys, restored_signals):
    make_camvid(tmp_path / "camvid")
    options = ["--config", small_config(tmp_path, card="camvid"), "--root", tmp_path / "camvid", "--epochs", 100000]
    names = ["FPN resnet34", "Unet resnet34", "SegFormer mit_b0"]
    gpu(monkeypatch, "accuracy", *options, "--minutes", 0.01, "--parallel", 2, "--only", *names, "--out", tmp_path)
    said = capsys.readouterr().out
    assert said.count("stopped") == 2 and "SegFormer mit_b0, seed 0: not begun" in said and "Call again" in said


def test_what_needs_cuda_is_counted_and_losses_are_filed(run, tmp_path, monkeypatch, capsys, restored_signals):
    make_camvid(tmp_path / "camvid")
    options = "--steps 1 --batch 2 --crop 64 64 --rates 1e-3 --precisions 32-true --only 'PAFPNeXt elanext_tiny'"
    gpu(
        monkeypatch, "cuda", "--root", tmp_path / "camvid", "--device", "cpu", "--options", options, "--out", tmp_path
    )  # fmt: skip
    counts = json.loads((tmp_path / "cuda-tests.json").read_text())["counts"]
    assert counts["failed"] == 0
    assert counts["passed" if torch.cuda.is_available() else "skipped"] >= 2
    assert json.loads((tmp_path / "stability-cpu.json").read_text())["rows"][0]["steps"] == 1
    assert "tests that need CUDA: passed" in capsys.readouterr().out


def test_speed_is_filed_group_by_group(run, tmp_path, monkeypatch, capsys, restored_signals):
    from gpu import SPEED

    monkeypatch.setitem(SPEED, "eager", ["train eager float32"])
    monkeypatch.setitem(SPEED, "compiled", ["channels_last float32"])
    options = ["--options", "--size 64 32 --rounds 2 --batch 1"]
    gpu(monkeypatch, "speed", "--device", "cpu", "--only", "FPN resnet18", *options, "--out", tmp_path)
    rows = json.loads((tmp_path / "speed-cpu.json").read_text())["rows"]
    assert [(row["path"], row["batch"]) for row in rows] == [("train eager float32", 1), ("channels_last float32", 1)]
    assert "Images a second" in capsys.readouterr().out
