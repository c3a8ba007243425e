"""One confusion matrix over the whole data set; every score is read from it.

K classes, B pictures of H x W pixels. Scores are fractions, 0..1; the report turns them into percent.
"""

import torch
from torchmetrics import Metric


class _PixelCounts(Metric):
    """Counts that add up over batches, in one tensor of any shape."""

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    matrix: torch.Tensor

    def __init__(self, num_classes: int, ignore_index: int, shape: tuple[int, ...]):
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.add_state("matrix", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def compute(self) -> torch.Tensor:
        """Return the matrix so far, int64: (K, K), or (K, 2, 2) of layers."""
        return self.matrix


class ConfusionMatrix(_PixelCounts):
    """Counts pixels by true and predicted class; rows are the truth, columns the prediction.

    Processes and loaders merge by summing, so the scores are those of the data set, not means over batches.

    Args:
        num_classes: K, at least 2.
        ignore_index: label in the target of pixels that are not counted.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255):
        if num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}, expected at least 2: count the background as a class.")
        super().__init__(num_classes, ignore_index, (num_classes, num_classes))

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Add a batch; nothing is read back from the device.

        A pixel counts where its target is not ``ignore_index``. Any other value outside 0..K-1, in target
        or prediction, is dropped in silence, since raising would wait for the device: the data reader
        is where labels are checked.

        Args:
            prediction: class of each pixel (the argmax, not logits), (B, H, W), any integer type.
            target: true class of each pixel, (B, H, W), any integer type.

        Raises:
            ValueError: if the shapes differ or one of the two is not integer.
        """
        if prediction.shape != target.shape:
            raise ValueError(
                f"prediction is {tuple(prediction.shape)}, target is {tuple(target.shape)}: expected both as "
                "(B, H, W). Take the argmax of logits over the classes, at the size of the target."
            )
        for name, labels in (("prediction", prediction), ("target", target)):
            if labels.is_floating_point() or labels.is_complex():
                raise ValueError(f"{name} is {labels.dtype}, expected integers: the class of each pixel.")
        # Not in place: after a reset in inference mode, where Lightning validates, that would raise outside it.
        self.matrix = self.matrix + _count(
            prediction.flatten(), target.flatten(), self.num_classes, self.ignore_index, torch.int64
        )


class LayerMatrices(_PixelCounts):
    """The same where a pixel may be of several classes or none: for each class a matrix of its own, (K, 2, 2).

    Rows are the truth, columns the prediction; 0 is not the class, 1 is it.

    Args:
        num_classes: K.
        ignore_index: label in the target of pixels that are not counted.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255):
        super().__init__(num_classes, ignore_index, (num_classes, 2, 2))

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Add a batch of 0 and 1, and ``ignore_index`` in the target, both (B, K, H, W), any integer type.

        Raises:
            ValueError: if the shapes differ or there are not K classes.
        """
        if prediction.shape != target.shape or target.dim() != 4 or target.shape[1] != self.num_classes:
            raise ValueError(
                f"prediction is {tuple(prediction.shape)}, target is {tuple(target.shape)}: expected both as "
                f"(B, {self.num_classes}, H, W)."
            )
        self.matrix = self.matrix + count_layers(prediction, target, self.ignore_index).sum(dim=0)


def count_layers(prediction: torch.Tensor, target: torch.Tensor, ignore_index: int = 255) -> torch.Tensor:
    """Matrices (B, K, 2, 2) int64 of predictions and targets of 0 and 1, (B, K, H, W); nothing is read back."""
    valid = target != ignore_index
    true, predicted = (target == 1) & valid, (prediction == 1) & valid
    right, true, predicted, all_ = (mask.sum(dim=(2, 3)) for mask in (true & predicted, true, predicted, valid))
    rows = [all_ - true - predicted + right, predicted - right, true - right, right]
    return torch.stack(rows, dim=-1).view(*right.shape, 2, 2)


def count_each_image(
    prediction: torch.Tensor, target: torch.Tensor, num_classes: int, ignore_index: int = 255
) -> torch.Tensor:
    """Confusion matrices (B, K, K) int32 on the device of two batches (B, H, W) of classes; nothing is read back.

    Rows are the truth, columns the prediction. Pixels that are ignored, or outside 0..K-1, do not count. Batches
    (B, K, H, W) of 0 and 1 give (B, K, 2, 2).
    """
    if target.dim() == 4:
        return count_layers(prediction, target, ignore_index).int()
    return _count(prediction.flatten(1), target.flatten(1), num_classes, ignore_index, torch.int32)


def _count(
    prediction: torch.Tensor, target: torch.Tensor, num_classes: int, ignore_index: int, dtype: torch.dtype
) -> torch.Tensor:
    """Confusion matrices (..., K, K) of classes (..., N), any integer type; nothing is read back."""
    prediction, target = prediction.long(), target.long()
    num_cells = num_classes**2
    counted = target != ignore_index
    for labels in (target, prediction):
        counted &= (labels >= 0) & (labels < num_classes)
    cells = torch.where(counted, target * num_classes + prediction, num_cells)
    # torch.bincount would make CUDA wait for the largest value. On the CPU the two are level (8x360x480,
    # K=11, one thread: scatter_add 1.6 ms, bincount 1.5 ms), so one way serves both.
    bins = torch.zeros(*cells.shape[:-1], num_cells + 1, dtype=dtype, device=cells.device)
    bins.scatter_add_(-1, cells, torch.ones((), dtype=dtype, device=cells.device).expand_as(cells))
    return bins[..., :num_cells].unflatten(-1, (num_classes, num_classes))
