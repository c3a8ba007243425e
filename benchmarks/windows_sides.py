"""What one process of ``windows.py`` measures. Heavy modules are imported inside, where their memory belongs."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scaling_points import facts, peak_mib, resident_mib

__all__ = ["facts", "measure"]
WAYS = {  # is it ours, and what its predictor is made with
    "segnext_pafpn": (True, {}),
    "segnext_pafpn, bfloat16": (True, {"precision": "bf16-mixed"}),
    "MONAI, the same network": (False, {}),
    "MONAI, the network as trained": (False, {"fuse": False}),
}
SCENE = (128, 192)  # height and width of the street scenes that the picture is laid out with, and how many there are
SCENES = 64


def measure(name: str, device: str, options: dict, labels_path: Path) -> dict:
    """Seconds, windows and peak of memory of one of :data:`WAYS`; its label map goes into ``labels_path``."""
    import torch

    ours, settings = WAYS[name]
    predictor = _predictor(device, options, settings)
    if not settings.get("fuse", True):
        predictor.model.to(memory_format=torch.contiguous_format)
    picture = large_picture(options["side"])
    calls = _count_calls(predictor.model)
    side = (_ours if ours else _monai)(predictor, options)
    start, reset = _memory(device)
    side(picture[: options["window"], : options["window"]])  # what the first call alone pays for
    reset()
    calls.clear()
    begin = time.perf_counter()
    labels = side(picture)
    seconds = time.perf_counter() - begin
    peak = _peak(device)
    np.save(labels_path, labels)
    return {"seconds": seconds, "start_mib": start, "peak_mib": peak, "windows": len(calls)}


def large_picture(side: int) -> np.ndarray:
    """Street scenes beside each other, (side, side, 3) uint8, always the same; filled in place."""
    from segnext_pafpn.data.synthetic.streets import street_scene

    scenes = [street_scene(seed, SCENE)[0] for seed in range(SCENES)]
    random = np.random.default_rng(0)
    picture = np.empty((side, side, 3), dtype=np.uint8)
    for top in range(0, side, SCENE[0]):
        for left in range(0, side, SCENE[1]):
            place = picture[top : top + SCENE[0], left : left + SCENE[1]]
            place[:] = scenes[random.integers(SCENES)][: place.shape[0], : place.shape[1]]
    return picture


def _predictor(device: str, options: dict, settings: dict):
    import torch

    from segnext_pafpn.inference.predictor import Predictor
    from segnext_pafpn.model_config import ModelConfig
    from segnext_pafpn.models.bundle import load_bundle
    from segnext_pafpn.models.factory import build_model
    from segnext_pafpn.models.preprocessing import Preprocessing

    if options["checkpoint"] is not None:
        network, preprocessing = load_bundle(options["checkpoint"])
        preprocessing = replace(preprocessing, image_size=None)  # else the picture would be made small first
    else:
        torch.manual_seed(0)
        network = build_model(ModelConfig(encoder_name=options["encoder"]), options["classes"]).eval()
        _level(network)
        names = tuple(f"class {i}" for i in range(options["classes"]))
        preprocessing = Preprocessing(class_names=names, class_colors=((0, 0, 0),) * len(names))
    window = (options["window"],) * 2
    largest = window[0] * window[1]
    return Predictor(network, preprocessing, device, largest, window, options["overlap"], **settings)


def _level(network) -> None:
    """Give all classes the same mean logit: with random weights one would be everywhere, and labels always equal."""
    import torch

    from segnext_pafpn.data.synthetic.streets import street_scene

    scene = torch.from_numpy(street_scene(0, SCENE)[0]).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = network(scene.float() / 127.5 - 1)
        network.segmentation_head[0].bias -= logits.mean(dim=(0, 2, 3))


def _ours(predictor, options: dict) -> Callable[[np.ndarray], np.ndarray]:
    return predictor.predict


def _monai(predictor, options: dict) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from monai.inferers import sliding_window_inference

    known = predictor.preprocessing
    mean, std = (torch.tensor(values, device=predictor.device)[:, None, None] for values in (known.mean, known.std))
    weights = gaussian(options["window"]).to(predictor.device)

    @torch.inference_mode()
    def predict(picture: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(picture).to(predictor.device).permute(2, 0, 1)[None].float()
        image = image.div_(255).sub_(mean).div_(std)
        logits = sliding_window_inference(
            image,
            roi_size=(options["window"],) * 2,
            sw_batch_size=1,
            predictor=predictor.model,
            overlap=options["overlap"],
            mode="gaussian",
            roi_weight_map=weights,
        )
        return logits.argmax(dim=1)[0].to(torch.uint8).cpu().numpy()

    return predict


def gaussian(window: int):
    """The weights (window, window) of both sides. MONAI's own map of them is cut off below 1e-3."""
    import torch

    from segnext_pafpn.inference.windows import GAUSSIAN_SIGMA

    distance = (torch.arange(window) - (window - 1) / 2) / (GAUSSIAN_SIGMA * window)
    weights = torch.exp(-0.5 * distance**2)
    return torch.outer(weights, weights)


def _count_calls(network) -> list[None]:
    calls: list[None] = []
    network.register_forward_hook(lambda *_: calls.append(None))
    return calls


def _memory(device: str) -> tuple[float, Callable[[], object]]:
    """What is held now, in MiB, and what sets the mark of the most back to it, where that can be."""
    if device == "cpu":
        return resident_mib(), lambda: None
    import torch

    return torch.cuda.memory_allocated() / 2**20, torch.cuda.reset_peak_memory_stats


def _peak(device: str) -> float:
    if device == "cpu":
        return peak_mib()
    import torch

    return torch.cuda.max_memory_allocated() / 2**20
