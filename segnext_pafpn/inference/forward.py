"""From a stack of images to logits: normalisation, layout, precision and the network itself."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.config import PRECISIONS
from segnext_pafpn.inference.device import why_slow
from segnext_pafpn.models.any_size import padded_logits, required_stride
from segnext_pafpn.models.preprocessing import Preprocessing
from segnext_pafpn.models.refusals import refuse_activation
from segnext_pafpn.models.tta import VIEWS, View, mean_over_views

log = logging.getLogger(__name__)

_REFUSALS = (AssertionError, RuntimeError, ValueError)  # by which networks say that they do not take a size
_DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))


class SizeError(UserError):
    """The network does not take images of this size; it may take others."""


class Forward:
    """A network on a device, with what images of equal size go through before it.

    Args:
        model: takes normalised floats (B, C, H, W) to logits (B, K, H, W), or to a tuple that begins with
            them. It is put into evaluation mode, fused and moved to the device, all in place.
        preprocessing: what the bundle says of images.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``, Lightning's names.
        fuse: call ``model.fuse()`` where the model has it, which ends its days in training.
        compile: run it through ``torch.compile``, which takes up to minutes at the first image of a size.
        views: of each image, over which logits are averaged.

    Raises:
        UserError: naming a precision that is none, the compiler that is missing, or an activation of the logits.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        precision: str = "32-true",
        fuse: bool = True,
        compile: bool = False,
        views: Sequence[View] = VIEWS["none"],
    ):
        if precision not in PRECISIONS:
            raise UserError(f"precision: found '{precision}', expected one of: {', '.join(PRECISIONS)}.")
        if compile:
            _refuse_missing_compiler(device)
        if (slow := why_slow(precision, device)) is not None:
            log.warning(f"warning: {slow}")
        refuse_activation(model)
        model.eval()
        if fuse and hasattr(model, "fuse"):
            model.fuse()
        # the layout in which images arrive
        self.model = model.to(device, memory_format=torch.channels_last)
        self.device = device
        self._run = torch.compile(self.model) if compile else self.model
        self._dtype = _DTYPES[precision]
        self._stride = required_stride(model)
        self._views = views
        self._classes = len(preprocessing.class_names)
        self._normalized = preprocessing.intensity is not None
        self._mean = torch.tensor(preprocessing.mean, device=device)[:, None, None]
        self._std = torch.tensor(preprocessing.std, device=device)[:, None, None]

    def __call__(self, images: np.ndarray) -> torch.Tensor:
        """Images (B, H, W, C), uint8 or normalised floats, to float logits (B, K, H, W) on the device.

        Raises:
            SizeError: if the network does not take images of this height and width.
            UserError: if the network does not give as many logits as there are names of classes.
        """
        x = torch.tensor(images, device=self.device).permute(0, 3, 1, 2)
        if not self._normalized:
            x = (x.float() / 255 - self._mean) / self._std
        try:
            with torch.autocast(self.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
                logits = self._seen_by(self._run, x)
        except _REFUSALS as error:
            if type(self._error_without_values(x)) is not type(error):
                raise
            raise _size_error(x, error) from error
        if logits.shape[1] != self._classes:
            raise UserError(
                f"model: gives {logits.shape[1]} logits for each pixel, expected as many as class_names has names, "
                f"{self._classes}."
            )
        return logits

    def _seen_by(self, run: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return mean_over_views(lambda x: padded_logits(run, x, self._stride), x, self._views)

    def _error_without_values(self, x: torch.Tensor) -> Exception | None:
        """What the network raises on torch's meta device, where images have a shape and nothing runs out of memory."""
        named = (*self.model.named_parameters(), *self.model.named_buffers())
        state = {name: tensor.to("meta") for name, tensor in named}
        try:
            self._seen_by(lambda x: functional_call(self.model, state, (x,)), x.to("meta"))
        except _REFUSALS as error:
            return error
        return None


def _size_error(x: torch.Tensor, error: Exception) -> SizeError:
    height, width = x.shape[-2:]
    reason = " ".join(str(error).split())[:400].rstrip(".") or type(error).__name__
    return SizeError(
        f"model: fails on images of {width} x {height} (width x height): {reason}. Give images of a size that it takes "
        f"or cut larger ones into windows of one (window, max_pixels)."
    )


def _refuse_missing_compiler(device: torch.device) -> None:
    compilers = (os.environ.get("CXX"), "c++", "g++", "clang++", "cl")
    if device.type == "cpu" and not any(name and shutil.which(name) for name in compilers):
        raise UserError("compile: on a CPU it needs a C++ compiler (g++ or clang++), and none was found. Leave it out.")
