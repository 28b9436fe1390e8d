"""The bootstrap tests against draws of days that are written out, and against scipy.stats.bootstrap's distribution."""

import numpy as np
import pytest
from scipy import stats

from shared.detectors import resampling
from shared.detectors.resampling import RESAMPLES, SEED
from shared.detectors.significance import bootstrap_mean, bootstrap_ratio

PRECISE = {"rtol": 1e-6, "atol": 1e-12}
ALL_SIDES = ("less", "greater", "two_sided")


def sums(seed, entities, days, missing=0.15):
    """Numerators and denominators of random days, some of either missing; from the second row on."""
    generator = np.random.default_rng(seed)
    den = generator.poisson(300, (entities, days)).astype(float)
    num = generator.binomial(den.astype(int), generator.uniform(0.02, 0.04, (entities, 1))).astype(float)
    num[1:][generator.uniform(size=(entities - 1, days)) < missing] = np.nan
    den[1:][generator.uniform(size=(entities - 1, days)) < missing] = np.nan
    return num, den


def written_out(num1, den1, num2, den2):
    """The point difference and the drawn ones of one entity: each draw is a list of days."""
    generator = np.random.default_rng(SEED)
    parts = []
    for num, den in ((num1, den1), (num2, den2)):
        counts = generator.multinomial(num.size, np.full(num.size, 1 / num.size), size=RESAMPLES)
        lists = [np.arange(num.size), *(np.repeat(np.arange(num.size), count) for count in counts)]
        lists = [[day for day in days if not np.isnan(den[day])] for days in lists]
        parts.append(np.array([np.nansum(num[days]) / den[days].sum() if days else np.nan for days in lists]))
    return parts[0][0] - parts[1][0], parts[0][1:] - parts[1][1:]


@pytest.mark.parametrize("side", ALL_SIDES)
def test_the_ratio_is_that_of_days_drawn_one_by_one(side):
    args = (*sums(1, 10, 7, 0.3), *sums(2, 10, 28))
    outcome = bootstrap_ratio(side, *args)
    for index in range(10):
        row = [values[index] for values in args]
        if np.count_nonzero(~np.isnan(row[1])) < 3:
            assert np.isnan(outcome.p[index])
            continue
        effect, drawn = written_out(*row)
        drawn = drawn[~np.isnan(drawn)]
        less, greater = ((np.sum(one >= 0) + 1) / (drawn.size + 1) for one in (drawn, -drawn))
        p = {"less": less, "greater": greater, "two_sided": min(1, 2 * min(less, greater))}[side]
        np.testing.assert_allclose(outcome.p[index], p, **PRECISE)
        np.testing.assert_allclose(outcome.statistic[index], effect / drawn.std(ddof=1), **PRECISE)
        low, high = np.sort(np.percentile(drawn, [5, 95]) / effect)
        np.testing.assert_allclose([outcome.low[index], outcome.high[index]], [max(low, 0), high], **PRECISE)


@pytest.mark.parametrize("side", ALL_SIDES)
def test_the_mean_is_the_ratio_to_the_days_with_a_value(side):
    generator = np.random.default_rng(3)
    x, y = generator.gamma(2, 10, (10, 9)), generator.gamma(2, 12, (10, 28))
    x[generator.uniform(size=x.shape) < 0.2] = np.nan
    outcome = bootstrap_mean(side, x, y)
    ones_x, ones_y = np.where(np.isnan(x), np.nan, 1), np.ones_like(y)
    np.testing.assert_array_equal(outcome.p, bootstrap_ratio(side, x, ones_x, y, ones_y).p)
    for index in range(10):
        effect, drawn = written_out(x[index], ones_x[index], y[index], ones_y[index])
        np.testing.assert_allclose(effect, np.nanmean(x[index]) - y[index].mean(), **PRECISE)
        np.testing.assert_allclose(outcome.statistic[index], effect / np.nanstd(drawn, ddof=1), **PRECISE)


def test_the_interval_is_close_to_scipys_percentiles():
    generator = np.random.default_rng(4)
    x, y = generator.gamma(2, 10, 30), generator.gamma(2, 15, 60)
    outcome = bootstrap_mean("less", x[None], y[None])
    expected = stats.bootstrap(
        (x, y),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=20_000,
        confidence_level=0.90,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(5),
    )
    effect = x.mean() - y.mean()
    ends = np.sort(np.array(expected.confidence_interval) / effect)
    np.testing.assert_allclose([outcome.low[0], outcome.high[0]], ends, atol=0.1)
    np.testing.assert_allclose(abs(effect / outcome.statistic[0]), expected.standard_error, rtol=0.08)


def test_p_is_uniform_enough_where_nothing_differs():
    generator = np.random.default_rng(6)
    p = bootstrap_mean("less", generator.normal(10, 2, (2000, 28)), generator.normal(10, 2, (2000, 28))).p
    assert 0.04 < (p < 0.05).mean() < 0.07


def test_a_rerun_gives_the_same_p_whatever_entities_stand_beside(monkeypatch):
    args = (*sums(7, 12, 7), *sums(8, 12, 28))
    whole = bootstrap_ratio("less", *args)
    np.testing.assert_array_equal(whole.p, bootstrap_ratio("less", *args).p)
    monkeypatch.setattr(resampling, "ENTITIES_AT_ONCE", 5)
    np.testing.assert_array_equal(whole.p, bootstrap_ratio("less", *args).p)


def test_days_that_are_all_alike_differ_for_certain_where_they_differ_at_all():
    alike, other = np.full((1, 7), 0.1), np.full((1, 28), 0.3)
    assert bootstrap_mean("two_sided", alike, np.full((1, 28), 0.1)).p[0] == 1
    outcome = bootstrap_mean("less", alike, other)
    np.testing.assert_allclose(outcome.p[0], 1 / (RESAMPLES + 1))
    assert outcome.statistic[0] == -np.inf
    np.testing.assert_allclose([outcome.low[0], outcome.high[0]], 1)


def test_too_few_days_or_no_denominator_say_nothing():
    x = np.array([[1.0, 2, np.nan, np.nan], [np.nan] * 4, [1, 2, 3, np.nan]])
    y = np.tile([4.0, 5.0, 6.0, 7.0, 9.0], (3, 1))
    np.testing.assert_array_equal(np.isnan(bootstrap_mean("less", x, y).p), [True, True, False])
    none = bootstrap_ratio("less", np.zeros((1, 7)), np.zeros((1, 7)), np.ones((1, 7)), np.ones((1, 7)))
    assert np.isnan(none.p[0])


def test_ratios_without_a_single_success_do_not_differ():
    zero, per = np.zeros((1, 7)), np.full((1, 7), 50.0)
    assert bootstrap_ratio("two_sided", zero, per, zero, per).p[0] == 1
