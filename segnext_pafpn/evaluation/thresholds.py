"""The threshold of a probability with the best Dice, from one pass that keeps histograms and no pictures.

K maps, each of one class against everything else; B pictures of H x W pixels; T thresholds.
"""

import torch
from torchmetrics import Metric

STEPS = 1000
DEFAULT = 0.5


class ThresholdSearch(Metric):
    """Counts pixels by map, truth, and where their probability lies between the thresholds 0.001, 0.002 ... 0.999.

    A pixel is of the class where its probability is more than the threshold, compared in float32. The Dice of every
    threshold follows exactly from the counts, as if the pictures had been scored with each one anew.

    Args:
        num_maps: K.
        ignore_index: label in the target of pixels that are not counted.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    counts: torch.Tensor

    def __init__(self, num_maps: int, ignore_index: int = 255):
        super().__init__()
        self.num_maps = num_maps
        self.ignore_index = ignore_index
        self.thresholds = tuple(step / STEPS for step in range(1, STEPS))
        self.add_state("counts", torch.zeros(num_maps, 2, STEPS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probabilities: torch.Tensor, target: torch.Tensor) -> None:
        """Add a batch; nothing is read back from the device.

        Args:
            probabilities: (B, K, H, W) float32.
            target: 0, 1 or ``ignore_index``, (B, K, H, W), any integer type.

        Raises:
            ValueError: if the shapes differ or there are not K maps.
        """
        if probabilities.shape != target.shape or probabilities.shape[1] != self.num_maps:
            raise ValueError(
                f"probabilities are {tuple(probabilities.shape)}, target {tuple(target.shape)}: expected both as "
                f"(B, {self.num_maps}, H, W)."
            )
        edges = torch.tensor(self.thresholds, dtype=torch.float32, device=probabilities.device)
        place = torch.bucketize(probabilities.contiguous(), edges)  # so many thresholds are exceeded
        maps = torch.arange(self.num_maps, device=place.device).view(1, -1, 1, 1)
        cells = self.counts.numel()
        place = torch.where(target == self.ignore_index, cells, (2 * maps + (target == 1)) * STEPS + place)
        bins = torch.zeros(cells + 1, dtype=torch.int64, device=place.device)
        place = place.flatten()
        bins.scatter_add_(0, place, torch.ones((), dtype=torch.int64, device=place.device).expand_as(place))
        self.counts = self.counts + bins[:cells].view_as(self.counts)

    def compute(self) -> torch.Tensor:
        """Dice of each map at each threshold, (K, T) float64; NaN for a map that is nowhere in the truth."""
        above = self.counts.double().flip(-1).cumsum(-1).flip(-1)[..., 1:]  # (K, 2, T): pixels above each threshold
        right, predicted = above[:, 1], above.sum(dim=1)
        true = self.counts[:, 1].sum(dim=-1, keepdim=True)
        return torch.where(true > 0, 2 * right / (predicted + true), torch.nan)


def best_thresholds(dice: torch.Tensor, thresholds: tuple[float, ...]) -> tuple[float, ...]:
    """The threshold with the highest Dice of each map; among equals the one nearest to 0.5, which NaN gets too.

    Args:
        dice: (K, T).
        thresholds: T.
    """
    order = sorted(range(len(thresholds)), key=lambda i: abs(thresholds[i] - DEFAULT))
    # max takes the first of equals
    return tuple(thresholds[max(order, key=row.__getitem__)] for row in dice.nan_to_num(nan=-1.0).tolist())
