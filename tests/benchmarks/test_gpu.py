"""What one GPU and some minutes do: a run that is stopped goes on, and each part is filed."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tests.benchmarks.conftest import small_config
from tests.data.layouts import make_camvid


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
    command = json.loads(out.read_text())["command"]
    assert command.startswith("python benchmarks/gpu.py accuracy --config small.yaml --root PATH --epochs 10")
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
    content = json.loads((tmp_path / "speed-cpu.json").read_text())
    assert content["command"].startswith("python benchmarks/gpu.py speed --device cpu --only 'FPN resnet18' --options ")
    rows = content["rows"]
    assert [(row["path"], row["batch"]) for row in rows] == [("train eager float32", 1), ("channels_last float32", 1)]
    assert "Images a second" in capsys.readouterr().out
