"""Self-distillation: does a network learn more from the soft answers of one like it, trained before?

    python benchmarks/distill.py --root PATH/TO/CamVid --seeds 0 1

Of each seed two runs of one recipe: the first as it ships, the second with the divergence from the first one's
probabilities (Hinton, Vinyals and Dean, arXiv 1503.02531; Furlanello et al., Born Again Networks, arXiv 1805.04770)
besides the labels. The validation split is scored after the last epoch, the test split never read. What is in the
result file already is not trained again.
"""

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from recipe_rows import Change, recipe_parser, run_of_change, train_changes
from result_files import run_main
from torch import nn

from segnext_pafpn.data.dataset import Batch
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.training.config import TrainConfig
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
    parser = recipe_parser(__doc__, "distill", network="PAFPNeXt elanext_nano", precision="32-true")
    parser.add_argument("--temperature", type=float, default=2.0)
    arguments = parser.parse_args()

    def make(base: TrainConfig, change: str, seed: int) -> Change:
        config = run_of_change(arguments, base, change, seed)
        if change == FIRST:
            return config, {}, []
        teacher = load_bundle(run_of_change(arguments, base, FIRST, seed).run_dir)[0]
        return config, {"temperature": arguments.temperature}, [SoftTargets(teacher, arguments.temperature)]

    train_changes(arguments, (FIRST, SECOND), make)


if __name__ == "__main__":
    run_main(main)
