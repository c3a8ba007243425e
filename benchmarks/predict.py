"""Images a second of ``segnext-pafpn predict``, decoding and mask writing included, beside those of the bare network.

    python benchmarks/predict.py                                        # built-in street scenes, 480x360
    python benchmarks/predict.py --root PATH/TO/CamVid --checkpoint runs/camvid
    python benchmarks/predict.py --device cuda --images 200

``files`` is the library function behind the command, from a folder of images to a folder of masks, without loading the
model; ``network`` is a forward pass of the same folded network on what the command gives it, batches of normalised
tensors that are on the device already. Rounds are interleaved, rows are medians. The data set's pictures are written
anew in each format first.
"""

import argparse
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from environment import describe_environment
from PIL import Image
from result_files import RESULTS, given_command, run_main, write_result
from rich.console import Console
from sides import ratios, spread, take_turns
from table_sides import predict_table

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.data.synthetic.streets import street_scene
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.inference.run import PredictConfig, predict_files
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.models.preprocessing import Preprocessing


def main() -> None:
    """Measure, print, and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--root", help="folder of CamVid; built-in street scenes without it")
    parser.add_argument("--split", default="test", help="of CamVid")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--size", nargs=2, type=int, default=[480, 360], metavar=("WIDTH", "HEIGHT"), help="of scenes")
    parser.add_argument("--formats", nargs="+", default=["jpg", "png"])
    parser.add_argument("--encoder", default="elanext_nano", help="of PAFPNeXt with random weights")
    parser.add_argument("--classes", type=int, default=11, help="of that network")
    parser.add_argument("--checkpoint", help="folder of a run, in place of random weights")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="result file; default results/predict-DEVICE.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = arguments.checkpoint or _random_bundle(arguments, folder / "model")
        pictures = _pictures(arguments)
        rows = [_measure(pictures, suffix, checkpoint, folder / suffix, arguments) for suffix in arguments.formats]
    device = torch.device(arguments.device).type
    content = {
        "benchmark": "predict",
        "command": given_command(),
        "network": f"PAFPNeXt {arguments.encoder}" if arguments.checkpoint is None else arguments.checkpoint,
        "device": device,
        "pictures": "street scenes" if arguments.root is None else f"pictures of CamVid's split {arguments.split}",
        "images": len(pictures),
        "size": [pictures[0].shape[1], pictures[0].shape[0]],
        "rounds": arguments.rounds,
        "environment": describe_environment(arguments.device),
        "rows": rows,
    }
    write_result(content, arguments.out or RESULTS / f"predict-{device}.json")
    Console(width=140).print(predict_table(content), highlight=False)


def _random_bundle(arguments: argparse.Namespace, folder: Path) -> str:
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder_name=arguments.encoder), arguments.classes)
    names = tuple(f"class {i}" for i in range(arguments.classes))
    save_bundle(network, Preprocessing(class_names=names, class_colors=((0, 0, 0),) * len(names)), folder)
    return str(folder)


def _pictures(arguments: argparse.Namespace) -> list[np.ndarray]:
    if arguments.root is None:
        width, height = arguments.size
        return [street_scene(seed, (height, width))[0] for seed in range(arguments.images)]
    reader = build_reader(load_card("camvid"), arguments.root)
    samples = reader.list_samples(arguments.split).samples
    return [reader.read_image(sample) for sample in islice(samples, arguments.images)]


def _measure(
    pictures: list[np.ndarray], suffix: str, checkpoint: str, folder: Path, arguments: argparse.Namespace
) -> dict:
    (folder / "images").mkdir(parents=True)
    for i, picture in enumerate(pictures):
        quality = {"quality": 95} if suffix == "jpg" else {}
        Image.fromarray(picture).save(folder / "images" / f"{i:04}.{suffix}", **quality)
    config = PredictConfig(
        checkpoint=checkpoint,
        input=str(folder / "images"),
        output=str(folder / "masks"),
        overwrite=True,
        device=arguments.device,
    )
    reported: list[float] = []

    def files() -> None:
        report = predict_files(config)
        if report.failed:
            raise SystemExit(report.failed[0])
        reported.append(report.seconds)  # the model is loaded anew at each call, which is no part of the rate

    network, tensors = _ready(pictures, checkpoint, arguments.device)

    @torch.inference_mode()
    def bare() -> None:
        for x in tensors:
            network(x)

    seconds = take_turns({"files": files, "network": bare}, arguments.rounds, torch.device(arguments.device))
    count, alone = len(pictures), seconds["network"]
    whole = reported[1:]  # the first turn is not counted
    return {
        "format": suffix,
        **spread([count / s for s in whole], "files_per_second", 2),
        **spread([count / s for s in alone], "network_per_second", 2),
        **spread(ratios(alone, whole), "share", 4),
    }


def _ready(pictures: list[np.ndarray], checkpoint: str, device: str) -> tuple[torch.nn.Module, list[torch.Tensor]]:
    """The network as the command has it, and what the command gives it, kept on the device."""
    predictor = Predictor.from_checkpoint(checkpoint, device)
    tensors: list[torch.Tensor] = []
    handle = predictor.model.register_forward_pre_hook(lambda _, inputs: tensors.append(inputs[0]))
    predictor.predict_batch(pictures)
    handle.remove()
    return predictor.model, tensors


if __name__ == "__main__":
    run_main(main)
