"""Scores of street scenes beyond the IoU of classes: of categories, of instances, and of boundaries.

K classes, B pictures of H x W pixels. Scores are fractions, 0..1, NaN where there is nothing to measure.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torchmetrics import Metric

from segnext_pafpn.evaluation.scores import grouped

# Pixels of an average instance of Cityscapes' training split, as its evaluation script states them.
CITYSCAPES_INSTANCE_SIZES: Mapping[str, float] = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}


def merge_classes(matrix: torch.Tensor | np.ndarray, categories: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the C categories, and the confusion matrix (C, C) of pixels between them.

    ``scores_from_matrix`` of it gives the IoU of categories: confusing two classes of one category is no error.

    Args:
        matrix: of the classes, (K, K), rows truth, columns prediction.
        categories: the category of each class, K names; a category's place follows from its first class.

    Raises:
        ValueError: if there is not one category per class.
    """
    counts = matrix.detach().cpu().numpy() if isinstance(matrix, torch.Tensor) else np.asarray(matrix)
    if counts.shape != (len(categories), len(categories)):
        raise ValueError(f"{len(categories)} categories for a matrix {counts.shape}: give one category per class.")
    names = tuple(dict.fromkeys(categories))
    place = [names.index(category) for category in categories]
    return names, grouped(counts, place, len(names))


class InstanceIoU(Metric):
    """Cityscapes' instance-level IoU of a semantic prediction: iTP / (iTP + FP + iFN) (arXiv 1604.01685, section 4.1).

    Each true pixel weighs (mean instance size of its class) / (size of its instance), so that small instances
    count as much as large ones; false positives belong to no instance and weigh 1. ``names`` says what is scored.

    Args:
        mean_sizes: mean pixels of an instance of each class, K numbers; None for classes without instances.
        categories: the category of each class, K names, to score categories in place of classes. A category is
            scored if all its classes have instances.
        ignore_index: label in the target of pixels that are not counted.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    weighted: torch.Tensor
    false_positives: torch.Tensor

    def __init__(
        self, mean_sizes: Sequence[float | None], categories: Sequence[str] | None = None, ignore_index: int = 255
    ):
        super().__init__()
        groups = [str(k) for k in range(len(mean_sizes))] if categories is None else list(categories)
        if len(groups) != len(mean_sizes):
            raise ValueError(f"{len(groups)} categories for {len(mean_sizes)} classes: give one category per class.")
        self.names = tuple(dict.fromkeys(groups))
        self.num_classes = len(mean_sizes)
        self.ignore_index = ignore_index
        self._mean_sizes = np.array([np.nan if size is None else size for size in mean_sizes], dtype=np.float64)
        self._group = np.array([self.names.index(group) for group in groups])
        self._measured = np.ones(len(self.names), dtype=bool)
        self._measured[self._group[np.isnan(self._mean_sizes)]] = False
        # weighted pixels that are right and that are missed, in double: the benchmark's own precision
        self.add_state("weighted", torch.zeros(2, len(self.names), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("false_positives", torch.zeros(len(self.names), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: torch.Tensor, target: torch.Tensor, instances: torch.Tensor) -> None:
        """Add a batch; it is read back from the device.

        Args:
            prediction: class of each pixel, (B, H, W), any integer type, 0..K-1.
            target: true class of each pixel or ``ignore_index``, (B, H, W), any integer type.
            instances: number of the instance that each pixel is of, (B, H, W), any integer type; 0 for none. All
                pixels of an instance are of one class. From Cityscapes' ``instanceIds``: 0 where they are below 1000.

        Raises:
            ValueError: if the shapes differ.
        """
        if not prediction.shape == target.shape == instances.shape:
            raise ValueError(
                f"prediction is {tuple(prediction.shape)}, target {tuple(target.shape)}, instances "
                f"{tuple(instances.shape)}: expected all three as (B, H, W)."
            )
        weighted = self.weighted.cpu().numpy().copy()
        false_positives = self.false_positives.cpu().numpy().copy()
        for maps in zip(prediction.cpu().numpy(), target.cpu().numpy(), instances.cpu().numpy(), strict=True):
            counted = maps[1] != self.ignore_index
            predicted, true, instance = (labels[counted].astype(np.int64) for labels in maps)
            predicted, truth = self._group[predicted], self._group[true]
            wrong = np.bincount(predicted[predicted != truth], minlength=len(self.names))
            false_positives += wrong
            self._add_instances(weighted, predicted == truth, true, instance)
        self.weighted = torch.from_numpy(weighted).to(self.weighted.device)
        self.false_positives = torch.from_numpy(false_positives).to(self.false_positives.device)

    def _add_instances(self, weighted: np.ndarray, right: np.ndarray, true: np.ndarray, instance: np.ndarray) -> None:
        """Add the instances of one picture, given as (N,) pixels, one after the other in the order of their numbers."""
        inside = (instance != 0) & ~np.isnan(self._mean_sizes[true])
        _, first, place = np.unique(instance[inside], return_index=True, return_inverse=True)
        sizes = np.bincount(place, minlength=len(first))
        hits = np.bincount(place[right[inside]], minlength=len(first))
        classes = true[inside][first]
        weight = self._mean_sizes[classes] / sizes
        np.add.at(weighted[0], self._group[classes], hits * weight)
        np.add.at(weighted[1], self._group[classes], (sizes - hits) * weight)

    def compute(self) -> torch.Tensor:
        """The scores of ``names``, (C,) float64; NaN for what has no instances or was not met."""
        right, missed = self.weighted
        whole = right + missed + self.false_positives
        measured = torch.from_numpy(self._measured).to(whole.device) & (whole > 0)
        return torch.where(measured, right / whole, torch.nan)


class BoundaryIoU(Metric):
    """IoU of the pixels near the boundaries of their class (arXiv 2103.16562), summed over the data set.

    A pixel is near where another class, or the picture's rim, is at most d pixels away in the chessboard metric:
    what erosion by d steps of a 3x3 square takes off, as in the paper's own code. d is ``dilation_ratio`` of the
    picture's diagonal, at least 1. Where the target is ignored the prediction is made to be ignored too, so that the
    rim of an ignored region bounds both.

    Args:
        num_classes: K.
        dilation_ratio: d as a share of the diagonal; the paper's is 0.02.
        ignore_index: label in the target of pixels that are not counted.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    intersection: torch.Tensor
    union: torch.Tensor

    def __init__(self, num_classes: int, dilation_ratio: float = 0.02, ignore_index: int = 255):
        super().__init__()
        self.num_classes = num_classes
        self.dilation_ratio = dilation_ratio
        self.ignore_index = ignore_index
        for name in ("intersection", "union"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Add a batch of class maps, both (B, H, W), any integer type, values 0..255; it is read back from the device.

        Raises:
            ValueError: if the shapes differ.
        """
        if prediction.shape != target.shape:
            raise ValueError(
                f"prediction is {tuple(prediction.shape)}, target {tuple(target.shape)}: expected (B, H, W)."
            )
        counts = np.zeros((2, self.num_classes), dtype=np.int64)
        for predicted, true in zip(prediction.cpu().numpy(), target.cpu().numpy(), strict=True):
            counts += self._count(np.where(true == self.ignore_index, true, predicted), true)
        self.intersection = self.intersection + torch.from_numpy(counts[0]).to(self.intersection.device)
        self.union = self.union + torch.from_numpy(counts[1]).to(self.union.device)

    def _count(self, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
        """Pixels (2, K) of one picture: near in both and of one class; near in one or both."""
        width = max(1, round(self.dilation_ratio * float(np.hypot(*true.shape))))
        near_true, near_predicted = boundary_band(true, width), boundary_band(predicted, width)
        both = self._histogram(true[near_true & near_predicted & (true == predicted)])
        each = self._histogram(true[near_true]) + self._histogram(predicted[near_predicted])
        return np.stack([both, each - both])

    def _histogram(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels[labels != self.ignore_index], minlength=self.num_classes)[: self.num_classes]

    def compute(self) -> torch.Tensor:
        """Boundary IoU of each class, (K,) float64; NaN for classes in neither truth nor prediction."""
        return torch.where(self.union > 0, self.intersection.double() / self.union, torch.nan)


def boundary_band(labels: np.ndarray, width: int) -> np.ndarray:
    """Pixels with another label, or the outside, at most ``width`` chessboard steps away: (H, W) bool.

    One distance transform serves all labels: the way from a pixel to the nearest other label leaves its own label
    through a pixel that touches another one, and that pixel is one step nearer.

    Args:
        labels: (H, W), any integer type, values 0..255.
        width: in pixels, at least 1.
    """
    labels = labels.astype(np.uint8)
    square = np.ones((3, 3), dtype=np.uint8)
    inner = (cv2.dilate(labels, square) == cv2.erode(labels, square)).astype(np.uint8)
    inner[[0, -1]] = 0
    inner[:, [0, -1]] = 0
    return cv2.distanceTransform(inner, cv2.DIST_C, 3) < width
