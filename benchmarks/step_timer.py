"""How long a training step takes, seen from outside of the training loop."""

import statistics
import time

from torch.optim.optimizer import register_optimizer_step_post_hook

_WINDOW = 10  # steps; on a GPU the loss is looked at this often, so that a window holds the device's time, too


class StepTimer:
    """Notes the time of every optimizer step between ``with`` and its end, whoever makes it."""

    def __enter__(self) -> "StepTimer":
        self._times: list[float] = []
        self._hook = register_optimizer_step_post_hook(lambda *_: self._times.append(time.perf_counter()))
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def milliseconds(self) -> float | None:
        """The median step, waiting for data included, evaluations and the first step not; None below two steps."""
        window = min(_WINDOW, len(self._times) - 1)
        if window < 1:
            return None
        spans = [self._times[i + window] - self._times[i] for i in range(len(self._times) - window)]
        return round(1000 * statistics.median(spans) / window, 1)
