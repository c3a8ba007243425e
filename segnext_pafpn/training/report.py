"""The report of a run: its scores image by image, and a page with everything that one wants to see of it."""

import csv
import importlib.metadata
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import yaml
from torch.utils.data import Dataset

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.data.transforms import eval_transform
from segnext_pafpn.evaluation.per_image import ImageMatrices, image_rows, save_images
from segnext_pafpn.evaluation.pictures import SheetRow
from segnext_pafpn.evaluation.regions import region_report
from segnext_pafpn.evaluation.report import write_confusion, write_scores
from segnext_pafpn.evaluation.run_page import RunReport, write_run_page
from segnext_pafpn.evaluation.score_table import ScoreTable
from segnext_pafpn.files import write_atomic
from segnext_pafpn.intensity import viewable
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.fields import METRICS, single_metrics
from segnext_pafpn.training.folder import is_runs_own
from segnext_pafpn.training.module import SegmentationModule

_PACKAGES = ("segnext-pafpn", "torch", "lightning", "segmentation-models-pytorch", "timm", "albumentations", "numpy")
_CASES = 4  # pictures from each end


def image_scores(module: SegmentationModule, data: SegmentationDataModule, split: str) -> ImageMatrices:
    """What the last evaluation counted in each image, over all processes, in the split's order.

    The images go by their names in the data set, which do not depend on the folder it lies in.
    """
    assert module.images is not None, "no evaluation has run with keep_images"
    labels, matrices = module.images
    place = {label: i for i, label in enumerate(labels)}
    scored = [sample for sample in data.samples(split) if sample.label in place]
    order = [place[sample.label] for sample in scored]
    names = tuple(sample.name for sample in scored)
    cases = tuple(sample.case or sample.name for sample in scored)
    return ImageMatrices(names, matrices[order].numpy(), data.card.class_names, split, cases)


def what_was_scored(
    module: SegmentationModule, data: SegmentationDataModule, images: ImageMatrices, trainer: TrainerConfig
) -> dict[str, object]:
    """For the JSON: which pictures the scores are of, whether they are all of the split, and how they were seen."""
    return {
        "split": images.split,
        "card": data.config.card,
        "root": data.config.root,
        "layout": data.config.layout,
        "images": len(images.names),
        "images_in_split": len(data.samples(images.split)),
        "limit_val_batches": trainer.limit_val_batches,
        "tta": module.tta,
    }


def write_evaluation(
    module: SegmentationModule,
    data: SegmentationDataModule,
    images: ImageMatrices,
    folder: Path,
    stem: str,
    extra: Mapping[str, object],
) -> list[ScoreTable]:
    """Scores, confusions and images of the last evaluation as ``<stem>...`` files; tables of regions, where there are.

    Args:
        extra: what the JSON has besides the scores.
    """
    names = data.card.class_names
    regions = region_report(module.matrix.cpu().numpy(), data.card.region_ids, names)
    write_scores(module.scores(), names, folder, stem, {**extra, **regions.values})
    write_confusion(module.matrix, names, folder, stem)
    write_images(images, folder, stem)
    return list(regions.tables)


def write_images(images: ImageMatrices, folder: Path, stem: str) -> None:
    """``<stem>_images.npz`` for comparing runs, and ``<stem>_images.csv``, worst image first, for looking at them."""
    save_images(images, folder / f"{stem}_images.npz")
    with (
        write_atomic(folder / f"{stem}_images.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "mIoU", "aAcc", "worst_class"))
        writer.writerows(image_rows(images))


def write_report(
    module: SegmentationModule,
    data: SegmentationDataModule,
    images: ImageMatrices,
    folder: Path,
    stem: str,
    device: torch.device,
    tables: Sequence[ScoreTable] = (),
    metrics: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """``<stem>.html``, with ``tables`` after the classes.

    Costs up to eight more predictions, by the network that was scored and at the same size.

    Args:
        metrics: names of the metrics of a field that were asked for.
        preprocessing: of the run's ``model/``, whose thresholds are named; None: it has none.
        notes: what else a reader must know of the scores.
    """
    module.eval().to(device)  # Lightning has left it in the state it was in before the evaluation, on the CPU
    cases = images.by_case()
    order = cases.worst_first().tolist()
    worst = order[:_CASES]
    best = [i for i in order[::-1][:_CASES] if i not in worst]
    samples = {sample.name: sample for sample in data.samples(images.split)}
    shown = [cases.names[i] for i in (*worst, *best)]
    chosen = [samples[images.names[images.shown_of(case)]] for case in shown]
    dataset = data.dataset(chosen, eval_transform(data.config.image_size))
    neighbours = data.card.image.neighbours
    rows = [_predicted(module, dataset, index, sample.name, neighbours) for index, sample in enumerate(chosen)]
    curves, config = folder / "curves.png", folder / "config.yaml"
    path = folder / f"{stem}.html"
    tuned = preprocessing is not None and preprocessing.thresholds is not None
    write_run_page(
        RunReport(
            title=f"{folder.name} on {data.card.title or data.card.name}",
            images=images,
            class_colors=data.card.class_colors,
            worst=rows[: len(worst)],
            best=rows[len(worst) :],
            curves=curves if curves.is_file() else None,
            config=config.read_text(encoding="utf-8") if config.is_file() else "not in the folder\n",
            environment=describe_environment(module.device),
            commands=_commands(folder, images.split, data.config, metrics, tuned, module.tta),
            csv=f"{stem}_images.csv",
            sections=[table.for_page() for table in tables],
            notes=[*notes, *_notes(folder, stem, metrics, preprocessing, module.tta)],
        ),
        path,
    )
    return path


@torch.inference_mode()
def _predicted(module: SegmentationModule, dataset: Dataset, index: int, name: str, neighbours: int) -> SheetRow:
    item = dataset[0, index]
    prediction = module.decision.classes(module(item["image"][None].to(module.device)))[0]
    image = viewable(item["image"].permute(1, 2, 0).numpy(), neighbours=neighbours)
    return SheetRow(name, image, item["mask"].numpy(), prediction.to(torch.uint8).cpu().numpy())


def describe_environment(device: torch.device) -> dict[str, str]:
    """Device, system and versions."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "device": f"{device} {gpu}".strip(),
        "threads": str(torch.get_num_threads()),
        "system": platform.platform(),
        "Python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
        return "not installed"


def _notes(folder: Path, stem: str, metrics: Sequence[str], preprocessing: Preprocessing | None, tta: str) -> list[str]:
    """What a reader must know of these scores: how they came about, and which others lie beside the page."""
    notes = [] if tta == "none" else [f"With test-time augmentation: {tta}."]
    if preprocessing is not None and preprocessing.thresholds is not None:
        names = preprocessing.class_names if preprocessing.multi_label else preprocessing.class_names[1:]
        found = ", ".join(f"{n} {t:g}" for n, t in zip(names, preprocessing.thresholds, strict=True))
        notes.append(f"Threshold of the probability: {found}; tuned on {preprocessing.thresholds_from}.")
    shown = single_metrics(metrics)
    others = [name for name in METRICS if name not in shown and (folder / f"{stem}_{name}.json").is_file()]
    if others:
        files = ", ".join(f"{stem}_{name}.json" for name in others)
        again = f"val --metrics {' '.join(others)}{_tta_option(tta)}"
        notes.append(f"Of an earlier val, not on this page: {files}. {again} scores anew.")
    return notes


def _tta_option(tta: str) -> str:
    return "" if tta == "none" else f" --tta {tta}"


def _commands(folder: Path, split: str, data: DataConfig, metrics: Sequence[str], tuned: bool, tta: str) -> list[str]:
    run = shlex.quote(str(folder))
    tune = " --tune-threshold" if tuned else ""
    val_split, scored = data.val_split, run
    if not is_runs_own(folder, data):
        layout = yaml.safe_dump(data.layout, default_flow_style=True, width=10000).strip()
        scored += f" --data.card {shlex.quote(data.card)} --data.layout {shlex.quote(layout)}"
    first = tuned and (split != val_split or tta != "none")  # thresholds are found for the network as it is
    before = [f"segnext-pafpn val --checkpoint {scored} --split {val_split}{tune}"] if first else []
    seen = _tta_option(tta)
    options = (f" --metrics {' '.join(metrics)}" if metrics else "") + (seen or (tune if split == val_split else ""))
    again = shlex.quote(f"{folder.name}-again")
    return [
        f"segnext-pafpn train --config {shlex.quote(str(folder / 'config.yaml'))} --name {again}",
        *before,
        f"segnext-pafpn val --checkpoint {scored} --split {split} --report{options}",
        f"segnext-pafpn predict --checkpoint {run} -i IMAGES -o MASKS{seen}",
    ]
