"""One network trained by one recipe, and the row that a result file gets for it."""

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from environment import describe_environment
from lightning.pytorch.callbacks import Callback
from result_files import given_command

from segnext_pafpn.data.card import load_card
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.training.callbacks import NonFiniteLossError
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.evaluate import Result
from segnext_pafpn.training.resume import find_resume_point
from segnext_pafpn.training.run import fit


def run_of(
    base: TrainConfig, network: str, model: ModelConfig, part: int | str, runs: str | Path, root: str
) -> TrainConfig:
    """The recipe with one network on the data in ``root``.

    Args:
        part: what tells this run from others of the same network, a seed or a fold; ends the name of its folder.
        runs: folder that the run's folder lies in.
    """
    return replace(
        base,
        name=f"{base.name}-{re.sub(r'[^a-zA-Z0-9_]+', '-', network)}-{part}",
        output_dir=str(runs),
        model=model,
        data=replace(base.data, root=root),
    )


def train(
    config: TrainConfig,
    keys: dict,
    score: Callable[[Result | None], dict],
    resume: bool = False,
    command: str | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict:
    """Train; the row with the scores, or the one that says at which step the loss was not finite any more.

    Args:
        keys: what the row begins with: the names that tell it from others.
        score: the scores to file; it gets None where the loss was not finite.
        resume: go on from the run's last checkpoint.
        command: what was given to get this row, where it is not the command of this process.
        callbacks: of Lightning, besides the run's own.
    """
    load = os.getloadavg()[0]
    # of the code that is running, not of what is edited meanwhile
    environment = describe_environment("cpu" if config.trainer.accelerator == "cpu" else "auto")
    start = time.perf_counter()
    try:
        result, stopped = fit(config, find_resume_point(config) if resume else None, callbacks=callbacks), None
    except NonFiniteLossError as error:
        logging.info(str(error))
        result, stopped, steps = None, f"non-finite loss at step {error.step}", error.step
    seconds = time.perf_counter() - start
    if result is not None:
        last = config.run_dir / "checkpoints" / "last.ckpt"
        steps = torch.load(last, map_location="cpu", weights_only=True)["global_step"]
    return {
        **keys,
        "million_parameters": _million_parameters(config),
        **score(result),
        "stopped": stopped,
        "steps": steps,
        "seconds": round(seconds),
        "load_at_start": round(load, 2),
        "model": asdict(config.model),
        "command": command or given_command(),
        "environment": environment,
    }


def accuracy_scores(result: Result | None) -> dict:
    """mIoU, pixel accuracy and each class's IoU in percent; None for all three where there is no result."""
    if result is None:
        return {"mIoU": None, "aAcc": None, "IoU": None}
    scores = result.scores
    return {
        "mIoU": percent(scores.mIoU),
        "aAcc": percent(scores.aAcc),
        "IoU": by_class(result, scores.iou),
    }


def by_class(result: Result, fractions: Iterable[float]) -> dict[str, float | None]:
    """K fractions in percent, by the names of the classes."""
    return {name: percent(value) for name, value in zip(result.class_names, fractions, strict=True)}


def percent(fraction: float) -> float | None:
    """To two decimals; None in place of NaN, the score of a class that is not there."""
    return None if math.isnan(fraction) else round(100 * float(fraction), 2)


def _million_parameters(config: TrainConfig) -> float:
    card = load_card(config.data.card)
    network = build_model(config.model, len(card.classes), card.image.channels)
    return round(sum(p.numel() for p in network.parameters()) / 1e6, 2)
