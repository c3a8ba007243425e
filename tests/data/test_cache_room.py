"""A cache is refused where it does not fit into memory or onto the disk."""

from collections import namedtuple
from dataclasses import replace

import pytest

from segnext_pafpn.data.cache import build_cache, room
from segnext_pafpn.errors import UserError
from tests.data.caches import decoded, module, pairs_of


@pytest.mark.parametrize("cache, advice", [("ram", "disk, or none"), ("disk", "another data.cache_dir, or none")])
def test_what_does_not_fit_is_refused(dataset, monkeypatch, cache, advice):
    """11 pictures: 9 of 48x64 and 2 of 40x56 pixels, 4 bytes each, take 0.1 MiB."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage(2**20, 2**19, 2**16))
    with pytest.raises(UserError, match=f"data.cache: {cache}: 11 .* 0.1 MiB decoded, but only 0.1 MiB.*{advice}"):
        module(dataset, cache)


def test_what_is_on_the_disk_already_needs_no_room(dataset, monkeypatch):
    files, samples = pairs_of(dataset / "card.yaml")
    decoded(dataset / "card.yaml", dataset / "cache")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage(2**20, 2**20, 0))
    assert build_cache("disk", files, samples, str(dataset / "cache")).holds(samples[0])
    with pytest.raises(UserError, match="1 picture would take"):
        build_cache("disk", files, [*samples, replace(samples[0], slice=1)], str(dataset / "cache"))


def test_processes_count_by_their_number_and_a_tenth_stays_free(dataset, monkeypatch):
    files, samples = pairs_of(dataset / "card.yaml")
    needed = room.needed_bytes(files, samples)
    assert needed == 6 * 48 * 64 * 4
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(2.3 * needed))
    build_cache("ram", files, samples, None, processes=2)
    with pytest.raises(UserError, match="data.cache: ram"):
        build_cache("ram", files, samples, None, processes=3)


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    for name, text in {
        "memory.max": "1000\n",
        "memory.current": "700\n",
        "memory.stat": "anon 100\ninactive_file 200\nactive_file 50\n",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(room, "_CGROUP", tmp_path)
    assert room.free_memory() == (550, "memory of the container")
    (tmp_path / "memory.max").write_text("max\n")
    assert room.free_memory()[0] > 1000
