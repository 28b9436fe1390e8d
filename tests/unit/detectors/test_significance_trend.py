"""The tests of a series in time against scipy.stats, an entity at a time."""

import numpy as np
import pytest
from scipy import stats

from shared.detectors import trend
from shared.detectors.significance import cusum, kendall_tau, mann_kendall, theil_sen

PRECISE = {"rtol": 1e-6, "atol": 1e-12}
SIDES = {"less": "less", "greater": "greater", "two_sided": "two-sided"}
SHAPES = [(8, False), (28, False), (28, True), (33, False), (34, False), (60, True)]


def series(length, tied):
    """Random walks of different drift, some days missing; in the first rows almost all."""
    generator = np.random.default_rng(length + tied)
    values = generator.normal(generator.normal(0, 0.3, (60, 1)), 1, (60, length)).cumsum(axis=1)
    values = np.round(values) if tied else values
    values[20:][generator.uniform(size=(40, length)) < 0.2] = np.nan
    for row in range(5):
        values[row, row:] = np.nan
    return values


def known(row):
    there = np.flatnonzero(~np.isnan(row))
    return there, row[there]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("length", "tied"), SHAPES)
def test_mann_kendall_is_scipys_kendalltau_against_time(side, length, tied):
    values = series(length, tied)
    outcome = mann_kendall(side, values)
    for index, row in enumerate(values):
        time, row = known(row)
        assert outcome.facts["periods"][index] == row.size
        if np.unique(row).size < 2:
            assert np.isnan(outcome.p[index])
            continue
        exact = row.size <= 33 and np.unique(row).size == row.size
        expected = stats.kendalltau(time, row, method="exact" if exact else "asymptotic", alternative=SIDES[side])
        np.testing.assert_allclose(outcome.p[index], expected.pvalue, **PRECISE)
        np.testing.assert_allclose(outcome.facts["tau"][index], expected.statistic, **PRECISE)
        np.testing.assert_allclose(kendall_tau(values)[index], expected.statistic, **PRECISE)


@pytest.mark.parametrize(("length", "tied"), SHAPES)
def test_the_slope_and_its_interval_are_scipys_theilslopes(length, tied):
    values = series(length, tied)
    outcome = mann_kendall("two_sided", values)
    for index, row in enumerate(values):
        time, row = known(row)
        if row.size < 2:
            assert np.isnan(outcome.facts["slope"][index])
            assert np.isnan(theil_sen(values)[index])
            continue
        expected = stats.theilslopes(row, time, alpha=0.90)
        np.testing.assert_allclose(outcome.facts["slope"][index], expected.slope, **PRECISE)
        np.testing.assert_allclose(theil_sen(values)[index], expected.slope, **PRECISE)
        if expected.slope:
            ends = np.sort(np.array([expected.low_slope, expected.high_slope]) / expected.slope)
            np.testing.assert_allclose(outcome.low[index], max(ends[0], 0), **PRECISE)
            np.testing.assert_allclose(outcome.high[index], ends[1], **PRECISE)


def test_a_series_that_rises_every_day_is_as_rare_as_one_order_of_all():
    outcome = mann_kendall("greater", np.arange(6.0)[None])
    np.testing.assert_allclose([outcome.p[0], outcome.facts["slope"][0], outcome.facts["tau"][0]], [1 / 720, 1, 1])


def test_no_trend_can_be_told_of_a_constant():
    outcome = mann_kendall("less", np.full((1, 9), 4.0))
    assert np.isnan(outcome.p[0])
    assert outcome.facts["slope"][0] == 0


def test_the_slopes_do_not_depend_on_the_blocks_they_are_taken_in(monkeypatch):
    values = series(28, False)
    whole = mann_kendall("less", values)
    monkeypatch.setattr(trend, "PAIRS_AT_ONCE", 1000)
    parts = mann_kendall("less", values)
    np.testing.assert_array_equal(whole.facts["slope"], parts.facts["slope"])
    np.testing.assert_array_equal(whole.high, parts.high)


@pytest.mark.parametrize("side", SIDES)
def test_cusum_is_the_largest_cumulated_deviation(side):
    values = series(28, True)
    outcome = cusum(side, values)
    for index, row in enumerate(values):
        time, row = known(row)
        if row.size < 4:
            assert np.isnan(outcome.p[index])
            assert np.isnan(outcome.facts["change_at"][index])
            continue
        if row.var() == 0:
            assert outcome.p[index] == 1
            continue
        # The sum up to each value, when the mean of all is taken from each: 0 at the end.
        path = np.array([(row[: end + 1] - row.mean()).sum() for end in range(row.size - 1)])
        path = {"less": path, "greater": -path, "two_sided": abs(path)}[side]
        statistic = max(path.max(), 0) / np.sqrt(row.var(ddof=1) * row.size)
        np.testing.assert_allclose(outcome.statistic[index], statistic, rtol=1e-6, atol=1e-9)
        law = stats.kstwobign.sf(statistic) if side == "two_sided" else np.exp(-2 * statistic**2)
        np.testing.assert_allclose(outcome.p[index], law, **PRECISE)
        if statistic > 1e-6:
            assert outcome.facts["change_at"][index] == time[path.argmax() + 1]


def test_cusum_says_where_a_level_changed_and_which_way():
    generator = np.random.default_rng(11)
    values = np.concatenate([generator.normal(10, 1, (1, 20)), generator.normal(14, 1, (1, 20))], axis=1)
    values[0, 20] = np.nan
    assert cusum("two_sided", values).p[0] < 1e-3
    assert cusum("greater", values).p[0] < 1e-3
    assert cusum("less", values).p[0] > 0.5
    assert cusum("two_sided", values).facts["change_at"][0] == 21


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9 / 3])
def test_cusum_finds_nothing_in_a_constant(level):
    outcome = cusum("two_sided", np.full((1, 30), level))
    assert outcome.p[0] == 1
    assert np.isnan(outcome.facts["change_at"][0])


def test_cusum_rejects_no_more_than_it_says_without_a_change():
    values = np.random.default_rng(12).normal(size=(4000, 56))
    assert 0.01 < (cusum("two_sided", values).p < 0.05).mean() < 0.055
