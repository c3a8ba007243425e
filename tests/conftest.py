"""Small real data sets for all tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import settings
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.synthetic import street_scene

# Test processes fight over the cores if each takes all of them; so would those that they start.
_THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))
torch.set_num_threads(_THREADS)
os.environ["OMP_NUM_THREADS"] = str(_THREADS)

# The same examples in every run. HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "seeded"))


@contextmanager
def single_thread() -> Iterator[None]:
    """Torch computes with one thread: sums are then rounded alike everywhere, and tiny networks wait for no other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For a whole module: ``pytestmark = pytest.mark.usefixtures("one_thread")``."""
    with single_thread():
        yield


def write_pair(root: Path, split: str, name: str, seed: int, size: tuple[int, int] = (48, 64)) -> None:
    image, mask = street_scene(seed, size)
    for folder, array in ((f"images/{split}", image), (f"masks/{split}", mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / folder / f"{name}.png")


def write_card(folder: Path, **changes) -> Path:
    card = {
        "name": "tiny",
        "classes": [
            {"name": name, "color": [30 * i, 255 - 30 * i, 128]}
            for i, name in enumerate(("sky", "building", "road", "pavement", "tree", "car", "person", "pole"))
        ],
        "root": ".",
        "layout": {"reader": "folder", "images": "images/{split}", "masks": "masks/{split}"},
        **changes,
    }
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(card))
    return path


def write_dataset(root: Path, train: int = 6, val: int = 5, large: int = 3) -> Path:
    """A data set with its card, which is returned; the pictures of val after the first ``large`` are smaller."""
    for i in range(train):
        write_pair(root, "train", f"t{i}", seed=i)
    for i in range(val):
        write_pair(root, "val", f"v{i}", seed=100 + i, size=(48, 64) if i < large else (40, 56))
    return write_card(root)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A data set of 6 + 5 pictures with its card; two of val are of another size."""
    return write_dataset(tmp_path / "data").parent


def run_cli(*arguments: object, cwd: Path | None = None, timeout: int = 300) -> subprocess.CompletedProcess:
    """Run the command line as a user does, in a process of its own."""
    command = [sys.executable, "-m", "segnext_pafpn_program", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout, env=environment)


def run_together(folder: Path, *commands: list[str]) -> None:
    """Run commands as a user does, but all in one process, which must end each with 0."""
    lines = "for words in commands:\n    code = main(words)\n    assert code == 0, words"
    code = f"from segnext_pafpn_program import main\ncommands = {commands!r}\n{lines}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    assert result.returncode == 0, f"{result.stdout[-1000:]}\n{result.stderr[-3000:]}"


def error_of(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must fail with exit code 2; return its one line."""
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr().err.strip()
    assert code == 2, captured
    assert captured.startswith("error: ") and "Traceback" not in captured
    return captured.splitlines()[-1]


def write_image_folder(root: Path, classes: tuple[str, ...] = ("blue", "green", "red"), train: int = 8, val: int = 4):
    """ROOT/SPLIT/CLASS/PICTURE: noise with more of the class's colour, as PNG and JPEG files."""
    for split, count in (("train", train), ("val", val)):
        for k, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng([k, i, count]).integers(0, 80, (48 + i, 56, 3), dtype=np.uint8)
                pixels[..., 2 - k % 3] += 150
                Image.fromarray(pixels).save(folder / f"{i}.{'png' if i % 2 else 'JPEG'}")


SMALL_RUN = [
    "--model.encoder_name=elanext_nano",
    "--model.options={decoder_channels: 16, head_channels: 16}",
    "--data.crop_size=[32, 48]",
    "--data.batch_size=2",
    "--data.num_workers=0",
    "--optim.warmup_steps=1",
    "--trainer.accelerator=cpu",
]


def random_mask(seed: int, size: tuple[int, int], num_classes: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, num_classes, size, dtype=np.uint8)
