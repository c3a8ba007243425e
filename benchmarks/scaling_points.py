"""What one process of ``scaling.py`` measures. Heavy modules are imported inside, where their memory belongs."""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def facts(device: str | None) -> dict:
    """The device, where None is cuda if there is one, and the environment."""
    import torch
    from environment import describe_environment

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return {"device": device, "environment": describe_environment(device)}


def network_point(encoder: str, device: str, seconds: float, options: dict) -> dict:
    """Median milliseconds and peak of memory of one job (``train`` or ``evaluate``) on random images."""
    import torch

    from segnext_pafpn.model_config import ModelConfig
    from segnext_pafpn.models.factory import build_model

    start = resident_mib()
    torch.manual_seed(0)
    side, batch, classes = options["side"], options["batch"], options["classes"]
    network = build_model(ModelConfig(encoder_name=encoder), classes)
    network.to(device, memory_format=torch.channels_last)
    image = torch.randn(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    target = torch.randint(0, classes, (batch, side, side), device=device)
    run = (_train if options["job"] == "train" else _evaluate)(network, image, target, classes)
    times = _timed(run, device, seconds)
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
        start = 0
    else:
        peak = peak_mib()
    return {
        "ms": round(1000 * statistics.median(times), 2),
        "rounds": len(times),
        "peak_mib": round(peak),
        "start_mib": round(start),
        "threads": torch.get_num_threads(),
    }


def _train(network, image, target, classes: int) -> Callable[[], object]:
    from segnext_pafpn.training.config import OptimConfig
    from segnext_pafpn.training.loss_config import LossConfig
    from segnext_pafpn.training.losses import SegmentationLoss
    from segnext_pafpn.training.optim import build_optimizer

    network.train()
    loss = SegmentationLoss(LossConfig(), classes).to(image.device)
    optimizer, _ = build_optimizer(network, OptimConfig(), total_steps=1000, fused=True)

    def step() -> None:
        loss(network(image), target).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _evaluate(network, image, target, classes: int) -> Callable[[], object]:
    import torch

    from segnext_pafpn.evaluation.metrics import ConfusionMatrix

    network.eval()
    matrix = ConfusionMatrix(classes).to(image.device)

    @torch.inference_mode()
    def step() -> None:
        matrix.update(network(image).argmax(dim=1), target)

    return step


def _timed(run: Callable[[], object], device: str, seconds: float) -> list[float]:
    """Seconds of each call, after one that chooses algorithms: three calls at least, then until the time is over."""
    import torch

    times: list[float] = []
    for turn in range(1_000_000):
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn:
            times.append(time.perf_counter() - start)
        if len(times) >= 3 and sum(times) >= seconds:
            break
    return times


def data_point(pictures: int) -> dict:
    """Seconds to list, to check and to make ready so many pairs of picture and mask; files are links to sixteen."""
    import yaml

    from segnext_pafpn.data.card import load_card
    from segnext_pafpn.data.check import check_split
    from segnext_pafpn.data.config import DataConfig
    from segnext_pafpn.data.datamodule import SegmentationDataModule
    from segnext_pafpn.data.readers import build_reader

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        classes = _write_pairs(root, pictures)
        layout = {"reader": "folder", "images": "images/{split}", "masks": "masks/{split}"}
        (root / "card.yaml").write_text(
            yaml.safe_dump({"name": "many", "root": ".", "classes": classes, "layout": layout})
        )
        start_mib = resident_mib()
        marks = [time.perf_counter()]
        card = load_card(str(root / "card.yaml"))
        reader = build_reader(card)
        found = len(reader.list_samples("train").samples)
        marks.append(time.perf_counter())
        report = check_split(card, reader, "train")
        if report.problems or found != pictures:
            raise RuntimeError(f"{found} pairs of {pictures} listed, {report.problems[:1]}")
        marks.append(time.perf_counter())
        data = SegmentationDataModule(DataConfig(card=str(root / "card.yaml"), crop_size=(64, 96), num_workers=0))
        next(iter(data.train_dataloader()))
        marks.append(time.perf_counter())
    names = ("list_seconds", "check_seconds", "first_batch_seconds")
    seconds = {name: round(b - a, 3) for name, a, b in zip(names, marks, marks[1:], strict=False)}
    return {**seconds, "peak_mib": round(peak_mib()), "start_mib": round(start_mib)}


def _write_pairs(root: Path, pictures: int) -> list[dict]:
    """Images and masks of street scenes as PNG; returns the rows of a card for them."""
    from PIL import Image

    from segnext_pafpn.data.card import load_card
    from segnext_pafpn.data.synthetic import street_scene

    for part in ("images/train", "masks/train"):
        (root / part).mkdir(parents=True)
    for i in range(pictures):
        for part, k in (("images", 0), ("masks", 1)):
            path = root / part / "train" / f"{i:06}.png"
            if i < 16:
                Image.fromarray(street_scene(i, (64, 96))[k]).save(path)
            else:
                os.link(root / part / "train" / f"{i % 16:06}.png", path)
    return [{"name": row.name, "color": list(row.color)} for row in load_card("streets").classes]


def resident_mib() -> float:
    """What this process holds now."""
    return _status("VmRSS") or peak_mib()


def peak_mib() -> float:
    """The most that this process ever held.

    Linux's own mark comes first: what ``getrusage`` says begins with what the process held before it became this
    program.
    """
    if (mark := _status("VmHWM")) is not None:
        return mark
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _status(key: str) -> float | None:
    path = Path("/proc/self/status")
    for line in path.read_text().splitlines() if path.is_file() else ():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 2**10
    return None
