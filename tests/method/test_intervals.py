from __future__ import annotations

import warnings

import numpy as np
import pytest

from asen_tf.evaluation.intervals import bootstrap_interval, macro_interval, wilson_interval

VALUES = np.random.default_rng(5).beta(0.5, 0.5, 400)


def test_close_to_the_normal_interval_of_many_values() -> None:
    low, high = bootstrap_interval(VALUES, seed=1, resamples=4000)
    half = 1.959964 * VALUES.std() / np.sqrt(len(VALUES))
    assert low == pytest.approx(VALUES.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(VALUES.mean() + half, abs=0.1 * half)


def test_the_percentile_interval_of_two_values_is_exact() -> None:
    # The mean of a resample of (0, 1) is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    assert bootstrap_interval([0.0, 1.0], seed=0, confidence=0.95) == (0.0, 1.0)
    assert bootstrap_interval([0.0, 1.0], seed=0, confidence=0.4) == (0.5, 0.5)


@pytest.mark.parametrize(
    "interval", [bootstrap_interval, lambda v, seed: macro_interval([v], seed=seed)]
)
def test_the_seed_decides(interval) -> None:
    assert interval(VALUES, seed=1) == interval(VALUES, seed=1)
    assert interval(VALUES, seed=1) != interval(VALUES, seed=2)


def test_more_confidence_is_wider() -> None:
    low, high = bootstrap_interval(VALUES, seed=1, confidence=0.99)
    inner_low, inner_high = bootstrap_interval(VALUES, seed=1, confidence=0.8)
    assert low < inner_low < inner_high < high


def test_macro_draws_within_attributes() -> None:
    # The two attributes differ a great deal, but neither varies much within itself.
    rng = np.random.default_rng(2)
    samples = [0.9 + 0.01 * rng.standard_normal(50), 0.1 + 0.01 * rng.standard_normal(200)]
    low, high = macro_interval(samples, seed=3, resamples=4000)
    spread = np.sqrt(sum(s.var() / len(s) for s in samples)) / 2
    assert (high - low) / 2 == pytest.approx(1.959964 * spread, rel=0.1)
    assert low < np.mean([s.mean() for s in samples]) < high


def test_degenerate_samples() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(bootstrap_interval([], seed=0)).all()  # no query
        assert np.isnan(bootstrap_interval([0.3], seed=0)).all()  # one query
        assert np.isnan(macro_interval([], seed=0)).all()
        assert bootstrap_interval([0.3] * 5, seed=0) == (0.3, 0.3)  # all equal
        assert macro_interval([[0.5] * 3, [0.1]], seed=0) == (0.3, 0.3)


def test_a_single_or_constant_attribute_only_shifts_the_others() -> None:
    low, high = macro_interval([VALUES], seed=1)
    expected = pytest.approx(((low + 0.5) / 2, (high + 0.5) / 2), abs=0.004)
    assert macro_interval([VALUES, [0.5], []], seed=1) == expected
    assert macro_interval([VALUES, [0.5] * 9], seed=1) == expected


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ([0.1, np.nan], {}),
        ([[0.1, 0.2]], {}),
        ([0.1, 0.2], {"confidence": 95}),
        ([0.1, 0.2], {"resamples": 0}),
    ],
)
def test_bad_arguments_are_refused(values, arguments: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        bootstrap_interval(values, seed=0, **arguments)


def test_wilsons_interval_of_known_shares() -> None:
    assert wilson_interval(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    low, high = wilson_interval(500, 1000)
    assert (low + high) / 2 == pytest.approx(0.5) and high - low == pytest.approx(0.0619, abs=1e-3)


def test_a_share_of_nothing_has_no_interval_and_more_than_all_is_refused() -> None:
    assert np.isnan(wilson_interval(0, 0)).all()
    with pytest.raises(ValueError, match="got 3 of 2"):
        wilson_interval(3, 2)
