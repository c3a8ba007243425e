"""Classes read at a finer grid than that of the fused map."""

import pytest
import torch
import torch.nn.functional as F

from segnext_pafpn import PAFPNeXt
from segnext_pafpn.inference.export import export_model
from segnext_pafpn.models.bundle import save_bundle
from segnext_pafpn.models.preprocessing import Preprocessing
from tests.inference.test_export import RUNS


def network(upsampling, **options):
    torch.manual_seed(0)
    small = dict(decoder_channels=16, head_channels=16)
    return PAFPNeXt("elanext_nano", classes=3, head_upsampling=upsampling, **small, **options).eval()


@pytest.mark.parametrize("upsampling", [2, 4])
def test_a_pixel_of_the_fused_map_holds_the_logits_of_a_block(upsampling):
    model = network(upsampling)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        values = model.segmentation_head[0](model.decoder(model.encoder(x)))
        blocks = values.unflatten(1, (3, upsampling, upsampling))  # class, row and column in the block
        grid = blocks.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
        assert grid.shape == (2, 3, 16 * upsampling, 24 * upsampling)
        expected = F.interpolate(grid, size=(64, 96), mode="bilinear", align_corners=False)
        torch.testing.assert_close(model(x), expected)


def test_any_size_goes_in_and_fusing_changes_nothing():
    model = network(4)
    x = torch.randn(1, 3, 45, 71)
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (1, 3, 45, 71)
        torch.testing.assert_close(model.fuse()(x), logits, atol=1e-4, rtol=1e-4)


def test_a_grid_finer_than_the_image_is_refused_as_is_one_that_does_not_divide_it():
    for upsampling in (3, 8):
        with pytest.raises(
            ValueError, match=rf"head_upsampling: found {upsampling}, expected a divisor .* stride, 4\."
        ):
            network(upsampling)
    assert network(2, encoder_depth=3)(torch.randn(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"found 4, expected a divisor of the fused map's stride, 2\."):
        network(4, encoder_depth=3)


@pytest.mark.parametrize("name", ["network.ts", "network.onnx"])
def test_it_is_exported(tmp_path, name):
    model = network(4)
    preprocessing = Preprocessing(class_names=("a", "b", "c"), class_colors=((0, 0, 0),) * 3)
    save_bundle(model, preprocessing, tmp_path / "model")
    export_model(tmp_path / "model", tmp_path / name)
    x = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        torch.testing.assert_close(RUNS[name](tmp_path / name, x), model(x), atol=1e-3, rtol=1e-3)
