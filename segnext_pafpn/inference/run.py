"""Predict image files: what the command line's ``predict`` does."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np

from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.config import PredictConfig
from segnext_pafpn.inference.forward import SizeError
from segnext_pafpn.inference.inputs import find_inputs, folders_left_out, read_input, refuse_missing
from segnext_pafpn.inference.outputs import Job, Outputs, outputs_of, outputs_of_volume, refuse_outputs, write_outputs
from segnext_pafpn.inference.predictor import Answer, Predictor
from segnext_pafpn.inference.read_ahead import read_ahead
from segnext_pafpn.inference.volumes import find_volumes, predict_volume, save_labels
from segnext_pafpn.inference.writer import (
    save_probabilities,
    with_ids,
)
from segnext_pafpn.intensity import viewable
from segnext_pafpn.models.bundle import load_preprocessing
from segnext_pafpn.models.ensemble import ensemble_preprocessing
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.slicing import Slicing
from segnext_pafpn.track import Track, untracked


@dataclass
class PredictReport:
    """What came of it.

    Args:
        written: the masks of class ids, one per image that could be predicted, or one per image and class.
        images: how many those were.
        failed: the images that could not, a line each.
        left_out: folders with images in the folder of the images, which are not looked into.
        shallow: those of 8 bits, where the model was trained on larger values.
        turned: volumes whose axes run another way than those of training, and that were turned for the model.
        silent: volumes that do not say how their axes run, where those of training did.
        orientation: where the axes of training ran to, such as ``RAS``.
        seconds: reading, predicting and writing, without loading the model.
        model_seconds: the part of it spent predicting, from decoded image to mask.
    """

    written: list[Path] = field(default_factory=list)
    images: int = 0
    failed: list[str] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)
    shallow: list[str] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    orientation: str = ""
    seconds: float = 0.0
    model_seconds: float = 0.0


def predict_files(config: PredictConfig, track: Track = untracked) -> PredictReport:
    """Write a mask in an image's own size for each image of ``config.input``.

    An image that cannot be read, or is of a size that the network does not take, is reported and the others go on.

    Args:
        track: shows how far it has come.

    Raises:
        UserError: for anything that stands in the way of all of them, before anything is written; and if
            a file cannot be written.
    """
    refuse_missing(config.input)
    runs = config.checkpoint
    preprocessing = load_preprocessing(runs) if isinstance(runs, str) else ensemble_preprocessing(runs)
    class_ids = _class_ids(config, preprocessing) if config.ids else None
    if preprocessing.slicing is not None:
        return _predict_volumes(config, preprocessing.slicing, class_ids, track)
    predictor = _load(config)
    inputs = find_inputs(config.input, preprocessing, config.keep_folders)
    classes = preprocessing.class_names if preprocessing.multi_label else None
    jobs = [(files, outputs_of(name, config, classes)) for name, files in inputs.items()]
    refuse_outputs(jobs, config)
    waiting = max(config.num_workers, config.batch_size)  # images, before the network and behind it
    report = PredictReport(left_out=folders_left_out(config.input, config.output))
    begin = perf_counter()
    with ThreadPoolExecutor(config.num_workers) as readers, ThreadPoolExecutor(config.num_workers) as writers:
        images = read_ahead(jobs, lambda job: read_input(job[0], preprocessing), readers, waiting)
        writing: deque[Future] = deque()
        images = track(images, len(jobs), "predict")
        is_deep = preprocessing.intensity is not None and preprocessing.intensity.is_deep
        for batch in _batches(images, config, report, is_deep):
            model_begin = perf_counter()
            answers = _answers(predictor, batch, config, report)
            report.model_seconds += perf_counter() - model_begin
            while len(writing) > waiting:
                writing.popleft().result()
            for outputs, image, answer in answers:
                picture = viewable(image, preprocessing.intensity) if config.overlay else image
                colors = predictor.class_colors
                writing.append(writers.submit(write_outputs, picture, answer, colors, class_ids, outputs))
                report.written += outputs.masks
                report.images += 1
        for future in writing:
            future.result()
    report.seconds = perf_counter() - begin
    return report


def _class_ids(config: PredictConfig, preprocessing: Preprocessing) -> tuple[int, ...]:
    if preprocessing.multi_label:
        raise UserError("ids: is for one mask per image, and the model writes one for each class. Leave it out.")
    if preprocessing.class_ids is None:
        raise UserError(
            f"ids: {config.checkpoint}: no class_ids in preprocessing.json, or others in each run: the card of the "
            f"training gives a class no ids, or an earlier version has written it. Leave ids out, or add them there, "
            f"one per class."
        )
    ids = preprocessing.class_ids
    return ids if len(ids) > 1 else (0, *ids)  # one class beside nothing, which is 0


def _load(config: PredictConfig) -> Predictor:
    return Predictor.from_checkpoint(
        config.checkpoint,
        config.device,
        max_pixels=config.max_pixels,
        window=config.window,
        overlap=config.overlap,
        precision=config.precision,
        compile=config.compile,
        batch_size=config.batch_size,
        tta=config.tta,
    )


def _batches(
    images: Iterable[tuple[Job, np.ndarray | UserError]], config: PredictConfig, report: PredictReport, is_deep: bool
) -> Iterator[list[tuple[Job, np.ndarray]]]:
    """The images that could be read, as many at a time as go through the network at once; the others are reported.

    Args:
        is_deep: whether the model was trained on more than 8 bits.
    """
    batch: list[tuple[Job, np.ndarray]] = []
    for (files, outputs), image in images:
        if isinstance(image, UserError):
            report.failed.append(str(image))
            continue
        if is_deep and image.dtype == np.uint8:
            report.shallow.append(str(files[0]))
        batch.append(((files, outputs), image))
        if len(batch) == config.batch_size or image.shape[0] * image.shape[1] > config.max_pixels:
            yield batch
            batch = []
    if batch:
        yield batch


def _answers(
    predictor: Predictor, batch: list[tuple[Job, np.ndarray]], config: PredictConfig, report: PredictReport
) -> list[tuple[Outputs, np.ndarray, Answer]]:
    """The images that the network takes, and what it says of them; the others are reported."""
    try:
        answers = predictor.answers([image for _, image in batch], config.save_probabilities)
    except SizeError as error:
        if len(batch) > 1:
            return [row for item in batch for row in _answers(predictor, [item], config, report)]
        (((files, _), _),) = batch
        report.failed.append(f"{files[0]}: {error}")
        return []
    return [(outputs, image, answer) for ((_, outputs), image), answer in zip(batch, answers, strict=True)]


def _predict_volumes(
    config: PredictConfig, slicing: Slicing, class_ids: tuple[int, ...] | None, track: Track
) -> PredictReport:
    """The same for volumes, which are read and written one after the other."""
    if config.color or config.overlay:
        raise UserError("color and overlay are for pictures, and the model was trained on volumes. Leave them out.")
    if not isinstance(config.input, str):
        raise UserError(f"input: {config.input}: expected one volume or folder; channels are found by their names.")
    predictor = _load(config)
    jobs = [
        (volume, outputs_of_volume(volume.output_name, config, volume.name))
        for volume in find_volumes(config.input, slicing)
    ]
    refuse_outputs([(volume.files, outputs) for volume, outputs in jobs], config)
    report = PredictReport(orientation=slicing.orientation)
    begin = perf_counter()
    for volume, outputs in track(jobs, len(jobs), "predict"):
        try:
            answer = predict_volume(predictor, volume, config.save_probabilities)
        except SizeError as error:
            report.failed.append(f"{volume.files[0]}: {error}")
            continue
        except UserError as error:
            report.failed.append(str(error))
            continue
        report.model_seconds += answer.seconds
        if slicing.orientation and answer.orientation != slicing.orientation:
            (report.turned if answer.orientation else report.silent).append(str(volume.files[0]))
        labels = answer.labels if class_ids is None else with_ids(answer.labels, class_ids)
        save_labels(labels, outputs.masks[0], like=volume.files[0])
        if answer.probabilities is not None:
            save_probabilities(answer.probabilities, outputs.probabilities)
        report.written += outputs.masks
        report.images += 1
    report.seconds = perf_counter() - begin
    return report
