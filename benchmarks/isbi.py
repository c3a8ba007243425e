"""Membranes and cells of ISBI 2012 in folds: IoU, Dice, and the challenge's Rand and information scores.

    python benchmarks/isbi.py --root PATH/TO/isbi2012
    python benchmarks/isbi.py --root PATH/TO/isbi2012 --folds 0 1 --only "Unet resnet18"

The 30 slices that have labels lie in 5 folds; each network is trained on four and scored on the fifth, by one recipe.
It is evaluated once, after the last epoch, so nothing is chosen on the slices that are scored. What is in the result
file already is not trained again: the script can be stopped and started, and several of it with different ``--folds``
or ``--only`` may fill one file at once.

The segments are what membranes divide, where the probability of a membrane is 0.5 or more; each pixel of a membrane
goes to the nearest segment. Both scores of the challenge look at pixels inside true cells alone, slice by slice, and
are averaged over the slices of the fold. The challenge takes the threshold at which a score is best: that is here, too,
over 0.1, 0.2 .. 0.9, as ``best_rand`` and ``best_info``, each with its threshold. All scores are in percent.
"""

import argparse
import logging
import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from environment import describe_environment
from rich.console import Console
from rows import load_config, put_row, read_rows, recipe_of, with_length
from table_kinds import isbi_table

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.datamodule import DataConfig, SegmentationDataModule
from segnext_pafpn.evaluation.segments import SegmentScores, segment_scores, segments_from_boundaries
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.models.factory import ModelConfig
from segnext_pafpn.training.callbacks import NonFiniteLossError
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.run import fit

RESULTS = Path(__file__).parent / "results"
CARD = "isbi2012-folds"
NETWORKS = {
    "PAFPNeXt elanext_nano": ModelConfig(encoder_name="elanext_nano"),
    "Unet resnet18": ModelConfig(arch="unet", encoder_name="resnet18"),
    "UnetPlusPlus resnet18": ModelConfig(arch="unetplusplus", encoder_name="resnet18"),
}
THRESHOLDS = tuple(round(0.1 * i, 1) for i in range(1, 10))


def main() -> None:
    """Train what is missing in the result file, then print all of it."""
    folds = load_card(CARD).layout["folds"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="isbi2012-cpu", help="a shipped configuration, or a path")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(folds)), choices=range(folds))
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(NETWORKS), help="the named networks")
    parser.add_argument("--epochs", type=int, help="in place of the configuration's")
    parser.add_argument("--precision", help="in place of the configuration's, for all networks alike")
    parser.add_argument("--runs", default="runs/benchmark", help="where the runs lie")
    parser.add_argument("--out", type=Path, help="result file; default results/isbi.json, or isbi-CONFIG.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = _base(arguments)
    suffix = "" if arguments.config == parser.get_default("config") else f"-{Path(arguments.config).stem}"
    out = arguments.out or RESULTS / f"isbi{suffix}.json"
    header = {
        "benchmark": "isbi",
        "command": _command(arguments),
        "data": f"card '{CARD}', {folds} folds, trained on all but one, scored on that one",
        "recipe": recipe_of(base),
    }
    rows = read_rows(out, header["recipe"])
    done = {(row["network"], row["fold"]) for row in rows}
    for fold in arguments.folds:
        for name in arguments.only or NETWORKS:
            if (name, fold) not in done:
                row = _train(name, fold, base, arguments)
                rows = put_row(out, header, row, keys=("network", "fold"))
    Console(width=140).print(isbi_table({**header, "rows": rows}), highlight=False)


def _base(arguments: argparse.Namespace) -> TrainConfig:
    """The recipe, on the card with folds, evaluated after its last epoch alone."""
    base = with_length(load_config(arguments.config), arguments.epochs, arguments.precision)
    trainer = replace(base.trainer, check_val_every_n_epoch=base.trainer.max_epochs)
    return replace(base, trainer=trainer, data=replace(base.data, card=CARD, layout={}))


def _train(name: str, fold: int, base: TrainConfig, arguments: argparse.Namespace) -> dict:
    config = replace(
        base,
        name=f"{base.name}-{re.sub(r'[^a-zA-Z0-9_]+', '-', name)}-fold{fold}",
        output_dir=arguments.runs,
        overwrite=True,
        model=NETWORKS[name],
        data=replace(base.data, root=arguments.root, layout={"fold": fold}),
    )
    logging.info(f"{name}, fold {fold}")
    row = {"network": name, "fold": fold, "seed": config.seed}
    facts = {"load_at_start": round(os.getloadavg()[0], 2), "environment": describe_environment()}
    start = time.perf_counter()
    try:
        result = fit(config)
    except NonFiniteLossError as error:
        logging.info(str(error))
        return {**row, "stopped": f"non-finite loss at step {error.step}", "steps": error.step, **facts}
    seconds = round(time.perf_counter() - start)
    last = torch.load(config.run_dir / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    predictor = Predictor.from_checkpoint(config.run_dir, fuse=False)
    return {
        **row,
        "stopped": None,
        "million_parameters": round(sum(p.numel() for p in predictor.model.parameters()) / 1e6, 2),
        "IoU": _percent(dict(zip(result.class_names, result.scores.iou, strict=True))),
        "Dice": _percent(dict(zip(result.class_names, result.scores.dice, strict=True))),
        **segment_row(predictor, config.data),
        "steps": last["global_step"],
        "seconds": seconds,
        "model": asdict(config.model),
        **facts,
    }


def segment_row(predictor: Predictor, data: DataConfig) -> dict:
    """Scores of the segments in percent, means over the slices of the validation split."""
    module = SegmentationDataModule(data)
    membrane = module.card.class_names.index("membrane")
    samples = module.samples(data.val_split)
    scores: dict[float, list[SegmentScores]] = {threshold: [] for threshold in THRESHOLDS}
    for sample in samples:
        probability = predictor.logits(module.reader.read_image(sample)).softmax(dim=0)[membrane].cpu().numpy()
        truth = segments_from_boundaries(module.labels(module.reader.read_mask(sample)) == membrane)
        for threshold in THRESHOLDS:
            segments = segments_from_boundaries(probability, threshold, fill=True)
            scores[threshold].append(segment_scores(segments, truth))
    row = {"slices": len(samples), **_percent(_mean(scores[0.5]))}
    for score in ("rand", "info"):
        means = {threshold: _mean(found)[score] for threshold, found in scores.items()}
        best = max(means, key=means.get)
        row |= {**_percent({f"best_{score}": means[best]}), f"best_{score}_threshold": best}
    return row


def _mean(scores: Sequence[SegmentScores]) -> dict[str, float]:
    names = ("rand", "rand_split", "rand_merge", "info", "info_split", "info_merge")
    return {name: statistics.fmean(getattr(s, name) for s in scores) for name in names}


def _percent(values: dict[str, float]) -> dict[str, float]:
    return {key: round(100 * float(np.float64(value)), 2) for key, value in values.items()}


def _command(arguments: argparse.Namespace) -> str:
    command = "python benchmarks/isbi.py --root PATH"
    if arguments.config != "isbi2012-cpu":
        command += f" --config {arguments.config}"
    for name in ("epochs", "precision"):
        if (value := getattr(arguments, name)) is not None:
            command += f" --{name} {value}"
    return command


if __name__ == "__main__":
    main()
