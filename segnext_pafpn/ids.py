"""The ids in masks, as files have them and as training has them, and the numbers that may stand for one."""

from typing import Any

IGNORE_INDEX = 255  # a pixel that does not count
MAX_CLASSES = 254  # masks of training ids are uint8: 254 and 255 mean unknown and ignored
MAX_ID = 65535  # in mask files
IGNORED_ID = MAX_ID + 1  # what readers give to pixels that are not to count; in files every id may be a class


def is_whole(value: Any, high: int) -> bool:
    """Whether a value of a YAML or JSON file is a whole number of 0 to ``high``; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= high
