"""Sides that take turns in one process: their seconds round by round, and what is filed of them."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def take_turns(sides: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each side in each round, after one turn of each that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            wait(device)
            start = time.perf_counter()
            run()
            wait(device)
            if turn > 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round, so that a slow minute of the machine hits both parts of a ratio."""
    return [a / b for a, b in zip(above, below, strict=True)]


def spread(values: Sequence[float], key: str, digits: int) -> dict:
    """Median under ``key`` and the two quartiles under ``key_quartiles``."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else list(values) * 3
    return {key: round(median, digits), f"{key}_quartiles": [round(low, digits), round(high, digits)]}
