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
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from networks import named
from result_files import RESULTS, given_command, run_main
from rich.console import Console
from rows import put_row, read_rows, recipe_of, refuse_missing_data, with_length
from table_scores import isbi_table
from training import by_class, percent, run_of, train

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.evaluation.segments import SegmentScores, segment_scores, segments_from_boundaries
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.training.config import TrainConfig
from segnext_pafpn.training.evaluate import Result
from segnext_pafpn.training.load_config import load_config

CARD = "isbi2012-folds"
NETWORKS = named("PAFPNeXt elanext_tiny", "PAFPNeXt elanext_nano", "Unet resnet18", "UnetPlusPlus resnet18")
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
        "command": given_command(),
        "data": f"card '{CARD}', {folds} folds, trained on all but one, scored on that one",
        "recipe": recipe_of(base),
    }
    refuse_missing_data(base.data, arguments.root)
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
    config = run_of(base, name, NETWORKS[name], f"fold{fold}", arguments.runs, arguments.root)
    config = replace(config, overwrite=True, data=replace(config.data, layout={"fold": fold}))
    logging.info(f"{name}, fold {fold}")
    return train(config, {"network": name, "fold": fold, "seed": config.seed}, partial(_scores, config))


def _scores(config: TrainConfig, result: Result | None) -> dict:
    """Percent; nothing where there is no result."""
    if result is None:
        return {}
    return {
        "IoU": by_class(result, result.scores.iou),
        "Dice": by_class(result, result.scores.dice),
        **segment_row(Predictor.from_checkpoint(config.run_dir, fuse=False), config.data),
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
    row = {"slices": len(samples), **_in_percent(_mean(scores[0.5]))}
    for score in ("rand", "info"):
        means = {threshold: _mean(found)[score] for threshold, found in scores.items()}
        best = max(means, key=means.get)
        row |= {f"best_{score}": percent(means[best]), f"best_{score}_threshold": best}
    return row


def _mean(scores: Sequence[SegmentScores]) -> dict[str, float]:
    names = ("rand", "rand_split", "rand_merge", "info", "info_split", "info_merge")
    return {name: statistics.fmean(getattr(s, name) for s in scores) for name in names}


def _in_percent(values: dict[str, float]) -> dict[str, float | None]:
    return {key: percent(value) for key, value in values.items()}


if __name__ == "__main__":
    run_main(main)
