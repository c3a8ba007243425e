"""TIFF files of one picture: turned by their orientation, or damaged."""

import struct
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from segnext_pafpn.data.readers.files import read_array, read_ids, read_rgb, read_size
from segnext_pafpn.data.readers.pixels import read_pixels
from segnext_pafpn.errors import UserError
from tests.data.layouts import photo


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_upright_by_its_orientation(tmp_path, mode, compression):
    shape = (20, 50, 3) if mode == "RGB" else (20, 50)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint16 if mode == "I;16" else np.uint8)
    upright = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.swapaxes(0, 1)}
    upright |= {6: np.rot90(pixels, -1), 7: pixels[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(pixels)}
    for orientation, expected in upright.items():
        path = tmp_path / f"{orientation}.tif"
        Image.fromarray(pixels).save(path, tiffinfo={274: orientation}, compression=compression)
        assert np.array_equal(read_array(path), expected), orientation
        assert np.array_equal(read_pixels((path,)).squeeze(), expected), orientation
        assert read_size(path) == expected.shape[:2], orientation


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow
@pytest.mark.parametrize("at", range(4, 120, 5))
def test_any_damaged_byte_in_a_tiffs_beginning_is_told_or_harmless(tmp_path, at):
    photo(tmp_path / "a.tif", seed=0)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    directory = struct.unpack("<I", content[4:8])[0]
    content[at if at < 8 else directory + at - 8] ^= 1 << at % 8
    (tmp_path / "a.tif").write_bytes(content)
    for read in (read_rgb, read_ids, lambda path: read_pixels((path,))):
        with suppress(UserError):
            read(tmp_path / "a.tif")
