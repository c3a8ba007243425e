"""One pass over histograms finds what trying every threshold would."""

import numpy as np
import pytest
import torch

from segnext_pafpn.evaluation.thresholds import ThresholdSearch, best_thresholds


def brute_force(probabilities: np.ndarray, target: np.ndarray, threshold: float) -> float:
    said = probabilities > np.float32(threshold)
    valid, true = target != 255, target == 1
    return 2 * (said & true).sum() / ((said & valid).sum() + true.sum())


@pytest.fixture
def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Three batches of two maps; some probabilities are exactly a threshold."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(3):
        target = torch.randint(0, 2, (2, 2, 9, 11), generator=generator).to(torch.uint8)
        noise = torch.rand(target.shape, generator=generator)
        probabilities = (0.3 * target + 0.7 * noise).clamp(0, 1)
        probabilities[:, :, 0] = (1000 * probabilities[:, :, 0]).round() / 1000
        target[:, :, :2][noise[:, :, :2] > 0.5] = 255
        found.append((probabilities, target))
    return found


def test_dice_of_every_threshold_is_that_of_thresholding_anew(batches):
    search = ThresholdSearch(2)
    for batch in batches:
        search.update(*batch)
    dice = search.compute().numpy()
    probabilities, target = (torch.cat(part).numpy() for part in zip(*batches, strict=True))
    for k in range(2):
        expected = [brute_force(probabilities[:, k], target[:, k], t) for t in search.thresholds]
        np.testing.assert_allclose(dice[k], expected, rtol=0, atol=1e-12)
        best = best_thresholds(search.compute(), search.thresholds)[k]
        assert brute_force(probabilities[:, k], target[:, k], best) == pytest.approx(max(expected), abs=1e-12)
    assert len(set(dice[0].round(6))) > 100  # the search had a choice


def test_ignored_pixels_do_not_count(batches):
    probabilities, target = batches[0]
    search, other = ThresholdSearch(2), ThresholdSearch(2)
    search.update(probabilities, target)
    other.update(torch.where(target == 255, 1 - probabilities, probabilities), target)
    assert torch.equal(search.counts, other.counts)
    assert int(search.counts.sum()) == int((target != 255).sum())


def test_among_equal_thresholds_the_one_nearest_the_middle_is_taken():
    dice = torch.tensor([[0.9, 0.9, 0.9, 0.2], [0.1, 0.2, 0.3, 0.4], [torch.nan] * 4])
    assert best_thresholds(dice, (0.2, 0.4, 0.5, 0.9)) == (0.5, 0.9, 0.5)


def test_a_map_that_is_nowhere_has_no_dice():
    search = ThresholdSearch(1)
    search.update(torch.full((1, 1, 2, 2), 0.7), torch.zeros((1, 1, 2, 2), dtype=torch.uint8))
    assert search.compute().isnan().all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected both as \(B, 2, H, W\)"):
        ThresholdSearch(2).update(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
