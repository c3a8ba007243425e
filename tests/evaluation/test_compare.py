import json
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from segnext_pafpn.errors import UserError
from segnext_pafpn.evaluation.compare import compare_images, comparison_table, comparison_values, verdict
from segnext_pafpn.evaluation.per_image import ImageMatrices
from segnext_pafpn.evaluation.scores import scores_from_matrix

NAMES = ("road", "sky")


def run(right: np.ndarray, size: int = 100, names=None, class_names=NAMES) -> ImageMatrices:
    """Images half road, half sky; of each class ``right`` (N, 2) of ``size`` pixels are right."""
    matrices = np.zeros((len(right), 2, 2), np.int64)
    matrices[:, 0, 0], matrices[:, 0, 1] = right[:, 0], size - right[:, 0]
    matrices[:, 1, 1], matrices[:, 1, 0] = right[:, 1], size - right[:, 1]
    names = names or tuple(f"i{k}" for k in range(len(right)))
    return ImageMatrices(tuple(names), matrices, tuple(class_names), "val")


def noisy(seed: int, mean: float, count: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 8, (count, 2)).round().clip(0, 100).astype(int)


def test_the_difference_is_that_of_the_scores():
    first, second = run(noisy(0, 70)), run(noisy(1, 75))
    found = compare_images(first, second, 200)
    expected = [scores_from_matrix(images.matrices.sum(axis=0)).mIoU for images in (first, second)]
    assert found.difference == pytest.approx(expected[1] - expected[0])
    assert found.low < found.difference < found.high


def test_the_interval_is_that_of_plain_resampling():
    first, second = run(noisy(0, 70, 15)), run(noisy(1, 72, 15))
    found = compare_images(first, second, 4000, seed=1)
    rng = np.random.default_rng(99)
    plain = []
    for _ in range(4000):
        drawn = rng.integers(0, 15, 15)
        a, b = (scores_from_matrix(images.matrices[drawn].sum(axis=0)).mIoU for images in (first, second))
        plain.append(b - a)
    assert [found.low, found.high] == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.002)


def test_a_run_equals_itself_and_says_so():
    images = run(noisy(0, 70))
    found = compare_images(images, images, 200)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert "cannot tell the two apart" in verdict(found)


def test_a_run_that_is_better_on_every_image_is_called_better():
    first = noisy(0, 60)
    found = compare_images(run(first), run(np.minimum(first + 10, 100)), 200)
    assert found.low > 0 and found.better == 1 and verdict(found).endswith("the second is better.")
    turned = compare_images(run(np.minimum(first + 10, 100)), run(first), 200)
    assert turned.high < 0 and verdict(turned).endswith("the first is better.")


def test_pairing_makes_the_interval_narrow_where_images_differ_more_than_runs():
    hard = np.random.default_rng(0).integers(10, 90, (60, 2))
    found = compare_images(run(hard), run(hard + 2), 500)
    assert found.low > 0 and found.high - found.low < 0.02


def test_a_difference_of_noise_is_found_in_about_one_of_twenty():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        first, second = (run(rng.normal(70, 8, (30, 2)).round().clip(0, 100).astype(int)) for _ in range(2))
        found = compare_images(first, second, 300)
        wrong += not found.low <= 0 <= found.high
    assert 2 <= wrong <= 24  # 5 % of 200 is 10; the percentile interval of 30 images is a little narrow


def test_the_order_of_the_images_and_the_seed_are_what_it_rests_on():
    right = noisy(1, 75)
    first, second = run(noisy(0, 70)), run(right)
    turned = run(right[::-1], names=second.names[::-1])
    assert verdict(compare_images(first, second, 300)) == verdict(compare_images(first, turned, 300))
    assert compare_images(first, second, 300).low != compare_images(first, second, 300, seed=1).low


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (run(noisy(1, 70), class_names=("road", "tree")), "classes road, sky; the second road, tree"),
        (run(noisy(1, 70, 39)), "scored on 40 images, the second on 39"),
        (run(noisy(1, 70), names=[f"j{k}" for k in range(40)]), "'i0' not among the second's; expected the same"),
        (run(noisy(1, 70), size=120), "i0: its truth has other pixels in the two runs (40 such"),
    ],
)
def test_runs_on_other_data_are_not_compared(other, words):
    with pytest.raises(UserError) as error:
        compare_images(run(noisy(0, 70)), other, 200)
    assert words in str(error.value) and "\n" not in str(error.value)


def sliced(images: ImageMatrices, slices: int) -> ImageMatrices:
    """Each image as so many equal slices of a case."""
    names = tuple(f"{name}/{i}" for name in images.names for i in range(slices))
    cases = tuple(name for name in images.names for _ in range(slices))
    return ImageMatrices(names, images.matrices.repeat(slices, axis=0), images.class_names, "val", cases)


def test_slices_of_a_case_are_drawn_together():
    first, second = run(noisy(0, 70, 8)), run(noisy(1, 72, 8))
    whole = compare_images(first, second, 300)
    found = compare_images(sliced(first, 20), sliced(second, 20), 300)
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high), abs=1e-12)
    assert (found.num_images, found.num_cases) == (160, 8)
    assert "paired bootstrap of 8 cases" in verdict(found) and "on cases like these" in verdict(found)
    assert comparison_values(found)["cases"] == 8
    apart = compare_images(replace(sliced(first, 20), cases=()), replace(sliced(second, 20), cases=()), 300)
    assert apart.high - apart.low < 0.5 * (found.high - found.low)  # as if 160 images had been seen


def test_cases_that_one_run_does_not_know_are_the_others():
    first, second = sliced(run(noisy(0, 70, 8)), 3), sliced(run(noisy(1, 72, 8)), 3)
    for pair in ((replace(first, cases=()), second), (first, replace(second, cases=()))):
        assert compare_images(*pair, 100).num_cases == 8
    other = replace(second, cases=second.cases[::-1])
    with pytest.raises(UserError, match="i0/0: is of another case in the two runs \\(24 such images\\)"):
        compare_images(first, other, 100)


def test_too_few_resamples_are_refused():
    with pytest.raises(ValueError, match="expected at least 100"):
        compare_images(run(noisy(0, 70)), run(noisy(0, 70)), 10)


def test_table_and_json_show_both_and_a_dash_for_an_absent_class():
    matrices = np.array([[[8, 2, 0], [0, 10, 0], [0, 0, 0]]])
    first = ImageMatrices(("x",), matrices, ("a", "[b]", "c"), "val")
    second = ImageMatrices(("x",), np.array([[[10, 0, 0], [0, 10, 0], [0, 0, 0]]]), ("a", "[b]", "c"), "val")
    found = compare_images(first, second, 100)
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(comparison_table(found, ("runs/a", "runs/b")))
    lines = [line.split() for line in capture.get().splitlines()]
    assert ["a", "80.00", "100.00", "+20.00"] in lines
    assert ["[b]", "83.33", "100.00", "+16.67"] in lines
    assert ["c", "-", "-", "-"] in lines
    assert ["mIoU", "81.67", "100.00", "+18.33"] in lines
    values = json.loads(json.dumps(comparison_values(found), allow_nan=False))
    assert values["difference"] == 18.3333 and values["per_class"][2]["IoU"] == [None, None]


def test_a_single_case_has_no_interval():
    first, second = (replace(one, cases=("stack",) * 40) for one in (run(noisy(0, 70)), run(noisy(1, 90))))
    found = compare_images(first, second, 100)
    assert found.num_cases == 1 and math.isnan(found.low) and math.isnan(found.high)
    assert "of a single case, so that nothing tells it from chance" in verdict(found)
    assert comparison_values(found)["interval_95"] == [None, None]
