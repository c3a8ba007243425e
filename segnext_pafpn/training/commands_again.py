"""The commands that make a run and the page of its scores again."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.training.folder import is_runs_own


def commands_again(
    folder: Path, config: DataConfig, split: str, *, tta: str, metrics: Sequence[str], is_tuned: bool
) -> list[str]:
    """To train the run, to score it as it was scored, and to predict with it, in this order.

    Args:
        folder: of the run.
        config: what it was scored on.
        split: that was scored.
        tta: name of the test-time augmentation.
        metrics: names of the metrics of a field.
        is_tuned: whether thresholds were tuned, which is done anew on the split that the run validates on.
    """
    run = shlex.quote(str(folder))
    scored = f"segnext-pafpn val --checkpoint {run}{'' if is_runs_own(folder, config) else _data_options(config)}"
    tunes = is_tuned and split == config.val_split and tta == "none"  # thresholds are found for the network as it is
    options = f" --metrics {' '.join(metrics)}" if metrics else ""
    options += tta_option(tta) + (" --tune-threshold" if tunes else "")
    again = shlex.quote(f"{folder.name}-again")
    return [
        f"segnext-pafpn train --config {shlex.quote(str(folder / 'config.yaml'))} --name {again}",
        *([f"{scored} --split {config.val_split} --tune-threshold"] if is_tuned and not tunes else []),
        f"{scored} --split {split} --report{options}",
        f"segnext-pafpn predict --checkpoint {run} -i IMAGES -o MASKS{tta_option(tta)}",
    ]


def _data_options(config: DataConfig) -> str:
    layout = yaml.safe_dump(config.layout, default_flow_style=True, width=10000).strip()
    root = f" --data.root {shlex.quote(config.root)}" if config.root else ""
    return f" --data.card {shlex.quote(config.card)} --data.layout {shlex.quote(layout)}{root}"


def tta_option(tta: str) -> str:
    """With a space in front, or nothing."""
    return "" if tta == "none" else f" --tta {tta}"
