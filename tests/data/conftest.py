"""A small good data set, for tests to spoil."""

import pytest

from tests.data.layouts import blocks, photo, save


@pytest.fixture
def folder(tmp_path):
    """Six images and two-tone masks."""
    for i in range(6):
        photo(tmp_path / f"i/p{i // 2}_{i}.png", seed=i)
        save(tmp_path / f"m/p{i // 2}_{i}.png", blocks(i, [0, 1]))
    return tmp_path
