"""Markdown tables of what networks scored: accuracy, on one GPU too, folds, and the search by hand."""

import statistics
from collections.abc import Callable

from table_parts import grouped, markdown, mean_and_deviation, measured_on


def accuracy_table(result: dict) -> str:
    """Networks by their mean score over the seeds, best first; a chain of changes stays in its order."""
    networks = grouped(result["rows"], "network").items()
    lines = []
    for network, rows in networks if result.get("chain") else sorted(networks, key=lambda item: _rank(item[1])):
        first = rows[0]
        facts = [f"{first['million_parameters']:.1f}", _milliseconds(result, network), first["steps"]]
        lines.append([network, *facts, _score(rows), len(rows)])
    return markdown(["network", "M parameters", "ms / step", "steps", "val mIoU %", "seeds"], lines)


def _rank(rows: list[dict]) -> float:
    return -sum(row["mIoU"] or 0.0 for row in rows) / len(rows)


def _score(rows: list[dict]) -> str:
    """Mean and deviation over the seeds; a seed that was stopped has no score, so the reason stands beside it."""
    values = [row["mIoU"] for row in rows if row["mIoU"] is not None]
    reasons = [row["stopped"] for row in rows if row["mIoU"] is None]
    return ", ".join([mean_and_deviation(values), *reasons] if values else reasons)


def _milliseconds(result: dict, network: str) -> str:
    """Of a step, if the networks were timed side by side (``accuracy.py --time``)."""
    return f"{result['step_ms'][network]:.0f}" if network in result.get("step_ms", {}) else "-"


def gpu_accuracy_table(result: dict) -> str:
    """Networks by their mean score on val; test is empty until it was scored at the end."""
    lines = []
    for network, rows in grouped(result["rows"], "network").items():
        scored = [row for row in rows if row["stopped"] is None]
        tests = [row["test"]["mIoU"] for row in scored if "test" in row]
        stopped = [f"seed {row['seed']}: {row['stopped']}" for row in rows if row["stopped"] is not None]
        if scored:
            values = [row["mIoU"] for row in scored]
            minutes = statistics.fmean(row["seconds"] for row in scored) / 60
            facts = [f"{scored[0]['million_parameters']:.1f}", scored[0]["steps"]]
            cells = [mean_and_deviation(values), mean_and_deviation(tests) if tests else "-", f"{minutes:.1f}"]
        else:
            values, facts, cells = [0.0], ["-", "-"], ["-", "-", "-"]
        lines.append((-statistics.fmean(values), [network, *facts, *cells, "; ".join([str(len(scored)), *stopped])]))
    head = ["network", "M parameters", "steps", "val mIoU %", "test mIoU %", "minutes", "seeds"]
    table = markdown(head, [line for _, line in sorted(lines, key=lambda line: line[0])])
    return f"{measured_on(result['rows'][0]['environment'])}\n\n{table}"


def isbi_table(result: dict) -> str:
    """Networks by V^Rand; mean and standard deviation over the folds, percent."""
    scores: dict[str, Callable[[dict], float]] = {
        "IoU membrane": lambda row: row["IoU"]["membrane"],
        "IoU cell": lambda row: row["IoU"]["cell"],
        "Dice membrane": lambda row: row["Dice"]["membrane"],
        "Dice cell": lambda row: row["Dice"]["cell"],
        "V^Rand": lambda row: row["rand"],
        "V^Info": lambda row: row["info"],
        "best V^Rand": lambda row: row["best_rand"],
        "best V^Info": lambda row: row["best_info"],
    }
    lines = []
    for network, rows in grouped(result["rows"], "network").items():
        scored = [row for row in rows if row["stopped"] is None]
        if scored:
            figures = [mean_and_deviation([score(row) for row in scored]) for score in scores.values()]
            rank = -statistics.fmean(row["rand"] for row in scored)
            facts = [f"{scored[0]['million_parameters']:.1f}", str(scored[0]["steps"])]
        else:
            figures, facts, rank = ["-"] * len(scores), ["-", "-"], 0.0
        stopped = [f"fold {row['fold']}: {row['stopped']}" for row in rows if row["stopped"] is not None]
        lines.append((rank, [network, *facts, *figures, "; ".join([str(len(scored)), *stopped])]))
    head = ["network", "M parameters", "steps", *scores, "folds"]
    return markdown(head, [line for _, line in sorted(lines, key=lambda line: line[0])])


def recipe_table(result: dict) -> str:
    """Recipes by their mean score over the seeds, best first."""
    lines = []
    for change, rows in sorted(grouped(result["rows"], "change").items(), key=lambda item: _rank(item[1])):
        lines.append([change, rows[0]["steps"], _score(rows), len(rows)])
    return f"{result['network']}:\n\n" + markdown(["recipe", "steps", "val mIoU %", "seeds"], lines)


def search_table(result: dict) -> str:
    """What was tried on the way, best loss first; one row a run, of membranes with its fold."""
    of_membranes = "membrane" in result["rows"][0]
    score, title = ("membrane", "IoU membrane %") if of_membranes else ("mIoU", "val mIoU %")
    keys = ["fold", "seed"] if of_membranes else ["seed"]
    lines = [
        [
            row["what"],
            f"{row['million_parameters']:.1f}",
            *(row[key] for key in keys),
            f"{row['loss']:.2f}",
            f"{row[score]:.1f}",
        ]
        for row in sorted(result["rows"], key=lambda row: (row.get("fold", 0), row["steps"], row["loss"]))
    ]
    return markdown(["what", "M parameters", *keys, "loss", title], lines)


SCORES: dict[str, Callable[[dict], str]] = {
    "accuracy": accuracy_table,
    "gpu-accuracy": gpu_accuracy_table,
    "isbi": isbi_table,
    "recipe": recipe_table,
    "search": search_table,
}
