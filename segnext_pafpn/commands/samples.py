"""samples: pictures and masks of a data set as files. Does without torch, to be quick."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segnext_pafpn.arguments import parse
from segnext_pafpn.commands.common import build_parser, say, track
from segnext_pafpn.data.card import Card, load_card
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.data.pairs import read_raw
from segnext_pafpn.data.readers import Reader, Sample, build_reader
from segnext_pafpn.data.readers.volume.files import stem_of, suffix_of
from segnext_pafpn.errors import UserError, counted
from segnext_pafpn.files import write_atomic
from segnext_pafpn.inference.writer import class_paths, save_layers, save_mask, save_rgb
from segnext_pafpn.intensity import viewable

_DEFAULT_SPLITS = ("test", "val")  # the first that is there


@dataclass(kw_only=True)
class SourceConfig:
    """Where the pictures are from; these are also options of train's data.

    Args:
        card: name of a shipped card, path of a YAML card or of Ultralytics' data.yaml, or folder of a data set of
            nnU-Net.
        root: the data set's folder, in place of the one in the card.
        layout: options of the card's layout in place of its own, such as ``{fold: 1}``.
    """

    card: str = "streets"
    root: str | None = None
    layout: dict[str, Any] = field(default_factory=dict)


def samples(argv: list[str]) -> int:
    """write pictures and masks of a data set as files"""
    parser = build_parser(
        "samples",
        "Copy images of a data set and write their class-id masks as PNG files; of the built-in data sets, and of "
        "slices of volumes, the images become PNG files, too.",
    )
    parser.add_argument("--data", type=SourceConfig, default=SourceConfig())
    parser.add_argument("--split", type=str | None, help="split to write; default: test where there is one, else val.")
    parser.add_argument("--count", type=int, default=8, help="how many, from the split's beginning.")
    parser.add_argument("--output", type=str, required=True, help="folder for images/ and masks/ (-o).")
    arguments = parse(parser, argv)
    if arguments.count < 1:
        raise UserError(f"--count: found {arguments.count}, expected at least 1.")
    card = load_card(arguments.data.card)
    reader = build_reader(card, arguments.data.root, arguments.data.layout)
    card = reader.fitted(card)
    split = arguments.split or _default_split(card, reader)
    listing = reader.list_samples(split)
    if listing.problems:
        raise UserError(listing.problems[0])
    folder = Path(arguments.output)
    chosen = listing.samples[: arguments.count]
    _refuse_own_folder(chosen, folder)
    labels = LabelMap(card)
    for sample, stem in track(list(zip(chosen, _stems(chosen), strict=True)), len(chosen), "write"):
        _write_image(sample, stem, card, reader, folder / "images")
        truth = labels(read_raw(reader, sample, labels))
        if card.multi_label:
            save_layers(truth, class_paths(folder / "masks", card.class_names, stem))
        else:
            save_mask(truth, folder / "masks" / f"{stem}.png")
    masks = "its mask" if len(chosen) == 1 else "their masks"
    say(f"{counted(len(chosen), 'picture')} of split '{split}' and {masks} are in {folder}.")
    if any(sample.slice is not None for sample in chosen):
        say("They are slices of volumes, as pictures for the eye: predict takes the volumes themselves.")
    elif chosen and len(files := _files(chosen[0])) > 1:
        patterns = [f"{folder}/images/{{name}}_{i:04}{suffix_of(path)}" for i, path in enumerate(files)]
        say(f'Each has {len(files)} files; predict takes them as -i "{patterns}".')
    return 0


def _default_split(card: Card, reader: Reader) -> str:
    found = reader.splits()
    split = next((split for split in _DEFAULT_SPLITS if split in found), None)
    if split is None:
        raise UserError(
            f"{card.path}: neither of the splits {' and '.join(_DEFAULT_SPLITS)} is there. Found splits: "
            f"{', '.join(found) or 'none'}; choose one with --split."
        )
    return split


def _files(sample: Sample) -> tuple[Path, ...]:
    """The files of the image, one or one for each channel; none where the sample is drawn, or a slice of them."""
    if sample.image is None or sample.slice is not None:
        return ()
    return sample.channel_files or (sample.image,)


def _stems(chosen: Sequence[Sample]) -> list[str]:
    """What the files of each sample are called: as its own file, so that predict calls its mask so, or by its name."""
    stems = []
    for sample in chosen:
        files = _files(sample)
        own = stem_of(files[0]) if len(files) == 1 else Path(sample.name).name
        stems.append(Path(sample.name).with_name(own).as_posix())
    return stems if len(set(stems)) == len(stems) else [sample.name for sample in chosen]


def _refuse_own_folder(chosen: Sequence[Sample], folder: Path) -> None:
    """The data set itself must not be written into."""
    taken = [(folder / name).resolve() for name in ("images", "masks")]
    for sample in chosen:
        masks = (sample.mask, sample.valid, *(path for _, path in sample.class_masks))
        for path in (*_files(sample), *(path for path in masks if path is not None)):
            places = (*path.resolve().parents, *(path.parent.resolve() / path.name).parents)  # it may be a link
            if any(below in places for below in taken):
                raise UserError(f"{folder}: holds the data set itself ({path}). Choose another folder with --output.")


def _write_image(sample: Sample, stem: str, card: Card, reader: Reader, folder: Path) -> None:
    """Files as they are, which predict reads as training did; a picture of what has none."""
    files = _files(sample)
    if not files:
        save_rgb(viewable(reader.read_image(sample), neighbours=card.image.neighbours), folder / f"{stem}.png")
    for i, path in enumerate(files):
        channel = f"_{i:04}" if len(files) > 1 else ""  # as nnU-Net calls them
        with write_atomic(folder / f"{stem}{channel}{suffix_of(path)}") as temporary:
            temporary.write_bytes(path.read_bytes())
