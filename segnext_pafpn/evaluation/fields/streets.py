"""Street scenes: IoU of categories, of instances and of boundaries. One class a pixel."""

from collections.abc import Sequence

import numpy as np
import torch

from segnext_pafpn.evaluation.fields.base import FieldMetric, FieldReport, Picture
from segnext_pafpn.evaluation.metrics import ConfusionMatrix
from segnext_pafpn.evaluation.score_table import ScoreTable, percent, percent_text
from segnext_pafpn.evaluation.scores import mean_of_measured, scores_from_matrix
from segnext_pafpn.evaluation.streets import BoundaryIoU, InstanceIoU, merge_classes


class Categories(FieldMetric):
    """IoU of categories: confusing two classes of one is no error (arXiv 1604.01685, section 4.1).

    Args:
        categories: of each class, K names.
    """

    name = "categories"

    def __init__(self, categories: Sequence[str], ignore_index: int = 255):
        self.categories = tuple(categories)
        self._matrix = ConfusionMatrix(len(self.categories), ignore_index)

    def add(self, picture: Picture) -> None:
        self._matrix.update(*_batch(picture.prediction, picture.truth))

    def report(self) -> FieldReport:
        names, merged = merge_classes(self._matrix.compute(), self.categories)
        scores = scores_from_matrix(merged)
        values = {
            "mIoU": percent(scores.mIoU),
            "per_category": [
                {"name": name, "IoU": percent(iou), "truth_pixels": int(pixels)}
                for name, iou, pixels in zip(names, scores.iou, scores.truth_pixels, strict=True)
            ],
        }
        rows = [[name, percent_text(iou)] for name, iou in zip(names, scores.iou, strict=True)]
        rows.append(["mean", percent_text(scores.mIoU)])
        return FieldReport(
            values=values, tables=[ScoreTable(title="Categories", head=["category", "IoU, %"], rows=rows)]
        )


class Boundaries(FieldMetric):
    """IoU of the pixels near the boundaries of their class (arXiv 2103.16562)."""

    name = "boundaries"

    def __init__(self, class_names: Sequence[str], ignore_index: int = 255):
        self.class_names = tuple(class_names)
        self._metric = BoundaryIoU(len(self.class_names), ignore_index=ignore_index)

    def add(self, picture: Picture) -> None:
        self._metric.update(*_batch(picture.prediction, picture.truth))

    def report(self) -> FieldReport:
        iou = self._metric.compute().tolist()
        mean = mean_of_measured(iou)
        share = self._metric.dilation_ratio
        values = {
            "mean_boundary_IoU": percent(mean),
            "width_share_of_diagonal": share,
            "per_class": [
                {"name": name, "boundary_IoU": percent(value)}
                for name, value in zip(self.class_names, iou, strict=True)
            ],
        }
        rows = [[name, percent_text(value)] for name, value in zip(self.class_names, iou, strict=True)]
        rows.append(["mean", percent_text(mean)])
        note = f"Of pixels at most {100 * share:g} % of the picture's diagonal away from a boundary."
        table = ScoreTable(title="Boundaries", head=["class", "boundary IoU, %"], rows=rows, note=note)
        return FieldReport(values=values, tables=[table])


class Instances(FieldMetric):
    """Instance-level IoU of classes and, if there are such, of categories (arXiv 1604.01685, section 4.1).

    Args:
        class_names: K names.
        mean_sizes: mean pixels of an instance of each class, K numbers; None for classes without instances.
        categories: of each class, K names; or none.
    """

    name = "instances"
    wants_instances = True

    def __init__(
        self,
        class_names: Sequence[str],
        mean_sizes: Sequence[float | None],
        categories: Sequence[str] = (),
        ignore_index: int = 255,
    ):
        self.class_names = tuple(class_names)
        self._metrics = {"class": InstanceIoU(mean_sizes, ignore_index=ignore_index)}
        if categories:
            self._metrics["category"] = InstanceIoU(mean_sizes, categories, ignore_index)

    def add(self, picture: Picture) -> None:
        batch = _batch(picture.prediction, picture.truth, picture.instances)
        for metric in self._metrics.values():
            metric.update(*batch)

    def report(self) -> FieldReport:
        values: dict[str, object] = {}
        rows = []
        for kind, metric in self._metrics.items():
            names = self.class_names if kind == "class" else metric.names
            scores = metric.compute().tolist()
            mean = mean_of_measured(scores)
            measured = [(name, score) for name, score in zip(names, scores, strict=True) if not np.isnan(score)]
            values[f"mean_iIoU_{kind}"] = percent(mean)
            values[f"per_{kind}"] = [{"name": name, "iIoU": percent(score)} for name, score in measured]
            rows += [[name if kind == "class" else f"{kind} {name}", percent_text(score)] for name, score in measured]
            rows.append([f"mean of {kind}", percent_text(mean)])
        note = "Each true pixel weighs (mean size of its class's instances) / (size of its own)."
        table = ScoreTable(title="Instances", head=["", "iIoU, %"], rows=rows, note=note)
        return FieldReport(values=values, tables=[table])


def _batch(*maps: np.ndarray) -> tuple[torch.Tensor, ...]:
    """Maps (H, W) as batches of one."""
    return tuple(torch.from_numpy(np.ascontiguousarray(labels.astype(np.int64)))[None] for labels in maps)
