"""Caches give the batches that one gets without, share one copy, and see what has changed."""

import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from segnext_pafpn.data.cache import RamCache, build_cache, room
from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.data.datamodule import SegmentationDataModule
from segnext_pafpn.errors import UserError
from tests.conftest import write_card
from tests.data.caches import Counting, decoded, module, pairs_of
from tests.data.deep_images import KINDS, write_deep
from tests.data.volumes import nnunet


def batches(data: SegmentationDataModule) -> list[dict]:
    return [*data.train_dataloader(), *data.val_dataloader()]


def assert_alike(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one["name"] == other["name"]
        assert one["image"].dtype == other["image"].dtype and torch.equal(one["image"], other["image"])
        assert torch.equal(one["mask"], other["mask"])


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_batches_are_those_without_a_cache(dataset, cache):
    """Pictures of two sizes, in this process and in two workers; of an empty cache, and of what an earlier one left."""
    plain = batches(module(dataset, "none"))
    assert_alike(batches(module(dataset, cache)), plain)
    assert_alike(batches(module(dataset, cache, workers=2)), plain)


@pytest.mark.parametrize("kind", [*KINDS, "files", "volumes", "made"])
def test_every_kind_of_image_is_kept_as_it_is(tmp_path, kind):
    if kind == "volumes":
        nnunet(tmp_path / "set", cases=5, channels=("CT",))
        files, samples = pairs_of(tmp_path / "set")
    elif kind == "made":
        card = write_card(tmp_path, layout={"reader": "synthetic", "height": 40, "width": 48, "num_train": 3})
        files, samples = pairs_of(card)
    else:
        files, samples = pairs_of(write_deep(tmp_path, kind))
    for name in ("ram", "disk"):
        cache = build_cache(name, files, samples, str(tmp_path / "cache"))
        if name == "ram":
            cache.fill()
            assert cache.is_full and cache.num_bytes < 1.2 * room.needed_bytes(files, samples) + 2000 * len(samples)
        for sample in (*samples, *samples):
            for found, expected in zip(cache.read(sample), files.read(sample), strict=True):
                assert found.dtype == expected.dtype and np.array_equal(found, expected)
        last = cache.read(samples[-1])[0]
        assert not last.flags.writeable


class Marking(Dataset):
    """Each item writes a mark into the memory of the cache and says which process did."""

    def __init__(self, cache: RamCache):
        self.cache = cache

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        self.cache._blocks[0][index] = 100 + index
        return os.getpid()


@pytest.mark.parametrize("start, workers", [("fork", 2), ("spawn", 1)])
def test_workers_share_one_copy_however_they_are_started(dataset, start, workers):
    cache = module(dataset, "ram").cache
    loader = DataLoader(Marking(cache), batch_size=1, num_workers=workers, multiprocessing_context=start)
    writers = {int(pid) for pid in loader}
    assert len(writers) == workers and os.getpid() not in writers
    assert cache._blocks[0][:4].tolist() == [100, 101, 102, 103]
    # pictures are filed as they come from the threads that decode them; one of them is the first
    assert [100, 101, 102, 103] in [cache.read(sample)[0].ravel()[:4].tolist() for sample in cache.samples]


def test_memory_is_filled_once_and_shows_how_far_it_is(dataset):
    files, samples = pairs_of(dataset / "card.yaml")
    counting, shown = Counting(files), []
    cache = build_cache("ram", counting, samples, None)
    with pytest.raises(ValueError, match="not in the cache"):
        cache.read(samples[0])
    before = len(counting.decoded)
    cache.fill(lambda items, total, title: shown.append(total) or items)
    cache.fill(lambda items, total, title: shown.append(total) or items)
    assert shown == [6, 0] and len(counting.decoded) == before + 12
    cache.read(samples[3])
    assert len(counting.decoded) == before + 12


def test_values_that_take_more_than_the_first_picture_did_find_room(dataset):
    files, samples = pairs_of(dataset / "card.yaml")
    cache = RamCache(files, samples, expected=100)
    cache.fill()
    for sample in samples:
        assert np.array_equal(cache.read(sample)[0], files.read_image(sample))


def test_a_file_that_cannot_be_read_stops_the_filling(dataset):
    (dataset / "masks/train/t3.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="t3.png: cannot be decoded"):
        module(dataset, "ram")


def test_the_next_run_decodes_nothing(dataset, tmp_path):
    card, folder = dataset / "card.yaml", tmp_path / "cache"
    assert len(decoded(card, folder)) == 12
    assert decoded(card, folder) == []
    assert len(decoded(card, folder, split="val")) == 10


def test_files_that_changed_are_decoded_anew(dataset, tmp_path):
    card, folder = dataset / "card.yaml", tmp_path / "cache"
    decoded(card, folder)
    mask = np.asarray(Image.open(dataset / "masks/train/t1.png")).copy()
    mask[:9] = 3
    Image.fromarray(mask).save(dataset / "masks/train/t1.png")
    os.utime(dataset / "images/train/t4.png", ns=(1, 1))  # of the same size
    assert decoded(card, folder) == [("mask", "t1"), ("image", "t4"), ("mask", "t4")]
    Image.fromarray(np.zeros((10, 12, 3), np.uint8)).save(dataset / "images/train/t2.png")
    with pytest.raises(UserError, match="t2.png: the mask is 64x48, its image 12x10"):
        decoded(card, folder)


def test_another_card_decodes_masks_anew_and_another_layout_both(dataset, tmp_path):
    folder = tmp_path / "cache"
    decoded(dataset / "card.yaml", folder)
    names = [{"name": str(i), "ids": [i]} for i in range(8)]
    names[0]["ids"], names[1]["ids"] = [1], [0]
    assert [what for what, _ in decoded(write_card(dataset, classes=names), folder)] == ["mask"] * 6
    layout = {"reader": "folder", "images": "images/{split}", "masks": "masks/{split}", "recursive": True}
    assert len(decoded(write_card(dataset, layout=layout), folder)) == 12


def test_folds_share_what_is_there(dataset, tmp_path):
    layout = {"reader": "folder", "images": "images/train", "masks": "masks/train", "folds": 2}
    card, folder = write_card(dataset, layout=layout), tmp_path / "cache"
    assert [len(decoded(card, folder, fold=fold)) for fold in (0, 1, 0)] == [6, 6, 0]


def test_a_damaged_file_is_written_again(dataset, tmp_path):
    card, folder = dataset / "card.yaml", tmp_path / "cache"
    decoded(card, folder)
    first, second = sorted(folder.rglob("*.image.npy"))[:2]
    first.write_bytes(first.read_bytes()[:-7])
    second.write_bytes(b"")
    assert [what for what, _ in decoded(card, folder)] == ["image", "image"]
    assert decoded(card, folder) == []


def test_nothing_half_written_is_left_where_a_file_cannot_be_decoded(dataset, tmp_path):
    (dataset / "images/train/t0.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="t0.png: cannot be decoded"):
        decoded(dataset / "card.yaml", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_named(dataset, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="data.cache_dir: .*cannot be written.*another place"):
        decoded(dataset / "card.yaml", tmp_path / "cache")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cache": "rams"}, "data.cache: 'rams' is not known. Did you mean 'ram'"),
        ({"cache": "disk"}, "data.cache: disk needs data.cache_dir"),
    ],
)
def test_what_is_no_cache_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        SegmentationDataModule(DataConfig(**options))
