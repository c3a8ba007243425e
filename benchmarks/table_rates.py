"""Markdown tables of what was timed: speed, floor, loader, metric, check, volumes, quickstart."""

import re
from collections.abc import Callable

from table_parts import grouped, markdown, measured_on


def speed_table(result: dict) -> str:
    """Images a second, a table for each job, batch and number of threads; in brackets the share of the floor."""
    parts = [f"{_size(result)}, median of {result['rounds']} rounds. {measured_on(result['environment'])}"]
    reasons: dict[str, dict[str, None]] = {}
    for (job, batch, threads), rows in _by(result["rows"], "job", "batch", "threads").items():
        # what no network can do on this machine has no column
        paths = list(dict.fromkeys(row["path"] for row in rows if "ms" in row))
        lines = []
        for network, runs in grouped(rows, "network").items():
            cells = {run["path"]: _rate(run) for run in runs}
            for run in runs:
                if "ms" not in run:
                    reasons.setdefault(run["not_measured"], {})[network] = None
            # a network that cannot go through this job at all has no operations to count
            gflop = next((f"{run['gflop'] / batch:.1f}" for run in runs if "gflop" in run), "-")
            facts = [f"{runs[0]['million_parameters']:.1f}", gflop]
            lines.append([network, *facts, *(cells.get(path, "-") for path in paths)])
        where = f", {threads} threads" if "floor_ms" not in rows[0] else ""
        parts.append(f"Images a second, {job}, batch of {batch}{where}:")
        parts.append(markdown(["network", "M parameters", "GFLOP / image", *paths], lines))
    if reasons:
        everyone = {row["network"] for row in result["rows"]}
        whys = (f"{why} ({'all' if who.keys() == everyone else ', '.join(who)})" for why, who in reasons.items())
        parts.append(f"Not measured: {'; '.join(whys)}.")
    return "\n\n".join(parts)


def _rate(run: dict) -> str:
    if "ms" not in run:
        return "-"
    share = f" ({100 * run['share_of_floor']:.0f} %)" if "share_of_floor" in run else ""
    return f"{run['images_per_second']:.1f}{share}"


def floor_table(result: dict) -> str:
    """The least milliseconds a batch can take."""
    caption = (
        f"{_size(result)}, bfloat16, at {result['tflops']:g} TFLOP/s and {result['gbps']:g} GB/s; computed, not "
        f"measured."
    )
    lines = [
        [
            row["network"],
            row["job"],
            row["batch"],
            *(
                ["-", "-", row["not_measured"]]
                if "not_measured" in row
                else [f"{row['gflop']:.1f}", f"{row['gbyte']:.2f}", f"{row['floor_ms']:.3f}"]
            ),
        ]
        for row in result["rows"]
    ]
    return f"{caption}\n\n" + markdown(["network", "job", "batch", "GFLOP", "GB", "floor: ms"], lines)


def loader_table(result: dict) -> str:
    """Images a second, ours beside a plain loader."""
    loaders = list(dict.fromkeys(_loader(row) for row in result["rows"]))
    lines = []
    for (suffix, workers), rows in _by(result["rows"], "format", "workers").items():
        rates = {_loader(row): f"{row['images_per_second']:.0f}" for row in rows}
        lines.append([suffix, workers, *(rates[loader] for loader in loaders)])
    width, height = result["crop"]
    caption = f"Images a second, crops of {width}x{height}. {measured_on(result['environment'])}"
    return f"{caption}\n\n" + markdown(["format", "workers", *loaders], lines)


def _loader(row: dict) -> str:
    return row["loader"] if row["cache"] == "none" else f"{row['loader']}, cache: {row['cache']}"


def metric_table(result: dict) -> str:
    """Milliseconds a batch."""
    metrics = list(dict.fromkeys(row["metric"] for row in result["rows"]))
    lines = []
    for classes, rows in grouped(result["rows"], "classes").items():
        times = {row["metric"]: f"{row['ms']:.2f}" for row in rows}
        lines.append([classes, *(times[metric] for metric in metrics)])
    caption = f"Milliseconds for {result['batch']} label maps of {_size(result)}. {measured_on(result['environment'])}"
    return f"{caption}\n\n" + markdown(["classes", *metrics], lines)


def layers_table(result: dict) -> str:
    """Milliseconds of both sides, and how many times as fast ours is, a column for each layout and precision."""
    lines = []
    for what, rows in grouped(result["rows"], "what").items():
        sides = [(row["pytorch_ms"], row["ours_ms"]) for row in rows]
        lines.append([what, *(f"{theirs:.1f} / {ours:.1f} = {theirs / ours:.2f}" for theirs, ours in sides)])
    columns = list(dict.fromkeys(f"{row['layout']}, {row['precision']}" for row in result["rows"]))
    caption = (
        f"Milliseconds of PyTorch's / ours = times as fast; layers of a batch of {result['batch']}, networks at "
        f"{_size(result)}, median of {result['rounds']} rounds. {measured_on(result['environment'])}"
    )
    return f"{caption}\n\n" + markdown(["layer or network", *columns], lines)


def profile_table(result: dict) -> str:
    """Milliseconds of a step and of the device's work in it, and the operations that take most of that."""
    parts = [
        f"Batch of {result['batch']} at {_size(result)}, mean of {result['steps']} steps. "
        f"{measured_on(result['environment'])}"
    ]
    for path, rows in grouped(result["rows"], "path").items():
        steps, operations = [], []
        for row in rows:
            if "not_measured" in row:
                steps.append([row["network"], row["not_measured"], "-", "-"])
                continue
            steps.append([row["network"], f"{row['ms']:.1f}", f"{row['busy_ms']:.1f}", row["kernels"]])
            for event in row["longest"][:5]:
                share = f"{100 * event['ms'] / row['busy_ms']:.1f} %"
                name, calls = event["operation"].removeprefix("aten::"), f"{event['calls']:g}"
                operations.append([row["network"], name, _shapes(event), calls, f"{event['ms']:.2f}", share])
        parts += [f"{path}:", markdown(["network", "ms / step", "device busy: ms", "kernels"], steps)]
        parts.append(markdown(["network", "operation", "tensors", "calls", "ms", "of the busy time"], operations))
    return "\n\n".join(parts)


def _shapes(event: dict) -> str:
    """Of the tensors, without empty ones, which are scalars and options."""
    return ", ".join("x".join(shape.split(", ")) for shape in re.findall(r"\[(\d[\d, ]+)\]", event["shapes"])[:3])


def check_table(result: dict) -> str:
    """Seconds and pairs a second."""
    lines = [[row["way"], f"{row['seconds']:.2f}", f"{row['pairs_per_second']:.0f}"] for row in result["rows"]]
    caption = f"{result['data'][0].upper()}{result['data'][1:]}. {measured_on(result['environment'])}"
    return f"{caption}\n\n" + markdown(["way", "seconds", "pairs / s"], lines)


def volumes_table(result: dict) -> str:
    """Slices a second."""
    options = result["arguments"]
    lines = [
        [way, f"{rates['first_epoch']:.0f}", f"{rates['later_epochs']:.0f}"]
        for way, rates in result["slices_per_second"].items()
    ]
    caption = (
        f"Slices a second of {options['cases']} volumes of {options['slices']} slices of "
        f"{options['side']}x{options['side']}. {measured_on(result['environment'])}"
    )
    return f"{caption}\n\n" + markdown(["way", "first epoch", "later epochs"], lines)


def fast_path_table(result: dict) -> str:
    """Images a second, and what became of the scores."""
    first = result["rows"][0]["images_per_second"]
    lines = [
        [
            row["way"],
            f"{row['images_per_second']:.1f}",
            f"{row['images_per_second'] / first:.2f}",
            f"{row['mIoU']:.2f}",
            f"{row['equal_labels_percent']:.2f}",
        ]
        for row in result["rows"]
    ]
    caption = f"{result['network']}, {result['data']}, batch {result['batch']}. {measured_on(result['environment'])}"
    columns = ["way", "images / s", "times the first", "mIoU %", "labels as the first's %"]
    return f"{caption}\n\n" + markdown(columns, lines)


def quickstart_table(result: dict) -> str:
    """Seconds of each command."""
    lines = [[f"`{row['command']}`", f"{row['seconds']:.1f}"] for row in result["rows"]]
    caption = (
        f"mIoU {result['mIoU']:.1f} % on the {result['pictures']} pictures of split {result['split']}. "
        f"{measured_on(result['environment'])}"
    )
    return f"{caption}\n\n" + markdown(["command", "seconds"], [*lines, ["all", f"{result['seconds']:.1f}"]])


def _size(result: dict) -> str:
    width, height = result["size"]
    return f"{width}x{height}"


def _by(rows: list[dict], *keys: str) -> dict[tuple, list[dict]]:
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


RATES: dict[str, Callable[[dict], str]] = {
    "speed": speed_table,
    "roofline": floor_table,
    "loader": loader_table,
    "metric": metric_table,
    "layers": layers_table,
    "profile": profile_table,
    "check": check_table,
    "volumes": volumes_table,
    "fast-path": fast_path_table,
    "quickstart": quickstart_table,
}
