"""samples: pictures and masks of a data set as files. Does without torch, to be quick."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, say, track
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.writer import class_paths, save_layers, save_mask, save_rgb
from segnext_pafpn.intensity import viewable


@dataclass(kw_only=True)
class SourceConfig:
    """Where the pictures are from; these are also options of train's data.

    Args:
        card: name of a shipped card or path of a YAML card.
        root: the data set's folder, in place of the one in the card.
        layout: options of the card's layout in place of its own, such as ``{fold: 1}``.
    """

    card: str = "streets"
    root: str | None = None
    layout: dict[str, Any] = field(default_factory=dict)


def samples(argv: list[str]) -> int:
    """write pictures and masks of a data set as files"""
    parser = build_parser(
        "samples", "Write pictures and their class-id masks as PNG files, the built-in data sets' too."
    )
    parser.add_argument("--data", type=SourceConfig, default=SourceConfig())
    parser.add_argument("--split", type=str, default="test", help="split to write.")
    parser.add_argument("--count", type=int, default=8, help="how many, from the split's beginning.")
    parser.add_argument("--output", type=str, required=True, help="folder for images/ and masks/ (-o).")
    arguments = parse(parser, argv)
    card = load_card(arguments.data.card)
    reader, labels = build_reader(card, arguments.data.root, arguments.data.layout), LabelMap(card)
    card = reader.fitted(card)
    listing = reader.list_samples(arguments.split)
    if listing.problems:
        raise UserError(listing.problems[0])
    folder = Path(arguments.output)
    chosen = listing.samples[: arguments.count]
    for sample in track(chosen, len(chosen), "write"):
        save_rgb(
            viewable(reader.read_image(sample), neighbours=card.image.neighbours),
            folder / "images" / f"{sample.name}.png",
        )
        if card.multi_label:
            save_layers(reader.read_layers(sample), class_paths(folder / "masks", card.class_names, sample.name))
        else:
            save_mask(labels(reader.read_mask(sample)), folder / "masks" / f"{sample.name}.png")
    say(f"{len(chosen)} pictures and masks are in {folder}.")
    return 0
