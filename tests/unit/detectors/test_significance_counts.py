"""The tests on counts and proportions against scipy.stats; fractional counts against the integrals themselves."""

import numpy as np
import pytest
from scipy import integrate, stats

from shared.detectors.significance import (
    binomial_exact,
    chi_square,
    log_odds_interaction,
    poisson_exact,
    poisson_exact_zero,
    poisson_rate_ratio,
    wilson_interval,
)

PRECISE = {"rtol": 1e-6, "atol": 1e-12}
ALL_SIDES = ("less", "greater", "two_sided")


def tails(less, greater):
    return {"less": less, "greater": greater, "two_sided": np.minimum(1, 2 * np.minimum(less, greater))}


@pytest.mark.parametrize("side", ALL_SIDES)
def test_poisson_exact_sums_the_tail(side):
    generator = np.random.default_rng(1)
    expected = np.concatenate([generator.gamma(1, 20, 200), [0.5, 3.0, 1000.0]])
    observed = np.concatenate([generator.poisson(expected[:200]).astype(float), [0, 0, 1200]])
    law = stats.poisson(expected)
    np.testing.assert_allclose(
        poisson_exact(side, observed, expected).p,
        tails(law.cdf(observed), law.sf(observed - 1))[side],
        **PRECISE,
    )


def test_poisson_exact_of_a_fraction_is_the_integral_between_whole_counts():
    less = poisson_exact("less", np.array([2.5]), np.array([4.0])).p[0]
    density = stats.gamma(3.5).pdf
    np.testing.assert_allclose(less, integrate.quad(density, 4.0, np.inf)[0], rtol=1e-6)
    assert stats.poisson.cdf(2, 4.0) < less < stats.poisson.cdf(3, 4.0)


def test_poisson_exact_where_nothing_is_expected():
    observed, expected = np.array([0.0, 3.0, np.nan, 5.0, -1.0]), np.array([0.0, 0.0, 5.0, np.nan, 5.0])
    np.testing.assert_array_equal(poisson_exact("greater", observed, expected).p, [1, 0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(poisson_exact("less", observed, expected).p, [1, 1, np.nan, np.nan, np.nan])


def test_poissons_interval_is_garwoods_as_multiples_of_the_effect():
    observed, expected = np.array([0.0, 4.0, 30.0, 30.0]), np.array([10.0, 10.0, 10.0, 29.0])
    outcome = poisson_exact("two_sided", observed, expected)
    lower = np.nan_to_num(stats.chi2.ppf(0.05, 2 * observed) / 2)
    upper = stats.chi2.ppf(0.95, 2 * observed + 2) / 2
    np.testing.assert_allclose(outcome.facts["lower"], lower, **PRECISE)
    np.testing.assert_allclose(outcome.facts["upper"], upper, **PRECISE)
    ends = np.sort([(lower - expected) / (observed - expected), (upper - expected) / (observed - expected)], axis=0)
    np.testing.assert_allclose(outcome.low, np.maximum(ends[0], 0), **PRECISE)
    np.testing.assert_allclose(outcome.high, ends[1], **PRECISE)
    # 0 counts allow a mean of up to 3: at least 0.7 of the 10 that are missing are truly missing.
    np.testing.assert_allclose([outcome.low[0], outcome.high[0]], [0.7004268, 1.0], rtol=1e-6)


@pytest.mark.parametrize("side", ALL_SIDES)
def test_exact_zero_is_the_probability_of_none_on_any_side(side):
    expected = np.array([0.0, 1.0, 14.0])
    outcome = poisson_exact_zero(side, expected)
    np.testing.assert_allclose(outcome.p, np.exp(-expected), **PRECISE)
    np.testing.assert_array_equal(outcome.statistic, expected)


@pytest.mark.parametrize("side", ["less", "greater"])
def test_the_rate_ratio_is_a_binomial_test_of_the_first_count(side):
    generator = np.random.default_rng(2)
    x1, x2 = generator.poisson(6, 100), generator.poisson(20, 100)
    t1, t2 = generator.uniform(1, 10, 100), generator.uniform(1, 40, 100)
    expected = [
        stats.binomtest(a, a + b, c / (c + d), alternative=side).pvalue if a + b else 1.0
        for a, b, c, d in zip(x1, x2, t1, t2, strict=True)
    ]
    outcome = poisson_rate_ratio(side, x1.astype(float), t1, x2.astype(float), t2)
    np.testing.assert_allclose(outcome.p, expected, **PRECISE)


def test_the_rate_ratio_at_its_edges():
    x1, t1 = np.array([0.0, 0.0, 10.0, 5.0, 5.0, np.nan]), np.array([7.0, 7.0, 7.0, 0.0, 7.0, 7.0])
    x2, t2 = np.array([0.0, 20.0, 0.0, 5.0, 5.0, 5.0]), np.array([28.0, 28.0, 28.0, 28.0, 0.0, 28.0])
    outcome = poisson_rate_ratio("two_sided", x1, t1, x2, t2)
    np.testing.assert_allclose(outcome.p[:3], [1.0, 2 * 0.8**20, 2 * 0.2**10], **PRECISE)
    assert np.isnan(outcome.p[3:]).all()
    assert np.isfinite(outcome.low[1:3]).all()
    assert np.isfinite(outcome.high[1:3]).all()
    assert (outcome.low[1:3] < 1).all()
    assert (outcome.high[1:3] > 1).all()


def test_the_rate_ratio_of_fractions_lies_between_those_of_whole_counts():
    p = poisson_rate_ratio("less", np.array([3.0, 3.5, 4.0]), *(np.full(3, v) for v in (7.0, 40.0, 28.0))).p
    assert p[0] < p[1] < p[2]


def test_the_interval_of_the_rate_difference_holds_the_log_ratios():
    outcome = poisson_rate_ratio("less", *(np.array([v]) for v in (20.0, 7.0, 160.0, 28.0)))
    ratio, se = (20 / 7) / (160 / 28), np.sqrt(1 / 20 + 1 / 160)
    ends = ratio * np.exp(np.array([1, -1]) * stats.norm.ppf(0.95) * se)
    np.testing.assert_allclose([outcome.low[0], outcome.high[0]], (ends - 1) / (ratio - 1), **PRECISE)
    np.testing.assert_allclose(outcome.facts["ratio"], ratio, **PRECISE)


@pytest.mark.parametrize("side", ALL_SIDES)
def test_binomial_exact_sums_the_tail(side):
    generator = np.random.default_rng(3)
    n = generator.integers(1, 400, 200)
    rate = generator.beta(1, 20, 200)
    x = generator.binomial(n, rate)
    x[:10], x[10:20] = 0, n[10:20]
    law = stats.binom(n, rate)
    np.testing.assert_allclose(
        binomial_exact(side, x.astype(float), n.astype(float), rate).p,
        tails(law.cdf(x), law.sf(x - 1))[side],
        **PRECISE,
    )


def test_binomial_exact_at_its_edges():
    x, n = np.array([0.0, 2.0, 5.0, 12.0, 5.0, 1.0]), np.array([10.0, 10.0, 10.0, 10.0, 0.0, np.nan])
    rate = np.array([0.0, 0.0, 1.0, 0.5, 0.5, 0.5])
    outcome = binomial_exact("greater", x, n, rate)
    np.testing.assert_allclose(outcome.p, [1, 0, 1, 0.5**10, np.nan, np.nan], **PRECISE)
    assert np.isnan(binomial_exact("less", np.array([1.0]), np.array([9.0]), np.array([1.5])).p[0])


def test_the_interval_of_binomial_exact_is_wilsons():
    outcome = binomial_exact("less", np.array([30.0]), np.array([1000.0]), np.array([0.05]))
    low, high = wilson_interval(np.array([30.0]), np.array([1000.0]))
    np.testing.assert_allclose(outcome.low, (high - 0.05) / -0.02, **PRECISE)
    np.testing.assert_allclose(outcome.high, (low - 0.05) / -0.02, **PRECISE)


@pytest.mark.parametrize("side", ALL_SIDES)
def test_chi_square_is_the_upper_tail_on_any_side(side):
    statistic, df = np.array([0.0, 3.841459, 30.0, np.nan, 2.0, 2.0]), np.array([1.0, 1.0, 6.0, 3.0, 0.0, np.nan])
    expected = [1.0, stats.chi2.sf(3.841459, 1), stats.chi2.sf(30, 6), np.nan, np.nan, np.nan]
    np.testing.assert_allclose(chi_square(side, statistic, df).p, expected, **PRECISE)


def woolf(x11, n11, x12, n12, x21, n21, x22, n22):
    """Woolf's chi-square of heterogeneity: weighted squares about the weighted mean of the log odds ratios."""
    tables = np.array([[x11, n11 - x11, x12, n12 - x12], [x21, n21 - x21, x22, n22 - x22]]) + 0.5
    logs = np.log(tables[:, 0] * tables[:, 3] / (tables[:, 1] * tables[:, 2]))
    weights = 1 / (1 / tables).sum(axis=1)
    return (weights * (logs - (weights * logs).sum() / weights.sum()) ** 2).sum()


def test_the_interaction_is_woolfs_chi_square_of_heterogeneity():
    generator = np.random.default_rng(4)
    n = generator.integers(1, 500, (4, 100))
    x = generator.binomial(n, 0.05)
    args = [value.astype(float) for pair in zip(x, n, strict=True) for value in pair]
    outcome = log_odds_interaction("two_sided", *args)
    squares = [woolf(*row) for row in zip(*args, strict=True)]
    np.testing.assert_allclose(outcome.statistic**2, squares, **PRECISE)
    np.testing.assert_allclose(outcome.p, stats.chi2.sf(squares, 1), **PRECISE)


def test_the_interaction_is_less_where_the_first_odds_ratio_is():
    args = [np.array([v]) for v in (10.0, 1000.0, 50.0, 1000.0, 50.0, 1000.0, 50.0, 1000.0)]
    assert log_odds_interaction("less", *args).p[0] < 1e-4
    assert log_odds_interaction("greater", *args).p[0] > 0.999
    args[1] = np.array([0.0])
    assert np.isnan(log_odds_interaction("less", *args).p[0])


@pytest.mark.parametrize(("z", "p"), [(1.96, 0.0500), (3.29, 0.0010)])
def test_known_values_of_z(z, p):
    np.testing.assert_allclose(chi_square("two_sided", np.array([z**2]), np.ones(1)).p[0], p, atol=5e-5)
