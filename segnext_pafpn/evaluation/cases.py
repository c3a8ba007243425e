"""Medical cases are scored one after the other: each structure of each, and regions of several."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from segnext_pafpn.evaluation.case_rows import CaseRows
from segnext_pafpn.evaluation.medical import Array, case_scores


class CaseTable:
    """Scores cases, structure by structure; what it has found is in ``scored``.

    Args:
        structures: class id and name of what to score, in the order of the rows; usually without the background.
        ignore_index: label in the truth of pixels that are not counted.
        regions: class ids by the name of a region, which is scored as the union of these classes; rows before those
            of the structures.
    """

    def __init__(
        self,
        structures: Mapping[int, str],
        ignore_index: int = 255,
        regions: Mapping[str, Sequence[int]] | None = None,
    ):
        self.members: dict[str, tuple[int, ...]] = {name: tuple(labels) for name, labels in (regions or {}).items()}
        self.members |= {name: (label,) for label, name in structures.items()}
        self.ignore_index = ignore_index
        self.scored = CaseRows(tuple(self.members))

    def add(
        self,
        case: str,
        prediction: Array,
        truth: Array,
        spacing: Sequence[float] | None = None,
        probabilities: Array | Mapping[int, Array] | None = None,
    ) -> None:
        """Score one case.

        Args:
            case: its name.
            prediction: class of each pixel, (H, W) or (D, H, W), any integer type.
            truth: true class of each pixel or ``ignore_index``, of the same shape.
            spacing: of each axis, in the order of the axes; default 1.
            probabilities: of all classes, (K, H, W) or (K, D, H, W), for the area under the ROC curve; or those of
                the structures, and of the classes of regions, by class id. A region's is the sum of its classes'.
        """
        prediction, truth = np.asarray(prediction), np.asarray(truth)
        valid = truth != self.ignore_index
        for name, labels in self.members.items():
            predicted, true = _any_of(prediction, labels), _any_of(truth, labels)
            self._add_structure(case, name, predicted, true, valid, spacing, probabilities)

    def add_layers(
        self,
        case: str,
        prediction: Array,
        truth: Array,
        spacing: Sequence[float] | None = None,
        probabilities: Array | Mapping[int, Array] | None = None,
    ) -> None:
        """Score one case in which a pixel may be of several classes: as :meth:`add`, of 0 and 1 (K, ...) each."""
        for name, (label,) in self.members.items():
            true = np.asarray(truth[label])
            valid = true != self.ignore_index
            self._add_structure(case, name, prediction[label], true == 1, valid, spacing, probabilities)

    def _add_structure(
        self,
        case: str,
        name: str,
        prediction: Array,
        truth: Array,
        valid: Array,
        spacing: Sequence[float] | None,
        probabilities: Array | Mapping[int, Array] | None,
    ) -> None:
        """Score one structure, given where it is predicted, where it is in truth, and which pixels count."""
        probability = None if probabilities is None else sum(probabilities[label] for label in self.members[name])
        scores = case_scores(prediction, truth, spacing, probability, valid)
        self.scored.rows.append((case, name, scores))


def stack_slices(case: str, slices: Iterable[tuple[int, Array]]) -> np.ndarray:
    """Put the volume (D, H, W) of a case together from its slices (H, W), which may come in any order.

    Args:
        case: its name.
        slices: number of the slice (from any number, without gaps), the slice.

    Raises:
        ValueError: naming the case, if a slice is missing, twice there, or of another size.
    """
    pictures: dict[int, np.ndarray] = {}
    for number, picture in slices:
        if number in pictures:
            raise ValueError(f"{case}: slice {number} is there twice.")
        pictures[number] = np.asarray(picture)
    numbers = range(min(pictures), max(pictures) + 1)
    if missing := [number for number in numbers if number not in pictures]:
        raise ValueError(f"{case}: slices {missing} are missing between {numbers[0]} and {numbers[-1]}.")
    sizes = sorted({picture.shape for picture in pictures.values()})
    if len(sizes) > 1:
        raise ValueError(f"{case}: slices of the sizes {sizes}, expected one size.")
    return np.stack([pictures[number] for number in numbers])


def _any_of(classes: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Where a pixel is of one of these classes, bool."""
    return classes == labels[0] if len(labels) == 1 else np.isin(classes, labels)
