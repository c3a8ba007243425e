import numpy as np
import pytest
import torch

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
