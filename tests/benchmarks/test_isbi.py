"""ISBI 2012 in folds: taken up where it stopped, and its segments score what they must."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.benchmarks.conftest import small_config


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


def test_segments_of_the_true_membranes_score_100_percent(tmp_path):
    """A network that sees the membrane itself, and one that sees none: both cells are one segment."""
    from isbi import segment_row

    from segnext_pafpn.data.config import DataConfig

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


def test_the_table_of_folds_has_means_and_deviations():
    from table_scores import isbi_table

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
