"""From an image to logits and a mask, in one piece or in overlapping windows.

Shapes: an image is (H, W, C), uint8 or, where the model is not for 8-bit RGB, any number type; its logits are
(K, H, W), its mask (H, W) uint8 of class ids.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.config import MAX_PIXELS
from segnext_pafpn.inference.windows import window_shares, window_starts
from segnext_pafpn.models.bundle import Preprocessing, load_bundle

MAX_OVERLAP = 0.9
WINDOW = (768, 768)
_BATCH_PIXELS = 2**20  # of the images that go through the network together
_CPU_BATCH_PIXELS = 2**16  # 128x128 slices gain from company, 192x192 ones are slower: caches are small


class Predictor:
    """A network with what an image goes through before it and what its logits go through after it.

    Args:
        model: takes normalised floats (B, C, H, W) to logits (B, K, H, W), or to a tuple that begins with
            them. It is put into evaluation mode, fused and moved to the device, all in place.
        preprocessing: what the bundle says of images and classes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``; see :func:`choose_device`.
        max_pixels: an image with more pixels, after resizing, is predicted in windows.
        window: height and width of the windows; on a smaller side the image's own.
        overlap: of neighbouring windows, as a fraction of the window, 0 to 0.9.
        fuse: call ``model.fuse()`` where the model has it, which ends its days in training.

    Raises:
        UserError: naming the device, the overlap or the number of pixels that cannot be.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        device: str | torch.device = "cpu",
        max_pixels: int = MAX_PIXELS,
        window: tuple[int, int] = WINDOW,
        overlap: float = 0.5,
        fuse: bool = True,
    ):
        if not 0 <= overlap <= MAX_OVERLAP:
            raise UserError(f"overlap: found {overlap}, expected a fraction of the window, 0 to {MAX_OVERLAP}.")
        if max_pixels < 1 or min(window) < 1:
            raise UserError(f"max_pixels and window: found {max_pixels} and {window}, expected at least 1.")
        self.preprocessing = preprocessing
        self.device = choose_device(device)
        self.max_pixels = max_pixels
        self.window = window
        self.overlap = overlap
        model.eval()
        if fuse and hasattr(model, "fuse"):
            model.fuse()
        # the layout in which images arrive
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.batch_pixels = _CPU_BATCH_PIXELS if self.device.type == "cpu" else _BATCH_PIXELS
        self._normalize = preprocessing.intensity
        self._mean = torch.tensor(preprocessing.mean, device=self.device)[:, None, None]
        self._std = torch.tensor(preprocessing.std, device=self.device)[:, None, None]

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str | torch.device = "auto",
        max_pixels: int = MAX_PIXELS,
        window: tuple[int, int] = WINDOW,
        overlap: float = 0.5,
        fuse: bool = True,
    ) -> "Predictor":
        """Read the bundle in ``path``, see :func:`~segnext_pafpn.models.bundle.load_bundle`.

        Raises:
            UserError: naming the file that is missing or broken, or the argument that cannot be.
        """
        model, preprocessing = load_bundle(path)
        return cls(model, preprocessing, device, max_pixels, window, overlap, fuse)

    @property
    def class_colors(self) -> tuple[tuple[int, int, int], ...]:
        """Colours of the ids in a mask. One logit means two ids, of which 0 is the background, in black.

        Where a pixel may be of several classes, they are those of the classes.
        """
        colors = self.preprocessing.class_colors
        return ((0, 0, 0), *colors) if len(colors) == 1 and not self.preprocessing.multi_label else colors

    @torch.inference_mode()
    def logits(self, image: np.ndarray) -> torch.Tensor:
        """Image (H, W, C) of any size to float logits (K, H, W) on the device.

        Raises:
            UserError: if the image has not the model's number of channels.
            ValueError: if it is not uint8 and the model is for 8-bit RGB, has no pixel or is not three-dimensional.
        """
        prepared = self._prepare(image)
        if prepared.shape[0] * prepared.shape[1] > self.max_pixels:
            logits = self._windows(prepared)
        else:
            logits = self._forward(prepared[None])[0]
        return _resized(logits[None], image.shape[:2])[0]

    @torch.inference_mode()
    def batch_logits(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Images (H, W, C) of one size to float logits (B, K, H, W) on the device; see :meth:`batch_size`.

        Raises:
            UserError, ValueError: as :meth:`logits`; ValueError also if the images differ in size.
        """
        prepared = np.stack([self._prepare(image) for image in images])
        return _resized(self._forward(prepared), images[0].shape[:2])

    def batch_size(self, height: int, width: int) -> int:
        """How many images of a size to give to :meth:`predict_batch`; one of those that are predicted in windows."""
        height, width = self.preprocessing.image_size or (height, width)
        return max(1, min(self.batch_pixels, self.max_pixels) // (height * width))

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Image (H, W, C) to the most likely class of each pixel, (H, W) uint8.

        Of two classes the second is told where its probability exceeds the model's threshold, if it has one. A model
        with one logit gives 1 where its sigmoid exceeds that or 0.5, else 0. Where a pixel may be of several classes,
        1 where it is of the class, (K, H, W) uint8. Raises what :meth:`logits` raises.
        """
        mask = self.preprocessing.decision.classes(self.logits(image))
        return mask.to(torch.uint8).cpu().numpy()

    def predict_batch(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """What :meth:`predict` gives for each of the images, which are of one size, (B, H, W) or (B, K, H, W) uint8.

        One pass of the network for all of them, unless there is one alone.
        """
        if len(images) == 1:
            return self.predict(images[0])[None]
        mask = self.preprocessing.decision.classes(self.batch_logits(images))
        return mask.to(torch.uint8).cpu().numpy()

    def _check(self, image: np.ndarray) -> None:
        channels = self.preprocessing.channels
        known = image.dtype == np.uint8 if self._normalize is None else image.dtype.kind in "uif"
        if not known or image.ndim != 3 or not image.size:
            expected = "uint8" if self._normalize is None else "numbers"
            raise ValueError(f"the image is {image.dtype} {image.shape}, expected {expected} (H, W, {channels}).")
        if image.shape[2] != channels:
            raise UserError(f"the image has {image.shape[2]} channels, the model was trained on {channels}.")

    def _prepare(self, image: np.ndarray) -> np.ndarray:
        """Image (H, W, C) to what :meth:`_forward` takes, (h, w, C)."""
        self._check(image)
        if self._normalize is not None:
            image = self._normalize(image)
        return self._resize(np.ascontiguousarray(image))

    def _resize(self, image: np.ndarray) -> np.ndarray:
        """Image to ``preprocessing.image_size``, by the same call that the training images went through."""
        size = self.preprocessing.image_size
        if size is None or size == image.shape[:2]:
            return image
        height, width = size
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return resized.reshape(height, width, -1)  # OpenCV drops the axis of a single channel

    def _forward(self, images: np.ndarray) -> torch.Tensor:
        """Images (B, h, w, C), uint8 or normalised, to logits (B, K, h, w), in one piece."""
        height, width = images.shape[1:3]
        x = torch.tensor(images, device=self.device).permute(0, 3, 1, 2)
        if self._normalize is None:
            x = (x.float() / 255 - self._mean) / self._std
        if getattr(self.model, "requires_divisible_input_shape", False):
            stride = self.model.encoder.output_stride
            x = F.pad(x, [0, -width % stride, 0, -height % stride], mode="replicate")
        logits = self.model(x)
        if isinstance(logits, tuple):  # models with a second head for the label of the whole image
            logits = logits[0]
        return logits[..., :height, :width]

    def _windows(self, image: np.ndarray) -> torch.Tensor:
        """Image (h, w, C) to logits (K, h, w), the mean over windows weighted by a Gaussian around their middle.

        The standard deviation is 1/8 of the window, nnU-Net's choice. Holds K h w floats on the device.
        """
        size = image.shape[:2]
        window_height, window_width = (min(side, length) for side, length in zip(self.window, size, strict=True))
        tops = window_starts(size[0], window_height, self.overlap)
        lefts = window_starts(size[1], window_width, self.overlap)
        row_shares = window_shares(size[0], window_height, tops).to(self.device)
        column_shares = window_shares(size[1], window_width, lefts).to(self.device)
        blended = None
        for top, row_share in zip(tops, row_shares, strict=True):
            rows = slice(top, top + window_height)
            for left, column_share in zip(lefts, column_shares, strict=True):
                columns = slice(left, left + window_width)
                logits = self._forward(image[None, rows, columns])[0]
                if blended is None:
                    blended = torch.zeros(len(logits), *size, device=self.device)
                blended[:, rows, columns] += logits * torch.outer(row_share, column_share)
        return blended


def _resized(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Logits (B, K, h, w) to (B, K, *size)."""
    if logits.shape[-2:] == size:
        return logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def choose_device(name: str | torch.device) -> torch.device:
    """The device called ``name``; for ``auto`` cuda if there is one, else mps, else cpu.

    Raises:
        UserError: naming a device that is unknown or cannot be used, and those that can.
    """
    usable = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    usable += ["mps"] if torch.backends.mps.is_available() else []
    usable += ["cpu"]
    if name == "auto":
        return torch.device(usable[0].split(":")[0])
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # a name may be known without there being such a device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: '{name}' cannot be used. Choose auto, or one of: {', '.join(usable)}.") from error
    return device
