"""Class weights on shares that can be checked by hand."""

import pytest

from segnext_pafpn.training.losses import balanced_weights

# three pictures of 100 pixels; the third class is in one of them, the fourth in none
PIXELS, PICTURES, PICTURE_PIXELS = [240, 50, 10, 0], [3, 2, 1, 0], [300, 200, 100, 0]


def ratios(weights):
    """Weights of the classes that occur, as multiples of the first."""
    assert sum(weights) / 3 == pytest.approx(1, rel=1e-5) and weights[3] == 0
    return [weight / weights[0] for weight in weights[:3]]


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        ("inverse", [1, 240 / 50, 240 / 10]),
        ("sqrt_inverse", [1, (240 / 50) ** 0.5, (240 / 10) ** 0.5]),
        # frequencies 240/300, 50/200, 10/100
        ("median_frequency", [1, 0.8 / 0.25, 0.8 / 0.1]),
    ],
)
def test_weights_worked_by_hand(balance, expected):
    assert ratios(balanced_weights(balance, PIXELS, PICTURES, PICTURE_PIXELS)) == pytest.approx(expected, rel=1e-4)


def test_effective_number_lies_between_equal_and_inverse_counts_of_pictures():
    """With beta 0.5: 1 + 0.5 + 0.25, 1 + 0.5 and 1 pictures."""
    weights = balanced_weights("effective_number", PIXELS, PICTURES, PICTURE_PIXELS, beta=0.5)
    assert ratios(weights) == pytest.approx([1, 1.75 / 1.5, 1.75], rel=1e-4)
    assert ratios(
        balanced_weights("effective_number", PIXELS, PICTURES, PICTURE_PIXELS, beta=1 - 1e-9)
    ) == pytest.approx([1, 3 / 2, 3], rel=1e-4)


def test_nothing_to_balance_is_refused():
    with pytest.raises(ValueError, match="no class has pixels"):
        balanced_weights("inverse", [0, 0], [0, 0], [0, 0])
    with pytest.raises(ValueError, match="balance is 'none'"):
        balanced_weights("none", PIXELS, PICTURES, PICTURE_PIXELS)
