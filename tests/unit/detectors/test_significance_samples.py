"""The tests on daily values against scipy.stats, an entity at a time: with ties, missing days and none at all."""

import numpy as np
import pytest
from scipy import stats

from shared.detectors.significance import mann_whitney, robust_z, welch_t

PRECISE = {"rtol": 1e-6, "atol": 1e-12}
SIDES = {"less": "less", "greater": "greater", "two_sided": "two-sided"}
MISSING = np.nan


def days(seed, entities, length, tied):
    """Random daily values, a fifth of them missing; in the first rows almost all."""
    generator = np.random.default_rng(seed)
    values = generator.gamma(2, 10, (entities, length))
    values = np.round(values / 8) if tied else values
    values[generator.uniform(size=values.shape) < 0.2] = np.nan
    for row in range(5):
        values[row, row:] = np.nan
    return values


def known(row):
    return row[~np.isnan(row)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("tied", [False, True])
def test_mann_whitney_is_scipys(side, tied):
    x, y = days(1, 120, 9, tied), days(2, 120, 21, tied)[::-1]
    outcome = mann_whitney(side, x, y)
    for index, (first, second) in enumerate(zip(x, y, strict=True)):
        first, second = known(first), known(second)
        if min(first.size, second.size) < 3:
            assert np.isnan(outcome.p[index])
            assert np.isnan(outcome.facts["effect"][index])
            continue
        expected = stats.mannwhitneyu(first, second, alternative=SIDES[side], method="asymptotic")
        np.testing.assert_allclose(outcome.statistic[index], expected.statistic, **PRECISE)
        np.testing.assert_allclose(outcome.p[index], expected.pvalue, **PRECISE)
        above = (np.sign(first[:, None] - second) + 1).mean() / 2
        np.testing.assert_allclose(outcome.facts["effect"][index], above, **PRECISE)


@pytest.mark.parametrize("side", SIDES)
def test_mann_whitney_of_values_that_are_all_alike_finds_nothing(side):
    assert mann_whitney(side, np.full((2, 5), 3.0), np.full((2, 9), 3.0)).p.tolist() == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore:Precision loss")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("tied", [False, True])
def test_welch_is_scipys(side, tied):
    x, y = days(3, 120, 7, tied), days(4, 120, 28, tied)[::-1]
    outcome = welch_t(side, x, y)
    for index, (first, second) in enumerate(zip(x, y, strict=True)):
        first, second = known(first), known(second)
        if min(first.size, second.size) < 2:
            assert np.isnan(outcome.p[index])
            continue
        if first.var() + second.var() == 0:
            continue
        expected = stats.ttest_ind(first, second, equal_var=False, alternative=SIDES[side])
        np.testing.assert_allclose(outcome.statistic[index], expected.statistic, **PRECISE)
        np.testing.assert_allclose(outcome.p[index], expected.pvalue, **PRECISE)
        np.testing.assert_allclose(outcome.facts["df"][index], expected.df, **PRECISE)


def test_welchs_interval_is_scipys_as_multiples_of_the_difference():
    x, y = days(5, 20, 9, False)[6:], days(6, 20, 28, False)[6:]
    outcome = welch_t("two_sided", x, y)
    for index in range(x.shape[0]):
        first, second = known(x[index]), known(y[index])
        interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.90)
        low, high = np.sort(np.array([interval.low, interval.high]) / (first.mean() - second.mean()))
        np.testing.assert_allclose([outcome.low[index], outcome.high[index]], [max(low, 0), high], **PRECISE)


def test_welch_on_days_that_are_all_alike_is_certain_of_a_difference_only():
    # 0.1 has no exact mean: a rounding error would be taken for a difference and for a variance.
    x, y = np.array([[0.1] * 7, [0.1] * 7]), np.array([[0.1] * 28, [0.2] * 28])
    np.testing.assert_array_equal(welch_t("two_sided", x, y).p, [1.0, 0.0])


def test_welch_of_large_numbers_keeps_its_precision():
    generator = np.random.default_rng(7)
    x, y = generator.normal(1e9, 1, (1, 20)), generator.normal(1e9, 1, (1, 20))
    expected = stats.ttest_ind(x[0], y[0], equal_var=False).pvalue
    np.testing.assert_allclose(welch_t("two_sided", x, y).p[0], expected, rtol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_robust_z_is_the_distance_from_the_median_in_mads(side):
    values = days(8, 60, 20, False)
    current = np.random.default_rng(9).gamma(2, 10, 60)
    outcome = robust_z(side, current, values)
    for index, row in enumerate(values):
        row = known(row)
        if row.size < 4:
            assert np.isnan(outcome.p[index])
            continue
        mad = stats.median_abs_deviation(row)
        z = (current[index] - np.median(row)) / (1.4826 * mad)
        law = {"less": stats.norm.cdf(z), "greater": stats.norm.sf(z), "two_sided": 2 * stats.norm.sf(abs(z))}
        np.testing.assert_allclose(outcome.p[index], law[side], **PRECISE)
        np.testing.assert_allclose(outcome.facts["z"][index], z, **PRECISE)
        np.testing.assert_allclose(outcome.facts["median"][index], np.median(row), **PRECISE)
        np.testing.assert_allclose(outcome.facts["mad"][index], mad, **PRECISE)


def test_robust_z_falls_back_to_the_mean_deviation_and_then_to_certainty():
    values = np.array([[5.0, 5, 5, 5, 9], [5, 5, 5, 5, 5], [5, 5, 5, 5, 5], [5, 5, 5, 5, 5]])
    outcome = robust_z("two_sided", np.array([8.0, 5.0, 6.0, np.nan]), values)
    np.testing.assert_allclose(outcome.statistic, [3 / (1.2533 * 0.8), 0.0, np.inf, np.nan])
    np.testing.assert_array_equal(outcome.p[1:], [1.0, 0.0, np.nan])
    assert robust_z("less", np.array([4.0]), values[1:2]).p[0] == 0.0


@pytest.mark.parametrize(("z", "p"), [(1.96, 0.0500), (3.29, 0.0010)])
def test_known_values_of_z(z, p):
    values = np.array([[-1.0, -1.0, 0.0, 1.0, 1.0]])
    np.testing.assert_allclose(robust_z("two_sided", np.array([z * 1.4826]), values).p[0], p, atol=5e-5)
    # Exactly 0.04999579 and 0.00100189.
    np.testing.assert_allclose(robust_z("greater", np.array([z * 1.4826]), values).p[0], stats.norm.sf(z), **PRECISE)
