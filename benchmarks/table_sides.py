"""Markdown tables of what stands beside its bound: windows beside MONAI, and three rates beside those of bare work."""

from collections.abc import Callable

from table_parts import markdown, measured_on


def windows_table(result: dict) -> str:
    """Seconds, memory and labels of every way, beside those of the reference."""
    reference = next(row for row in result["rows"] if row["name"] == result["reference"])
    side = f"{result['side']:,}"
    caption = (
        f"{result['network']}, {result['classes']} classes, a picture of {side} x {side} on {result['device']}, "
        f"{result['windows']} windows of {result['window']}x{result['window']}, overlap {result['overlap']:g}, "
        f"{_rounds(result)}. {measured_on(result['environment'])}"
    )
    lines = [
        [
            row["name"],
            f"{row['seconds']:.1f}",
            f"{reference['seconds'] / row['seconds']:.2f}",
            row["grown_mib"],
            f"{row['grown_mib'] / reference['grown_mib']:.3f}",
            f"{row['equal_labels_percent']:.4f}",
        ]
        for row in result["rows"]
    ]
    head = ["windows of", "seconds", "times as fast", "MiB", "of its memory", "equal labels, %"]
    return f"{caption}\n\n" + markdown(head, lines)


def predict_table(result: dict) -> str:
    """Images a second of files to files, and of the network alone."""
    width, height = result["size"]
    lines = [
        [
            row["format"],
            f"{row['files_per_second']:.1f}",
            f"{row['network_per_second']:.1f}",
            _percent(row, "share"),
        ]
        for row in result["rows"]
    ]
    caption = (
        f"{result['network']}, {result['images']} {result['pictures']} of {width}x{height} on {result['device']}, "
        f"{_rounds(result)}. {measured_on(result['environment'])}"
    )
    return f"{caption}\n\n" + markdown(["format", "files: images / s", "network: images / s", "share"], lines)


def fed_table(result: dict) -> str:
    """Milliseconds of a training step on what the loader gives, and on tensors that are there already."""
    width, height = result["crop"]
    lines = [
        [row["cache"], row["workers"], f"{row['ready_ms']:.1f}", f"{row['fed_ms']:.1f}", _percent(row, "share")]
        for row in result["rows"]
    ]
    caption = (
        f"{result['network']}, {result['precision']}, {result['batch']} crops of {width}x{height} on "
        f"{result['device']}, {_rounds(result)} of {result['steps']} steps. {measured_on(result['environment'])}"
    )
    return f"{caption}\n\n" + markdown(["cache", "workers", "ready: ms / step", "fed: ms / step", "share"], lines)


def metric_share_table(result: dict) -> str:
    """What the confusion matrix adds to a forward pass and the most probable class."""
    width, height = result["size"]
    lines = [
        [
            row["classes"],
            f"{row['forward_ms']:.2f}",
            f"{row['both_ms']:.2f}",
            f"{row['update_ms']:.3f}",
            _percent(row, "share"),
        ]
        for row in result["rows"]
    ]
    caption = (
        f"{result['network']}, {result['precision']}, {result['batch']} images of {width}x{height} on "
        f"{result['device']}, {_rounds(result)}. {measured_on(result['environment'])}"
    )
    head = ["classes", "forward and argmax: ms", "with the update: ms", "update alone: ms", "it adds"]
    return f"{caption}\n\n" + markdown(head, lines)


def _percent(row: dict, key: str) -> str:
    """The median with its quartiles."""
    low, high = row[f"{key}_quartiles"]
    return f"{100 * row[key]:.1f} % ({100 * low:.1f}-{100 * high:.1f})"


def _rounds(result: dict) -> str:
    return "one round" if result["rounds"] == 1 else f"median of {result['rounds']} rounds"


SIDES: dict[str, Callable[[dict], str]] = {
    "windows": windows_table,
    "predict": predict_table,
    "fed": fed_table,
    "metric-share": metric_share_table,
}
