"""Self-distillation: does a network learn more from the soft answers of one like it, trained before?

    python benchmarks/distill.py --root PATH/TO/CamVid --seeds 0 1

Of each seed two runs of one recipe: the first as it ships, the second with the divergence from the first one's
probabilities (Hinton, Vinyals and Dean, arXiv 1503.02531; Furlanello et al., Born Again Networks, arXiv 1805.04770)
besides the labels. The validation split is scored after the last epoch, the test split never read. What is in the
result file already is not trained again.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from networks import NETWORKS
from result_files import RESULTS, run_main
from rich.console import Console
from rows import header_of, put_row, read_rows, refuse_missing_data, with_length
from table_scores import recipe_table
from torch import nn
from training import accuracy_scores, run_of, train

from segnext_pafpn.data.dataset import Batch
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.load_config import load_config
from segnext_pafpn.training.module import SegmentationModule

FIRST, SECOND = "as shipped", "soft targets of that run besides"


class SoftTargets(Callback):
    """Adds to the loss how far the logits are from the teacher's on the same batch.

    Args:
        teacher: takes normalised floats (B, C, H, W) to logits (B, K, H, W).
        temperature: that both divide their logits by.
    """

    def __init__(self, teacher: nn.Module, temperature: float):
        self.teacher = teacher.eval().requires_grad_(False)
        self.temperature = temperature

    def on_fit_start(self, trainer: L.Trainer, pl_module: SegmentationModule) -> None:
        self.teacher.to(pl_module.device)
        pl_module.loss = _LossBesideTeacher(pl_module.loss, self)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: SegmentationModule, batch: Batch, batch_idx: int
    ) -> None:
        with torch.no_grad():
            logits = self.teacher(pl_module.normalize(batch["image"]))
        self.targets = (logits.float() / self.temperature).log_softmax(1)


class _LossBesideTeacher(nn.Module):
    def __init__(self, loss: nn.Module, soft: SoftTargets):
        super().__init__()
        self.loss = loss
        self.soft = soft

    def forward(self, logits: torch.Tensor, target: torch.Tensor, auxiliary: list[torch.Tensor] = ()) -> torch.Tensor:
        loss = self.loss(logits, target, auxiliary)
        if not torch.is_grad_enabled():  # an evaluation
            return loss
        own = (logits.float() / self.soft.temperature).log_softmax(1)
        divergence = F.kl_div(own, self.soft.targets, reduction="none", log_target=True).sum(1).mean()
        return loss + self.soft.temperature**2 * divergence


def main() -> None:
    """Train what is missing in the result file, then print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="camvid-cpu", help="a shipped configuration, or a path")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--network", default="PAFPNeXt elanext_nano", choices=list(NETWORKS), metavar="NAME")
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--runs", default="runs/benchmark", help="where the runs lie")
    parser.add_argument("--out", type=Path, help="result file; default results/CONFIG-distill.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = with_length(load_config(arguments.config), arguments.epochs, arguments.precision)
    base = replace(base, trainer=replace(base.trainer, check_val_every_n_epoch=base.trainer.max_epochs))
    out = arguments.out or RESULTS / f"{Path(arguments.config).stem}-distill.json"
    header = {**header_of("recipe", base), "network": arguments.network}
    refuse_missing_data(base.data, arguments.root)
    rows = read_rows(out, header["recipe"])
    done = {(row["change"], row["seed"]) for row in rows}
    for seed in arguments.seeds:
        runs = {change: _run(base, change, seed, arguments) for change in (FIRST, SECOND)}
        for change, config in runs.items():
            if (change, seed) in done:
                continue
            logging.info(f"{change}, seed {seed}")
            settings, callbacks = {}, []
            if change == SECOND:
                settings = {"temperature": arguments.temperature}
                callbacks = [SoftTargets(load_bundle(runs[FIRST].run_dir)[0], arguments.temperature)]
            keys = {"change": change, "settings": settings, "seed": seed}
            row = train(config, keys, accuracy_scores, callbacks=callbacks)
            rows = put_row(out, header, row, keys=("change", "seed"))
    Console(width=120).print(recipe_table({**header, "rows": rows}), highlight=False)


def _run(base: TrainConfig, change: str, seed: int, arguments: argparse.Namespace) -> TrainConfig:
    name, model = f"{arguments.network}-{change}", NETWORKS[arguments.network]
    return replace(run_of(base, name, model, seed, arguments.runs, arguments.root), overwrite=True, seed=seed)


if __name__ == "__main__":
    run_main(main)
