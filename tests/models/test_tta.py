"""Test-time augmentation: what is averaged is what the network says of each view, brought back to the image."""

import pytest
import torch
from torch import nn

from segnext_pafpn.errors import UserError
from segnext_pafpn.models.tta import VIEWS, find_views, mean_over_views


def columns(x: torch.Tensor) -> torch.Tensor:
    """A network that sees nothing but where a pixel lies: 0 in the first column, 1 in the last."""
    return torch.linspace(0, 1, x.shape[-1]).expand(len(x), 1, *x.shape[-2:])


def test_a_mirror_image_is_turned_back_before_it_is_averaged():
    x = torch.zeros(2, 3, 4, 5)
    torch.testing.assert_close(mean_over_views(columns, x, VIEWS["none"]), columns(x), atol=0, rtol=0)
    torch.testing.assert_close(mean_over_views(columns, x, VIEWS["flip"]), torch.full((2, 1, 4, 5), 0.5))


@pytest.mark.parametrize(("name", "count"), [("none", 1), ("flip", 2), ("flips", 4)])
def test_flips_change_nothing_for_a_network_that_sees_pixels_one_by_one(name, count):
    torch.manual_seed(0)
    network, calls = nn.Conv2d(3, 4, 1), []
    x = torch.randn(2, 3, 7, 10)
    mean = mean_over_views(lambda view: calls.append(view) or network(view), x, VIEWS[name])
    torch.testing.assert_close(mean, network(x))
    assert len(calls) == count and all(view.shape == x.shape for view in calls)
    for i, one in enumerate(calls):
        for other in calls[:i]:
            assert not torch.equal(one, other)


def test_flips_are_averaged_as_a_loop_by_hand_does_it():
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3, padding=1)
    x = torch.randn(1, 3, 6, 9)
    by_hand = [network(torch.flip(x, axes)).flip(axes) for axes in ((), (2,), (3,), (2, 3))]
    torch.testing.assert_close(mean_over_views(network, x, VIEWS["flips"]), torch.stack(by_hand).mean(0))


def test_multi_scale_shows_six_sizes_and_their_mirror_images():
    sizes = []
    x = torch.randn(1, 3, 20, 33)
    mean = mean_over_views(lambda view: sizes.append(tuple(view.shape[-2:])) or view[:, :1], x, VIEWS["multi-scale"])
    expected = [(10, 16), (15, 25), (20, 33), (25, 41), (30, 50), (35, 58)]
    assert sizes == [size for size in expected for _ in range(2)]
    assert mean.shape == (1, 1, 20, 33)
    constant = mean_over_views(lambda view: view[:, :1], torch.full((1, 3, 5, 1), 0.25), VIEWS["multi-scale"])
    torch.testing.assert_close(constant, torch.full((1, 1, 5, 1), 0.25))


def test_an_augmentation_that_is_not_known_is_named():
    with pytest.raises(UserError, match=r"tta: 'flipp' is not known\. Did you mean 'flip'\? Known: none, flip, flips"):
        find_views("flipp")
