"""Which pictures belong to which split, where the folders do not say it: by chance, by folds, or by list files."""

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segnext_pafpn.data.readers.volume.files import ANY_SUFFIXES, stem_of, suffix_of
from segnext_pafpn.errors import UserError
from segnext_pafpn.files import read_lines

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Draw:
    """How a seed divides one set of names. The same names always give the same parts, on every machine.

    Args:
        val_fraction, test_fraction: shares of the names.
        seed: of the shuffling.
        folds: into how many equal parts to divide what is not ``test``; 0 for none.
        fold: which of them is ``val``, from 0; the others are ``train``.
        group: regular expression; names with the same first group (or the same match, without one) stay together.
    """

    val_fraction: float = 0.0
    test_fraction: float = 0.0
    seed: int = 0
    folds: int = 0
    fold: int = 0
    group: str = ""

    def __post_init__(self) -> None:
        if not (self.val_fraction >= 0 and self.test_fraction >= 0 and self.val_fraction + self.test_fraction < 1):
            raise UserError(
                f"layout: val_fraction ({self.val_fraction}) and test_fraction ({self.test_fraction}) "
                f"must be 0 or more and add up to less than 1."
            )
        if self.folds == 1 or self.folds < 0:
            raise UserError(f"layout.folds: expected 2 or more (or 0 for none), found {self.folds}.")
        if self.folds and self.val_fraction:
            raise UserError("layout: folds and val_fraction both say what 'val' is. Remove one of them.")
        if not 0 <= self.fold < max(1, self.folds):
            limit = f"0 to {self.folds - 1}" if self.folds else "0, as folds is not set"
            raise UserError(f"layout.fold: expected {limit}, found {self.fold}.")
        try:
            re.compile(self.group)
        except re.error as error:
            raise UserError(f"layout.group: '{self.group}' is not a regular expression ({error}).") from error

    @property
    def splits(self) -> list[str]:
        """The splits that drawing gives."""
        shares = (True, bool(self.val_fraction or self.folds), bool(self.test_fraction))
        return [split for split, share in zip(SPLITS, shares, strict=True) if share]

    def part(self, names: Sequence[str], split: str) -> list[str]:
        """The names of ``split``, sorted.

        Raises:
            UserError: if ``group`` finds no group in a name, there are fewer groups than folds, or the split is empty.
        """
        groups = self.groups(sorted(names))
        order = random.Random(self.seed).sample(sorted(groups), len(groups))
        val, order = ([], order) if self.folds else _take(order, groups, round(self.val_fraction * len(names)))
        test, order = _take(order, groups, round(self.test_fraction * len(names)))
        if self.folds:
            val = self._fold(order, groups)
            order = [group for group in order if group not in set(val)]
        chosen = {"train": order, "val": val, "test": test}[split]
        if names and not chosen:
            raise UserError(
                f"layout: val_fraction {self.val_fraction:g} and test_fraction {self.test_fraction:g} of {len(names)} "
                f"pictures leave '{split}' empty. Change them, or add pictures."
            )
        return sorted(name for group in chosen for name in groups[group])

    def groups(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The names that stay together, by what they have in common.

        Raises:
            UserError: if ``group`` finds no group in a name.
        """
        if not self.group:
            return {name: [name] for name in names}
        groups = defaultdict(list)
        for name in names:
            match = re.search(self.group, name)
            if match is None:
                raise UserError(
                    f"layout.group: '{self.group}' does not match the name '{name}'. "
                    f"Every picture must have a group: widen the expression, or leave the picture out."
                )
            key = match[1] if match.re.groups else match[0]
            if key is None:
                raise UserError(
                    f"layout.group: '{self.group}' matches the name '{name}', but its first group has no part in "
                    f"that, so the picture has none. Make the group say what belongs together in every name, or "
                    f"write (?:...) for what does not."
                )
            groups[key].append(name)
        return dict(groups)

    def _fold(self, order: Sequence[str], groups: Mapping[str, list[str]]) -> list[str]:
        """The groups of the chosen fold: the largest first, each to the fold that has least."""
        if len(order) < self.folds:
            what = "groups" if self.group else "pictures"
            raise UserError(f"layout.folds: {self.folds} folds of {len(order)} {what} leave one empty. Use fewer.")
        sizes, folds = [0] * self.folds, [[] for _ in range(self.folds)]
        for group in sorted(order, key=lambda group: -len(groups[group])):
            smallest = sizes.index(min(sizes))
            sizes[smallest] += len(groups[group])
            folds[smallest].append(group)
        return folds[self.fold]


def _take(order: list[str], groups: Mapping[str, list[str]], count: int) -> tuple[list[str], list[str]]:
    """Whole groups from the front until there are ``count`` names, and the rest."""
    taken = 0
    for position, group in enumerate(order):
        if taken >= count:
            return order[:position], order[position:]
        taken += len(groups[group])
    return order, []


def listed_names(path: Path, files: Mapping[str, str], root: Path) -> tuple[list[str], list[str]]:
    """The names that a list file gives, and a problem for each line that is no picture.

    A line is a picture's name, file name or path below the root, with or without its suffix and with or without
    leading folders; further columns are left out. Where a name has folders, those of the line must not be others.

    Args:
        files: the path of every picture by its name.

    Raises:
        UserError: if the list is not there, is not text, or is empty.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such list. Expected one picture's name a line; see the card's layout.lists.")
    keys = _keys(files, root)
    names, problems = {}, []
    for number, line in read_lines(path, "one picture's name a line"):
        if line.startswith("#"):
            continue
        found = _find(line, keys)
        if len(found) == 1:
            names[found[0]] = None
        elif found:
            problems.append(f"{path}: line {number}: '{line}' may be {' or '.join(sorted(found)[:3])}. Write the path.")
        else:
            problems.append(f"{path}: line {number}: '{line}' names no image. Add the image, or remove the line.")
    if not names and not problems:
        raise UserError(f"{path}: the list is empty. Expected one picture's name a line.")
    return list(names), problems


def _keys(files: Mapping[str, str], root: Path) -> dict[str, list[str]]:
    """The names by everything that a line may call them."""
    keys = defaultdict(list)
    for name, path in files.items():
        relative = Path(path).relative_to(root).as_posix()
        base = relative.rsplit("/", 1)[-1]
        stems = {relative.rsplit(".", 1)[0], base.rsplit(".", 1)[0]}
        for key in {name, relative, base} | stems:
            keys[key].append(name)
    return keys


def _find(line: str, keys: Mapping[str, list[str]]) -> list[str]:
    for text in dict.fromkeys((line, line.split()[0])):
        path = PurePosixPath(text.replace("\\", "/"))
        stem = path.with_name(stem_of(path)) if path.name and suffix_of(path).lower() in ANY_SUFFIXES else path
        for key in (text, str(path), str(stem)):
            if key in keys:
                exact = [name for name in keys[key] if name == key]
                return exact or keys[key]
        for key in (path.name, stem.name):
            if found := [name for name in keys.get(key, ()) if _may_lie_in(stem, name)]:
                return found
    return []


def _may_lie_in(stem: PurePosixPath, name: str) -> bool:
    """Whether the folders that a line writes down are the last ones of those that a picture's name has."""
    given, known = reversed(stem.parent.parts), reversed(PurePosixPath(name).parent.parts)
    return all(a == b for a, b in zip(given, known, strict=False))
