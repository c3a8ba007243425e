"""A folder of images and a folder of masks whose names agree, in any of the ways in which people keep them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from segnext_pafpn.data.class_rows import class_folders
from segnext_pafpn.data.readers.base import Listing, Sample
from segnext_pafpn.data.readers.files import IMAGE_SUFFIXES
from segnext_pafpn.data.readers.masks import MaskDecoder, cut_to_valid
from segnext_pafpn.data.readers.name_hints import NameHints
from segnext_pafpn.data.readers.pattern_images import PatternImages, by_name
from segnext_pafpn.data.readers.patterns import PathPattern, folder_pattern
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.ids import IGNORE_INDEX, IGNORED_ID


@dataclass(kw_only=True)
class FolderReader(PatternImages):
    """Images and masks paired by their names.

    Either the folders are split already (``images: "images/{split}"``), or lists, a seed or folds divide them; see
    :class:`~segnext_pafpn.data.readers.pattern_images.PatternImages` for that and for the options of the images.

    Args:
        images: a folder or pattern; or a list of them, if an image has a file for each channel, in their order.
        masks: folder of masks below the root, or a pattern with the same fields as ``images``. Images and masks may
            lie in one folder if their names tell them apart.
        mask_prefix, mask_suffix: what a mask's stem has before and after the pair's name, as in ``0001_mask.png``.
        mask_format: what the files hold: ``index``, ``rgb``, ``binary`` or ``files``; see
            :class:`~segnext_pafpn.data.readers.masks.MaskDecoder`.
        threshold: the highest value of a binary mask that still means the first class.
        class_suffixes: for ``files``: class name to suffix, one mask file each, as in ``{vessel: _vessel}``. Where
            they overlap, the later row of the card wins; what none claims is the card's first class without suffix.
            With ``{class}`` in ``masks`` by default what ``predict`` calls the classes' folders; of all classes where
            they may overlap, else of all but the first.
        allow_missing: for ``files``: a class without its file does not occur in the image.
        valid: folder or pattern of files that are 0 where a picture does not count, such as outside a field of view.
    """

    mask_types: ClassVar[tuple[str, ...]] = (*IMAGE_SUFFIXES, ".npy")

    images: str | list[str] = "images/{split}"
    masks: str = "masks/{split}"
    mask_prefix: str = ""
    mask_suffix: str = ""
    mask_format: str = "index"
    threshold: int | None = None
    class_suffixes: dict[str, str] = field(default_factory=dict)
    allow_missing: bool = False
    valid: str = ""

    def __post_init__(self) -> None:
        texts = [self.images] if isinstance(self.images, str) else self.images
        if not texts:
            raise UserError("layout.images: expected a folder or pattern, or a list of them, found an empty list.")
        self.images = texts[0]
        super().__post_init__()
        self.channel_patterns = [self._image_pattern(text) for text in texts[1:]]
        if self.channel_patterns and self.image_format.is_rgb8:
            raise UserError(
                f"layout.images: {len(texts)} files an image, but the card has no image.channels. Say how many they "
                f"are and how to normalise them, as in image: {{channels: {len(texts)}, normalize: zscore}}."
            )
        if ("{split}" in self.images) != ("{split}" in self.masks):
            raise UserError(
                f"layout: '{{split}}' must stand in both images '{self.images}' and masks '{self.masks}' or neither."
            )
        self.mask_patterns = self._mask_patterns()
        self.valid_pattern = self._pattern(self.valid, "", "", "valid") if self.valid else None
        others = [*self.channel_patterns, *([self.valid_pattern] if self.valid else [])]
        for pattern in (*self.mask_patterns.values(), *others):
            self._check_fields(pattern)
        given = set(self.mask_patterns)
        background = next((i for i in range(len(self.card.classes) if self.card else 0) if i not in given), None)
        self.decoder = MaskDecoder(
            format=self.mask_format, card=self.card, threshold=self.threshold, background=background
        )

    def _mask_patterns(self) -> dict[int, PathPattern]:
        """One pattern by the index of its class, or the pattern of all classes under -1."""
        if self.mask_format != "files" and not self.class_suffixes:
            return {-1: self._mask_pattern(self.mask_suffix)}
        suffixes = self._class_suffixes()
        names = self.card.class_names
        for name in suffixes:
            if name not in names:
                raise UserError(
                    f"{self.card.path}: layout.class_suffixes: '{name}' is no class.{nearest(name, names)} "
                    f"Known: {', '.join(names)}."
                )
        order = sorted(suffixes, key=names.index)
        return {names.index(name): self._mask_pattern(self.mask_suffix + suffixes[name]) for name in order}

    def _class_suffixes(self) -> dict[str, str]:
        where = f"{self.card.path}: layout" if self.card else "layout"
        if self.mask_format != "files":
            raise UserError(
                f"{where}.class_suffixes: is for a mask file for each class, found mask_format: {self.mask_format}. "
                f"Set mask_format: files, or remove class_suffixes."
            )
        if self.class_suffixes:
            return self.class_suffixes
        if self.card is None or "{class}" not in self.masks:
            raise UserError(
                f"{where}: mask_format: files needs class_suffixes, by which a picture's mask files are told apart, as "
                f"in {{disc: _disc, cup: _cup}} for a_disc.png and a_cup.png; or {{class}} in masks, as in "
                f"'masks/{{class}}/{{name}}.png'."
            )
        folders = zip(self.card.class_names, class_folders(self.card.class_names), strict=True)
        return dict(list(folders)[0 if self.card.multi_label else 1 :])

    def _mask_pattern(self, suffix: str) -> PathPattern:
        text = self.masks
        if "{class}" in text:  # a written pattern says where the suffix goes
            text, suffix = text.replace("{class}", suffix), ""
        return self._pattern(text, self.mask_prefix, suffix, "masks")

    def _pattern(self, text: str, prefix: str, suffix: str, option: str) -> PathPattern:
        recursive = self.recursive and "{name}" not in text
        return folder_pattern(text, prefix, suffix, recursive, self.mask_types, option)

    def _check_fields(self, pattern: PathPattern) -> None:
        ours, theirs = self.image_pattern, pattern
        if set(ours.fields) != set(theirs.fields):
            raise UserError(
                f"layout: images '{ours.text}' and '{theirs.text}' must have the same fields, found "
                f"{', '.join(ours.fields)} and {', '.join(theirs.fields)}. Write * for what says nothing."
            )
        if ours.text == theirs.text:
            raise UserError(
                f"layout: images and masks are both '{ours.text}', so a file may be either. Tell them apart by "
                f"image_suffix, mask_suffix or the file type."
            )

    def splits(self) -> list[str]:
        """A test split without a folder of masks is left out: there is nothing to check it against or score it by."""
        source = self._source("test")
        labelled = all(pattern.folder(self.root, source).is_dir() for pattern in self.mask_patterns.values())
        return [split for split in super().splits() if split != "test" or labelled]

    def find_images(self, split: str) -> dict[str, str]:
        images = super().find_images(split)
        source = self._source(split)
        for pattern in self.mask_patterns.values():
            same_folder = pattern.folder(self.root, source) == self.image_pattern.folder(self.root, source)
            if same_folder and pattern.literal_length > self.image_pattern.literal_length:
                taken = {path for _, path in pattern.files(self.root, source)}
                images = {name: path for name, path in images.items() if path not in taken}
        return images

    def list_samples(self, split: str) -> Listing:
        self._require(split)
        source = self._source(split)
        masks = {index: self._find(pattern, split, "mask") for index, pattern in self.mask_patterns.items()}
        images = self.find_images(split)
        names, problems = self.select(split, images)
        not_found = len(problems)
        channels = [self._find(pattern, split, "image") for pattern in self.channel_patterns]
        valid = self._find(self.valid_pattern, split, "valid region") if self.valid else {}
        hints = {index: NameHints(by_class) for index, by_class in masks.items()}
        samples = []
        for name in names:
            found = {index: by_class[name] for index, by_class in masks.items() if name in by_class}
            missing = [self.mask_patterns[index] for index in masks if index not in found]
            if missing and not (self.allow_missing and found):
                expected = missing[0].show(self.root, name, source)
                near = next(hints[index].text(name) for index in masks if index not in found)
                problems.append(f"{images[name]}: no mask for this image. Expected {expected}.{near}")
            elif absent := [p for p, files in zip(self.channel_patterns, channels, strict=True) if name not in files]:
                expected = absent[0].show(self.root, name, source)
                problems.append(f"{images[name]}: a file of this image is missing. Expected {expected}.")
            elif self.valid and name not in valid:
                expected = self.valid_pattern.show(self.root, name, source)
                problems.append(f"{images[name]}: no valid region for this image. Expected {expected}.")
            else:
                files = [images[name], *(files[name] for files in channels)]
                samples.append(self._sample(name, files, found, valid.get(name)))
        orphans = [] if self.lists else self._orphans(images, masks, source)
        return Listing(samples, problems, orphans, len(problems) - not_found + len(orphans))

    def _find(self, pattern: PathPattern, split: str, what: str) -> dict[str, str]:
        """The files that fit ``pattern``, by the names that their images have."""
        folder = pattern.folder(self.root, self._source(split))
        if not folder.is_dir():
            raise UserError(
                f"{folder}: no such folder. Expected the {what}s of '{split}' there; see the card's layout."
            )
        return by_name(pattern, self.root, self._source(split), what, self.image_pattern.fields)

    def _orphans(self, images: dict[str, str], masks: dict[int, dict[str, str]], source: str) -> list[str]:
        known = set(images.values())  # images beside masks may fit the masks' pattern
        return [
            f"{path}: no image for this mask (expected {self.image_pattern.show(self.root, name, source)}); "
            f"it is not used."
            for by_class in masks.values()
            for name, path in by_class.items()
            if name not in images and path not in known
        ]

    def _sample(self, name: str, images: list[str], masks: dict[int, str], valid: str | None) -> Sample:
        files = {
            "image": Path(images[0]),
            "valid": None if valid is None else Path(valid),
            "channel_files": tuple(map(Path, images)) if len(images) > 1 else (),
        }
        if -1 in masks:
            return Sample(name, mask=Path(masks[-1]), **files)
        return Sample(name, class_masks=tuple((index, Path(path)) for index, path in masks.items()), **files)

    @property
    def has_layers(self) -> bool:
        return set(self.mask_patterns) == set(range(len(self.card.classes) if self.card else 0))

    def read_layers(self, sample: Sample) -> np.ndarray:
        layers = self.decoder.read_layers(sample)
        if sample.valid is not None:
            layers[:, cut_to_valid(layers[0], sample.valid) == IGNORED_ID] = IGNORE_INDEX
        return layers

    def read_mask(self, sample: Sample) -> np.ndarray:
        mask = self.decoder.read(sample)
        return mask if sample.valid is None else cut_to_valid(mask, sample.valid)
