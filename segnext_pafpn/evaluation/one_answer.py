"""A network that says the same of every pixel: what to tell the user of it."""

from collections.abc import Sequence

import numpy as np

from segnext_pafpn.evaluation.scores import Scores

_TUNE = " val --tune-threshold may find a threshold that tells more."


def one_answer_line(scores: Scores, class_names: Sequence[str], split: str) -> str | None:
    """The line for scores of a network that predicts one class alone, or none, of a split that holds more; else None.

    Args:
        scores: of the whole split.
        class_names: K names.
    """
    said = scores.predicted_pixels
    if not said.any():
        if not scores.truth_pixels.any():
            return None
        return (
            f"split '{split}': no pixel is predicted as any class. Train longer, raise optim.lr, or give the classes "
            f"weights (loss.class_weights).{_TUNE}"
        )
    k = int(said.argmax())
    if np.count_nonzero(scores.truth_pixels) < 2 or said[k] != said.sum() or said[k] != scores.counted_pixels[k]:
        return None
    return (
        f"split '{split}': every pixel is predicted as '{class_names[k]}', so that the network tells no classes apart. "
        f"Train longer, raise optim.lr, or weigh the others more (loss.class_weights, such as sqrt_inverse)."
        f"{_TUNE if len(class_names) == 2 else ''}"
    )
