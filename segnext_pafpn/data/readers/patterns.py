"""Finding files by a pattern of their paths: which image belongs to which mask.

A pattern is a path below the data set's root. ``{split}`` stands for the split's folder name, ``{path}`` for any
depth of folders (none too), every other ``{field}`` for a part of one folder or file name, ``*`` for a part that
says nothing, ``**/`` for folders that say nothing, and ``.*`` at the end for any known file type. Two files belong
together if their fields agree::

    images: "{patient}/images/{name}.tif"
    masks:  "{patient}/masks/{name}_mask.*"
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from segnext_pafpn.errors import UserError

_TOKEN = re.compile(r"\{(\w+)\}/?|\*\*/|\*")


@dataclass(frozen=True)
class PathPattern:
    """A compiled pattern.

    Args:
        text: the pattern, see the module.
        types: file suffixes that a final ``.*`` stands for, with their dots, in lower case.
    """

    text: str
    types: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that identify a file, in their order; without ``{split}``."""
        found = [name for name in re.findall(r"\{(\w+)\}", self.text) if name != "split"]
        return tuple(dict.fromkeys(found))

    @property
    def literal_length(self) -> int:
        """How many characters the pattern fixes: of two patterns that match a file, the longer one means it."""
        return len(_TOKEN.sub("", self.text.removesuffix(".*")))

    def folder(self, root: Path, split: str = "") -> Path:
        """The deepest folder that all matches lie in."""
        parts = self._with_split(split).split("/")[:-1]
        fixed = next((i for i, part in enumerate(parts) if _TOKEN.search(part + "/")), len(parts))
        return root.joinpath(*parts[:fixed])

    def show(self, root: Path, name: str, split: str = "") -> str:
        """The path at which the file called ``name`` was expected."""
        values = dict(zip(reversed([f for f in self.fields if f != "path"]), reversed(name.split("/")), strict=False))
        values["path"] = "/".join(name.split("/")[:-1]) if "path" in self.fields else ""
        text = re.sub(r"\{path\}/?", lambda _: values["path"] and values["path"] + "/", self._with_split(split))
        text = re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)
        return str(root / (text.removesuffix(".*") + self.types[0] if text.endswith(".*") else text))

    def files(self, root: Path, split: str = "", order: Sequence[str] | None = None) -> Iterator[tuple[str, str]]:
        """Yield the name (its fields joined by ``/``) and the path of every match, in no fixed order.

        Args:
            order: of the fields in the name, in place of the pattern's own.
        """
        folder = self.folder(root, split)
        text = self._with_split(split)
        prefix = folder.relative_to(root).as_posix()
        rest = text if prefix == "." else text[len(prefix) + 1 :]
        expression = self._compile(rest)
        depth = None if re.search(r"\*\*/|\{path\}", rest) else rest.count("/")
        for relative in scan(str(folder), depth):
            match = expression.fullmatch(relative)
            if match:
                values = [match[field].rstrip("/") for field in order or self.fields]
                yield "/".join(value for value in values if value), os.path.join(folder, relative)

    def _with_split(self, split: str) -> str:
        return self.text.replace("{split}", split)

    def _compile(self, text: str) -> re.Pattern:
        body, any_type = (text[:-2], True) if text.endswith(".*") else (text, False)
        parts, end, seen = [], 0, set()
        for token in _TOKEN.finditer(body):
            parts.append(re.escape(body[end : token.start()]))
            parts.append(_token_expression(token, seen))
            end = token.end()
        parts.append(re.escape(body[end:]))
        if any_type:
            parts.append("(?i:" + "|".join(map(re.escape, self.types)) + ")")
        return re.compile("".join(parts))


def _token_expression(token: re.Match, seen: set[str]) -> str:
    name, slash = token[1], "/" if token[0].endswith("}/") else ""
    if token[0] == "**/":
        return "(?:[^/]+/)*"
    if token[0] == "*":
        return "[^/]*"
    if name in seen:
        return f"(?P={name}){slash}"
    seen.add(name)
    if name == "path":
        return "(?P<path>(?:[^/]+/)*)"
    return f"(?P<{name}>[^/]+?){slash}"


def folder_pattern(
    text: str, prefix: str, suffix: str, recursive: bool, types: tuple[str, ...], option: str
) -> PathPattern:
    """The pattern of a card's ``images`` or ``masks``: as written if it names ``{name}``, else all files of a folder.

    Raises:
        UserError: if a written pattern is accompanied by what only a folder can have.
    """
    if text.startswith(("/", "~")) or "\\" in text:
        raise UserError(f"layout.{option}: '{text}': expected a path below the root, with / between folders.")
    text = text.strip("/")
    for name in re.findall(r"\{(.*?)\}", text):
        if not name.isidentifier():
            raise UserError(f"layout.{option}: '{{{name}}}' in '{text}' is no field. Use letters, as in {{patient}}.")
    if "{name}" in text:
        if prefix or suffix or recursive:
            raise UserError(
                f"layout.{option}: '{text}' is a pattern already; write prefix, suffix and folders into it "
                f"({{path}} stands for any depth of folders), and remove these options."
            )
        return PathPattern(text, types)
    if re.search(r"\{(?!split\})|\*", text):
        raise UserError(f"layout.{option}: the pattern '{text}' has no {{name}}. Add '/{{name}}.*' at its end.")
    folder = "" if text in ("", ".") else text + "/"
    return PathPattern(f"{folder}{'{path}/' if recursive else ''}{prefix}{{name}}{suffix}.*", types)


def scan(folder: str, depth: int | None) -> Iterator[str]:
    """Paths of the files below ``folder``, relative to it with ``/``; hidden ones and their folders are left out.

    Args:
        depth: how many levels of sub-folders to enter, None for all.

    Raises:
        UserError: naming a folder that cannot be listed, or a link that leads back to a folder above it.
    """
    waiting = [("", 0)]
    while waiting:
        inside, level = waiting.pop()
        for entry in _entries(os.path.join(folder, inside)):
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                yield inside + entry.name
            elif depth is None or level < depth:
                if entry.is_symlink():
                    _refuse_loop(entry.path)
                waiting.append((f"{inside}{entry.name}/", level + 1))


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}). Correct the folder or its rights.") from error


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever opens it says so
        return False


def _refuse_loop(link: str) -> None:
    target, place = os.path.realpath(link), os.path.realpath(os.path.dirname(link))
    if os.path.commonpath([target, place]) == target:
        raise UserError(f"{link}: is a link to {target}, a folder above it, so the search would never end. Remove it.")


def find_below(root: Path, text: str) -> Path:
    """Where a path leads that was written on another machine or for another folder.

    That is below the root as it is written, or by the longest end of it that is there; ends come first for what begins
    with ``../``, which is seldom meant. As it is written where nothing is found.
    """
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    ends = [root.joinpath(*parts[first:]) for first in range(len(parts))]
    written = root / text
    places = [*ends, written] if text.startswith("../") else [written, *ends]
    return next((place for place in places if place.exists()), written)


def below_common_folder(patterns: Sequence[PathPattern]) -> tuple[str, ...]:
    """The patterns without the folders that all of them begin with; ``{split}`` becomes ``*``."""
    folders = [pattern.folder(Path(), "split").parts for pattern in patterns]
    fixed = len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))))
    return tuple("/".join(pattern.text.split("/")[fixed:]).replace("{split}", "*") for pattern in patterns)
