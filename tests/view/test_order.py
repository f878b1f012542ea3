"""The quick median is NumPy's to the bit, the quick quantile to the last place."""

import numpy as np
import pytest

from edge.view.exact.order import median, medians, quantile


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_they_are_those_of_numpy(kind):
    dice = np.random.default_rng(1)
    for size in [1, 2, 3, 4, *dice.integers(5, 1500, 300)]:
        values = (dice.random(int(size)) * dice.choice([1e-3, 1, 255])).astype(kind)

        assert median(values) == float(np.median(values))
        rows = dice.random((int(size) % 25 + 1, 6))
        assert np.array_equal(medians(rows), np.median(rows, axis=0))
        for share in (0.0, 0.2, 0.45, 0.9, 1.0):
            assert quantile(values, share) == pytest.approx(
                float(np.quantile(values, share)), rel=1e-6 if kind is np.float32 else 1e-15
            )


def test_the_shape_does_not_count_and_what_is_given_stays_as_it_is():
    values = np.array([[5.0, 1.0], [4.0, 2.0]])

    assert quantile([1, 2], 0.5) == median([1, 2]) == 1.5
    assert (median(values), quantile(values, 0.9)) == (3.0, np.quantile(values, 0.9))
    assert values.tolist() == [[5.0, 1.0], [4.0, 2.0]]


@pytest.mark.parametrize("ask", [median, medians, lambda values: quantile(values, 0.5)])
def test_of_nothing_there_is_none(ask):
    with pytest.raises(ValueError):
        ask([])
