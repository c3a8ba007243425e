"""SegNeXt: its factorisation factorises, its decoder takes any encoder, its logits have the image's size."""

from itertools import pairwise

import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segnext_pafpn.layers import DepthwiseConv2d
from segnext_pafpn.layers.convnext import DropPath
from segnext_pafpn.models import SegNeXt
from segnext_pafpn.models.hamburger import NMF2D, Hamburger


@pytest.fixture(scope="module")
def small_model() -> SegNeXt:
    torch.manual_seed(0)
    return SegNeXt("elanext_nano", decoder_channels=32, decoder_rank=8, classes=3).eval()


def low_rank_image(rank: int, channels: int = 32, height: int = 12, width: int = 20) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rank)
    bases = torch.rand(2, channels, rank, generator=generator)
    coefficients = torch.rand(2, rank, height * width, generator=generator)
    return (bases @ coefficients).view(2, channels, height, width)


def error(ham: NMF2D, x: torch.Tensor) -> float:
    return ((ham(x) - x).norm() / x.norm()).item()


def least_error(x: torch.Tensor, rank: int) -> float:
    """Of any approximation of that rank (Eckart and Young)."""
    singular_values = torch.linalg.svdvals(x.flatten(2))
    return (singular_values[:, rank:].norm() / singular_values.norm()).item()


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_nmf_reconstructs_a_matrix_of_its_rank(rank):
    x = low_rank_image(rank)
    found = error(NMF2D(32, rank, eval_steps=300).eval(), x)
    assert found < 0.03
    assert found < 0.5 * least_error(x, rank - 1)


def test_nmf_at_its_published_length_reconstructs_rank_one_exactly():
    assert error(NMF2D(32, 1).eval(), low_rank_image(1)) < 1e-4


def test_nmf_cannot_reconstruct_a_matrix_of_higher_rank():
    x = low_rank_image(4)
    assert error(NMF2D(32, 1, eval_steps=300).eval(), x) >= least_error(x, 1) - 1e-4
    approximation = NMF2D(32, 2).eval()(x)
    assert (approximation >= 0).all()
    assert torch.linalg.matrix_rank(approximation.flatten(2), rtol=1e-4).tolist() == [2, 2]


def test_every_update_of_nmf_lowers_the_error():
    x = torch.rand(1, 32, 9, 9, generator=torch.Generator().manual_seed(0))
    errors = [error(NMF2D(32, 8, eval_steps=steps).eval(), x) for steps in (0, 1, 2, 4, 8, 16, 32)]
    assert all(later < earlier for earlier, later in pairwise(errors))


def test_nmf_starts_anew_in_training_and_alike_in_evaluation():
    x = low_rank_image(4)
    ham = NMF2D(32, 4).train()
    first, second = ham(x), ham(x)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    seeded = ham(x)
    torch.manual_seed(3)
    assert torch.equal(ham(x), seeded)
    ham.eval()
    assert torch.equal(ham(x), ham(x))
    assert torch.equal(ham(x), NMF2D(32, 4).eval()(x))  # whatever the global seed was at its birth
    torch.testing.assert_close(ham(x[1:]), ham(x)[1:])  # whatever else is in the batch


def test_nmf_counts_in_float32_under_autocast():
    x = low_rank_image(4)
    ham = NMF2D(32, 4).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ham(x), ham.forward(x.float()))
        found = ham(x)
        half = ham(x.bfloat16())
    assert torch.equal(found, ham(x))
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, ham(x.bfloat16().float()).bfloat16())


def test_gradients_of_nmf_are_right():
    ham = NMF2D(4, 2, eval_steps=3).double().eval()
    x = torch.rand(1, 4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    assert torch.autograd.gradcheck(ham, (x.requires_grad_(),))


def test_hamburger_of_nothing_stays_finite():
    burger = Hamburger(32, rank=4)
    output = burger(torch.zeros(1, 32, 4, 4))
    output.sum().backward()
    assert output.isfinite().all()
    assert all(p.grad.isfinite().all() for p in burger.parameters())


@pytest.mark.parametrize(
    "encoder, channels, millions",
    [("mscan_tiny", 256, 4.3), ("mscan_small", 256, 13.9), ("mscan_base", 512, 27.6), ("mscan_large", 1024, 48.9)],
)
def test_sizes_are_those_of_the_paper(encoder, channels, millions):
    with torch.device("meta"):
        model = SegNeXt(encoder, decoder_channels=channels, classes=150)
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 150, 64, 64)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200))
def test_logits_have_the_size_of_the_image(small_model, height, width):
    with torch.no_grad():
        assert small_model(torch.zeros(1, 3, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("encoder", ["mscan_tiny", "resnet18", "mit_b0", "tu-convnext_atto", "elanext_nano"])
def test_takes_encoders_of_smp_and_timm(encoder):
    model = smp.create_model("segnext", encoder, encoder_weights=None, in_channels=4, classes=5, decoder_channels=48)
    assert isinstance(model, SegNeXt)
    assert model(torch.randn(2, 4, 70, 64)).shape == (2, 5, 70, 64)


def test_shallower_encoders_give_the_levels_they_have():
    model = SegNeXt("resnet18", encoder_depth=4, decoder_channels=32)
    assert model.decoder.levels == [3, 4]
    assert model(torch.randn(2, 3, 40, 40)).shape == (2, 1, 40, 40)
    with pytest.raises(ValueError, match="strides 8, 16 and 32; 'resnet18' at encoder_depth=2"):
        SegNeXt("resnet18", encoder_depth=2)


def test_a_smaller_output_stride_of_timms_encoders_keeps_the_resolution():
    model = SegNeXt("tu-elanext_nano", decoder_channels=16, decoder_rank=4, output_stride=8).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert [f.shape[-1] for f in model.encoder(x)[3:]] == [8, 8, 8]
        assert model(x).shape == (1, 1, 64, 64)


@pytest.mark.parametrize(
    ("encoder", "option", "value"), [("tu-mscan_tiny", "drop_path_rate", 0.3), ("tu-elanext_nano", "kernel_size", 3)]
)
def test_timms_encoders_take_arguments_of_their_own(tmp_path, encoder, option, value):
    model = smp.create_model(
        "segnext", encoder, encoder_weights=None, decoder_channels=16, decoder_rank=4, **{option: value}
    )
    model.save_pretrained(tmp_path)
    for network in (model, smp.from_pretrained(tmp_path)):
        if option == "drop_path_rate":
            assert max(m.p for m in network.modules() if isinstance(m, DropPath)) == pytest.approx(value)
        else:
            assert {m.kernel_size for m in network.encoder.modules() if isinstance(m, DepthwiseConv2d)} == {(3, 3)}


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = SegNeXt("mscan_tiny", classes=5)
    for module in model.modules():
        if isinstance(module, DropPath):
            module.p = 0.0
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if parameter.ndim > 1:
            assert parameter.grad.abs().max() > 0, name


def test_save_and_load_round_trip(tmp_path, small_model):
    small_model.decoder.hamburger.ham.bases.mul_(0.5)  # as if another version had drawn others
    small_model.save_pretrained(tmp_path)
    x = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        for load in (SegNeXt.from_pretrained, smp.from_pretrained):
            loaded = load(tmp_path).eval()
            assert isinstance(loaded, SegNeXt)
            assert torch.equal(loaded(x), small_model(x))


def test_activation_comes_at_full_size(small_model):
    model = SegNeXt("elanext_nano", decoder_channels=32, decoder_rank=8, classes=3, activation="argmax2d").eval()
    model.load_state_dict(small_model.state_dict())
    x = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        assert torch.equal(model(x), small_model(x).argmax(dim=1))


def test_image_labels_come_beside_the_masks():
    model = SegNeXt("elanext_nano", classes=3, decoder_channels=32, aux_params={"classes": 6})
    masks, labels = model(torch.randn(2, 3, 64, 64))
    assert masks.shape == (2, 3, 64, 64) and labels.shape == (2, 6)


def test_can_be_exported():
    model, x = SegNeXt("vgg11", decoder_channels=32, decoder_rank=8).eval(), torch.randn(1, 3, 70, 64)
    with torch.no_grad():
        exported = torch.export.export(model, (x,), strict=True).module()
        torch.testing.assert_close(exported(x), model(x), atol=1e-5, rtol=1e-5)


def test_learns_a_batch_by_heart():
    torch.manual_seed(0)
    model = SegNeXt("mscan_tiny", decoder_channels=64, decoder_rank=16, decoder_dropout=0.0, classes=3)
    x = torch.randn(2, 3, 64, 64)
    y = (x[:, :1] > 0).float() + (x[:, 1:2] > 1)
    y = torch.nn.functional.interpolate(y[..., ::16, ::16], size=64).long()[:, 0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(20):
        losses.append(torch.nn.functional.cross_entropy(model(x), y))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
