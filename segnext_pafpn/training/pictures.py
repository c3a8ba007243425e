"""The pictures in a run's folder: curves, and a sheet of images, truths, predictions and errors."""

from pathlib import Path

from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.evaluation.figures import picture_sheet, plot_curves
from segnext_pafpn.evaluation.pictures import SheetRow
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.intensity import viewable


def draw_curves(folder: Path) -> None:
    """``curves.png`` from the run's ``metrics.csv``."""
    plot_curves(folder / "metrics.csv", folder / "curves.png")


def draw_sheet(folder: Path, data: SegmentationDataModule, split: str, device: str, count: int = 4) -> None:
    """``predictions.png``: ``count`` pictures spread evenly over ``split``, predicted by the run's ``model/``."""
    predictor = Predictor.from_checkpoint(folder, device=device)
    samples = data.samples(split)
    step = max(1, len(samples) // count)
    neighbours = data.card.image.neighbours
    rows = []
    for sample in samples[step // 2 :: step][:count]:
        image = data.reader.read_image(sample)
        truth = data.read_truth(sample)
        prediction = predictor.predict(image)
        picture = viewable(image, predictor.preprocessing.intensity, neighbours)
        rows.append(SheetRow(name=sample.name, image=picture, truth=truth, prediction=prediction))
    picture_sheet(rows, data.card.class_names, data.card.class_colors, folder / "predictions.png")
