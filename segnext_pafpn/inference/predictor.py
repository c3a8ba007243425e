"""From images to logits and masks, in one piece or in overlapping windows.

Shapes: an image is (H, W, C), uint8 in RGB order (OpenCV reads BGR), or any number type where the model is not for
8-bit RGB, in an array; or one of Pillow's, or the path of a file. Its logits are (K, H, W), its mask (H, W) uint8 of
class ids.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.arrays import AnyImage
from segnext_pafpn.inference.config import MAX_PIXELS
from segnext_pafpn.inference.device import choose_device
from segnext_pafpn.inference.forward import Forward
from segnext_pafpn.inference.prepared import Prepared, batches, prepare
from segnext_pafpn.inference.windows import blend_rows, upsampled_rows
from segnext_pafpn.models.bundle import load_bundle
from segnext_pafpn.models.ensemble import load_ensemble
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.models.tta import find_views

MAX_OVERLAP = 0.9
WINDOW = (768, 768)


@dataclass(frozen=True)
class Answer:
    """The mask of an image, and the classes' probabilities (K, H, W) float16 where they were asked for."""

    mask: np.ndarray
    probabilities: np.ndarray | None = None


class Predictor:
    """A network with what an image goes through before it and what its logits go through after it.

    Args:
        model: takes normalised floats (B, C, H, W) to logits (B, K, H, W), or to a tuple that begins with
            them. It is put into evaluation mode, fused and moved to the device, all in place.
        preprocessing: what the bundle says of images and classes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``; see :func:`choose_device`.
        max_pixels: an image with more pixels, after resizing, is predicted in windows; a mask with more is decided
            strip by strip.
        window: height and width of the windows, or their side; on a smaller side the image's own.
        overlap: of neighbouring windows, as a fraction of the window, 0 to 0.9.
        fuse: call ``model.fuse()`` where the model has it, which ends its days in training.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``, Lightning's names.
        compile: run the network through ``torch.compile``, which takes up to minutes at the first image of a size.
        batch_size: images of equal size, or windows, that go through the network at once, unless they have more than
            ``max_pixels`` together.
        tta: test-time augmentation: ``none``, ``flip``, ``flips`` or ``multi-scale``, see
            :mod:`~segnext_pafpn.models.tta`.

    Raises:
        UserError: naming the device, the overlap, the precision, the augmentation or the number of pixels that cannot
            be.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        device: str | torch.device = "cpu",
        max_pixels: int = MAX_PIXELS,
        window: tuple[int, int] | int = WINDOW,
        overlap: float = 0.5,
        fuse: bool = True,
        precision: str = "32-true",
        compile: bool = False,
        batch_size: int = 4,
        tta: str = "none",
    ):
        window = (window, window) if isinstance(window, int) else window
        if not isinstance(window, tuple | list) or len(window) != 2 or not all(isinstance(w, int) for w in window):
            raise UserError(f"window: found {window!r}, expected its side, or height and width, in whole pixels.")
        if not 0 <= overlap <= MAX_OVERLAP:
            raise UserError(f"overlap: found {overlap}, expected a fraction of the window, 0 to {MAX_OVERLAP}.")
        if max_pixels < 1 or min(window) < 1:
            raise UserError(f"max_pixels and window: found {max_pixels} and {window}, expected at least 1.")
        if batch_size < 1:
            raise UserError(f"batch_size: found {batch_size}, expected at least 1.")
        self.preprocessing = preprocessing
        self.device = choose_device(device)
        self.max_pixels = max_pixels
        self.window = window
        self.overlap = overlap
        self.batch_size = batch_size
        views = find_views(tta)
        self._growth = max(view.scale for view in views) ** 2  # of an image's pixels in the largest view
        self._forward = Forward(model, preprocessing, self.device, precision, fuse, compile, views)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | Sequence[str | Path],
        device: str | torch.device = "auto",
        max_pixels: int = MAX_PIXELS,
        window: tuple[int, int] | int = WINDOW,
        overlap: float = 0.5,
        fuse: bool = True,
        precision: str = "32-true",
        compile: bool = False,
        batch_size: int = 4,
        tta: str = "none",
    ) -> "Predictor":
        """Read the bundle in ``path``, see :func:`~segnext_pafpn.models.bundle.load_bundle`; of several, such as the
        runs on all folds, the logits are averaged.

        Raises:
            UserError: naming the file that is missing or broken, or the argument that cannot be.
        """
        model, preprocessing = load_bundle(path) if isinstance(path, str | Path) else load_ensemble(path)
        return cls(model, preprocessing, device, max_pixels, window, overlap, fuse, precision, compile, batch_size, tta)

    @property
    def model(self) -> nn.Module:
        """The network, fused and on the device."""
        return self._forward.model

    @property
    def class_colors(self) -> tuple[tuple[int, int, int], ...]:
        """Colours of the ids in a mask. One logit means two ids, of which 0 is the background, in black.

        Where a pixel may be of several classes, they are those of the classes.
        """
        colors = self.preprocessing.class_colors
        return ((0, 0, 0), *colors) if len(colors) == 1 and not self.preprocessing.multi_label else colors

    @torch.inference_mode()
    def logits(self, image: AnyImage) -> torch.Tensor:
        """Image (H, W, C) of any size, or grey (H, W), to float logits (K, H, W) on the device.

        Raises:
            TypeError, ValueError: if it is no such image, see :func:`~segnext_pafpn.inference.arrays.as_image`.
        """
        return self._logits([prepare(image, self.preprocessing)])[0]

    def predict(self, image: AnyImage) -> np.ndarray:
        """Image (H, W, C), or grey (H, W), to the most likely class of each pixel, (H, W) uint8.

        Of two classes the second is told where its probability exceeds the model's threshold, if it has one. A model
        with one logit gives 1 where its sigmoid exceeds that or 0.5, else 0. Where a pixel may be of several classes,
        1 where it is of the class, (K, H, W) uint8. Raises what :meth:`logits` raises.
        """
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Iterable[AnyImage]) -> list[np.ndarray]:
        """Images (H, W, C) of any sizes to their masks, see :meth:`predict`.

        Neighbours of equal size go through the network together. Raises what :meth:`logits` raises.
        """
        return [answer.mask for answer in self.answers(images)]

    @torch.inference_mode()
    def answers(self, images: Iterable[AnyImage], probabilities: bool = False) -> list[Answer]:
        """The same, and the classes' probabilities if wanted, which are held as a whole however large an image is."""
        if isinstance(images, np.ndarray) and images.ndim == 3 and images.shape[2] == self.preprocessing.channels:
            raise ValueError(f"images: found one image {images.shape}, expected several: give a list, or (B, H, W, C).")
        answers: list[Answer] = []
        prepared = (prepare(image, self.preprocessing) for image in images)  # held for a batch alone
        for group in batches(prepared, self.batch_size, self.max_pixels, self._growth):
            first = group[0]
            if max(first.pixels, first.mask_pixels) > self.max_pixels:
                answers.append(self._answer_by_rows(first, probabilities))
                continue
            logits = self._logits(group)
            found = self._probabilities(logits) if probabilities else [None] * len(group)
            answers += map(Answer, self._decide(logits), found)
        return answers

    def _logits(self, group: Sequence[Prepared]) -> torch.Tensor:
        """Logits (B, K, H, W) of images of equal size; of one, if it needs windows."""
        first = group[0]
        logits = self._unresized_logits(group)
        if first.is_resized:
            logits = F.interpolate(logits, size=first.size, mode="bilinear", align_corners=False)
        return logits

    def _unresized_logits(self, group: Sequence[Prepared]) -> torch.Tensor:
        """The same in the size in which the network has the images."""
        first = group[0]
        if first.pixels <= self.max_pixels:
            return self._forward(np.stack([item.image for item in group]))
        logits = None
        for rows, finished in self._rows(first.image):
            if logits is None:
                logits = finished.new_empty(1, len(finished), *first.image.shape[:2])
            logits[0, :, rows] = finished
        return logits

    def _answer_by_rows(self, item: Prepared, probabilities: bool) -> Answer:
        """That of a large image, or of one that becomes large; its logits are not held in their full size."""
        if item.is_resized:
            strips = upsampled_rows(self._unresized_logits([item])[0], item.size, self.max_pixels)
        else:
            strips = self._rows(item.image)
        masks: list[np.ndarray] = []
        found = None
        for rows, logits in strips:
            masks.append(self._decide(logits))
            if probabilities:
                part = self._probabilities(logits)
                if found is None:
                    found = np.empty((len(part), *item.size), part.dtype)
                found[:, rows] = part
        return Answer(np.concatenate(masks, axis=-2), found)

    def _rows(self, image: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
        window = min(self.window[0], image.shape[0]) * min(self.window[1], image.shape[1])
        batch_size = max(1, min(self.batch_size, int(self.max_pixels / (window * self._growth))))
        return blend_rows(image, self._forward, self.window, self.overlap, batch_size)

    def _probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Probabilities of the classes, float16."""
        return self.preprocessing.decision.probabilities(logits).half().cpu().numpy()

    def _decide(self, logits: torch.Tensor) -> np.ndarray:
        return self.preprocessing.decision.classes(logits).to(torch.uint8).cpu().numpy()
