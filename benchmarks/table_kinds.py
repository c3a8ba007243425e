"""Markdown tables: stability and growth; and by which function each kind of result file becomes one."""

from collections.abc import Callable

from table_parts import grouped, markdown, measured_on
from table_rates import RATES
from table_scores import SCORES
from table_sides import SIDES


def stability_table(result: dict) -> str:
    """A row for each network and precision, a column for each learning rate: the last loss, or where it ended."""
    rates = sorted({row["lr"] for row in result["rows"]})
    lines = []
    for network, rows in grouped(result["rows"], "network").items():
        for precision, runs in grouped(rows, "precision").items():
            found = {run["lr"]: _stability(run) for run in runs}
            lines.append([network, precision, *(found.get(rate, "-") for rate in rates)])
    width, height = result["crop"]
    caption = (
        f"Mean loss of the last five of {result['steps']} steps, {result['batch']} crops of {width}x{height} in each. "
        f"{measured_on(result['environment'])}"
    )
    return f"{caption}\n\n" + markdown(["network", "precision", *(f"lr {rate:g}" for rate in rates)], lines)


def _stability(run: dict) -> str:
    if run["stopped"] is not None:
        return run["stopped"].replace("non-finite loss", "not finite")
    left_out = "" if run["loss_scale"] in (None, 65536) else f" (scale {run['loss_scale']:g})"
    return f"{run['last_loss']:.2f}{left_out}"


def cuda_tests_table(result: dict) -> str:
    """How many tests passed on the device, and which did not."""
    counts = ", ".join(f"{number} {kind}" for kind, number in result["counts"].items())
    names = "".join(f"\n- `{name}`" for name in result["failed"])
    return f"Tests that need a CUDA device: {counts}. {measured_on(result['environment'])}" + (names and f"\n{names}")


def scaling_table(result: dict) -> str:
    """A small table for each axis, in the order of measuring."""
    tables = {"pictures": _pictures_table, "processes": _processes_table}
    parts = [f"{result['network']}. {measured_on(result['environment'])}"]
    for axis, rows in grouped(result["rows"], "axis").items():
        parts.append(tables[axis](rows, result) if axis in tables else _growth_table(axis, rows))
    return "\n\n".join(parts)


def _growth_table(axis: str, rows: list[dict]) -> str:
    jobs = grouped(rows, "job")
    lines = []
    for value in dict.fromkeys(row["value"] for row in rows):
        cells: list[str] = [str(value)]
        for runs in jobs.values():
            run = next(run for run in runs if run["value"] == value)
            cells += [run["not_measured"], "-"] if "not_measured" in run else [f"{run['ms']:.0f}", _grown(run)]
        lines.append(cells)
    return markdown([axis, *(f"{job}: {unit}" for job in jobs for unit in ("ms", "MiB"))], lines)


def _pictures_table(rows: list[dict], result: dict) -> str:
    lines = []
    for row in rows:
        if "not_measured" in row:
            lines.append([row["value"], row["not_measured"], "-", "-", "-"])
        else:
            seconds = [f"{row[key]:.2f}" for key in ("list_seconds", "check_seconds", "first_batch_seconds")]
            lines.append([row["value"], *seconds, _grown(row)])
    return markdown(["pictures", "list: s", "check: s", "loader and first batch: s", "MiB"], lines)


def _processes_table(rows: list[dict], result: dict) -> str:
    lines = []
    for row in rows:
        name = f"{row['value']} x {row['threads']}"
        if "not_measured" in row:
            lines.append([name, row["not_measured"], "-", "-"])
        else:
            lines.append([name, f"{row['ms']:.0f}", f"{row['images_per_second']:.1f}", row["peak_mib"]])
    head = [f"processes x threads, {result['process_batch']} images a step", "ms / step", "images / s", "MiB each"]
    return markdown(head, lines)


def _grown(row: dict) -> str:
    """Memory beyond what the process had before."""
    return str(row["peak_mib"] - row["start_mib"])


KINDS: dict[str, Callable[[dict], str]] = {
    **SCORES,
    **SIDES,
    **RATES,
    "stability": stability_table,
    "cuda-tests": cuda_tests_table,
    "scaling": scaling_table,
}
