import numpy as np
import pytest
import torch
from PIL import Image

from segnext_pafpn.inference.config import PredictConfig
from segnext_pafpn.models import PAFPNeXt
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.conftest import single_thread

COLORS = ((200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90))


@pytest.fixture(autouse=True)
def one_thread():
    """On shared cores, threads that wait for each other make these tiny networks 50 times slower."""
    with single_thread():
        yield


@pytest.fixture(scope="session")
def preprocessing():
    return Preprocessing(class_names=("wall", "floor", "door", "lamp"), class_colors=COLORS)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, preprocessing):
    """A bundle of the smallest network of ours, with four classes and random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "model"
    save_bundle(PAFPNeXt("elanext_nano", classes=4), preprocessing, folder)
    return folder


@pytest.fixture
def make_image():
    """Images (H, W, 3) uint8, each time the same noise."""
    rng = np.random.default_rng(0)
    return lambda height, width: rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, make_image):
    """Two pictures of different sizes, one file that is no picture, and a third picture deeper down."""
    for name, size in {"b.jpg": (20, 30), "a.png": (33, 17), "deep/er/c.png": (8, 8)}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_image(*size)).save(path)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


def predict_config(checkpoint, source, output, **options):
    return PredictConfig(checkpoint=str(checkpoint), input=str(source), output=str(output), device="cpu", **options)
