"""The tests of significance against scipy.stats, which the functions themselves do not load."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from shared.detectors.significance import (
    TESTS,
    false_discovery,
    poisson_exact_zero,
    quasi_poisson_ratio,
    two_proportion_z,
    welch_t_log,
    wilson_bound,
    wilson_interval,
)

PRECISE = {"rtol": 1e-6, "atol": 1e-12}
SIDES = {"less": "less", "greater": "greater", "two_sided": "two-sided"}
generator = np.random.default_rng(20261018)


def columns(*values):
    return [np.array([float(value)]) for value in values]


@pytest.mark.parametrize(
    ("x1", "n1", "x2", "n2"), [(7, 700, 140, 2800), (30, 400, 25, 500), (0, 300, 40, 4000), (9, 10, 5, 10)]
)
def test_two_proportion_z_is_the_root_of_the_chi_square_without_correction(x1, n1, x2, n2):
    outcome = two_proportion_z("two_sided", *columns(x1, n1, x2, n2))
    table = [[x1, n1 - x1], [x2, n2 - x2]]
    expected = stats.chi2_contingency(table, correction=False)
    np.testing.assert_allclose(outcome.statistic[0] ** 2, expected.statistic, **PRECISE)
    np.testing.assert_allclose(outcome.p[0], expected.pvalue, **PRECISE)
    less = two_proportion_z("less", *columns(x1, n1, x2, n2))
    np.testing.assert_allclose(less.p[0], stats.norm.cdf(outcome.statistic[0]), **PRECISE)


def test_two_proportion_z_counts_more_successes_than_trials_as_one_a_trial():
    assert two_proportion_z("less", *columns(12, 10, 5, 10)).p == two_proportion_z("less", *columns(10, 10, 5, 10)).p


@pytest.mark.parametrize("side", SIDES)
def test_welch_is_scipys_on_the_logs(side):
    cur, base = generator.gamma(3, 100, 7), generator.gamma(3, 140, 28)
    log_cur, log_base = np.log1p(cur), np.log1p(base)
    sums = [log_cur.sum(), (log_cur**2).sum(), 7, log_base.sum(), (log_base**2).sum(), 28]
    expected = stats.ttest_ind(log_cur, log_base, equal_var=False, alternative=SIDES[side])
    outcome = welch_t_log(side, *columns(*sums))
    np.testing.assert_allclose(outcome.statistic[0], expected.statistic, **PRECISE)
    np.testing.assert_allclose(outcome.p[0], expected.pvalue, **PRECISE)
    np.testing.assert_allclose(outcome.facts["df"][0], expected.df, **PRECISE)


def test_welch_on_days_that_are_all_alike_is_certain():
    alike = [7 * np.log(301), 7 * np.log(301) ** 2, 7, 28 * np.log(1001), 28 * np.log(1001) ** 2, 28]
    assert welch_t_log("less", *columns(*alike)).p[0] < 1e-12


@pytest.mark.parametrize(("current", "base", "phi"), [(60, 400, 1.0), (90, 400, 2.5), (130, 400, 1.0)])
def test_the_poisson_ratio_without_dispersion_is_the_score_test_of_the_binomial(current, base, phi):
    # Given their sum, the current count is binomial with share c / (1 + c): its score test is the same z.
    outcome = quasi_poisson_ratio("less", *columns(current, base, base / 4, phi, 10_000_000))
    share = 0.25 / 1.25
    total = current + base
    z = (current - total * share) / np.sqrt(phi * total * share * (1 - share))
    np.testing.assert_allclose(outcome.statistic[0], z, **PRECISE)
    np.testing.assert_allclose(outcome.p[0], stats.norm.cdf(z), rtol=1e-5)


def test_the_poisson_ratio_refers_to_t_with_the_days_of_its_dispersion():
    outcome = quasi_poisson_ratio("less", *columns(60, 400, 100, 2.0, 56))
    np.testing.assert_allclose(outcome.p[0], stats.t.cdf(outcome.statistic[0], 49), **PRECISE)


def test_a_source_without_any_past_is_a_spike():
    assert quasi_poisson_ratio("greater", *columns(500, 0, 0, 1, 56)).p[0] < 1e-6


@pytest.mark.parametrize(("x", "n"), [(0, 1000), (5, 1000), (300, 1000), (1000, 1000)])
def test_wilsons_interval_is_scipys(x, n):
    low, high = wilson_interval(*columns(x, n))
    expected = stats.binomtest(x, n).proportion_ci(confidence_level=0.90, method="wilson")
    np.testing.assert_allclose([low[0], high[0]], [expected.low, expected.high], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("x", range(20, 80, 3))
def test_the_score_test_rejects_exactly_where_wilsons_interval_lies_beyond(x):
    outcome = wilson_bound("greater", *columns(x, 1000, 0.05))
    assert (outcome.p[0] < 0.05) == (wilson_interval(*columns(x, 1000))[0][0] > 0.05)


def test_exact_zero_is_poissons():
    np.testing.assert_allclose(poisson_exact_zero("less", np.array([14.0])).p, stats.poisson.pmf(0, 14.0), **PRECISE)


def test_false_discovery_is_scipys():
    for size in (1, 2, 17, 400):
        p = generator.uniform(size=size) ** 3
        np.testing.assert_allclose(false_discovery(p), stats.false_discovery_control(p), **PRECISE)


def test_what_could_not_be_tested_counts_as_not_significant():
    np.testing.assert_allclose(false_discovery(np.array([0.01, np.nan])), [0.02, 1.0])
    assert false_discovery(np.empty(0)).size == 0


SERIES = {
    "robust_z": {"values"},
    **dict.fromkeys(["mann_whitney", "welch_t", "bootstrap_mean"], {"x", "y"}),
    **dict.fromkeys(["mann_kendall", "cusum"], {"series"}),
    "bootstrap_ratio": {"num1", "den1", "num2", "den2"},
}
"""The tests that take daily values, and which of their arguments are such."""
VECTORISED = sorted(set(TESTS) - {"none"})


def arguments(name, entities, days):
    """Random arguments of a test by its declared names: series where it takes them, else a number an entity."""
    random = np.random.default_rng(5)
    made = {arg: random.gamma(4, 5, (entities, days)) for arg in TESTS[name].args if arg in SERIES.get(name, ())}
    for arg in (arg for arg in TESTS[name].args if arg not in made):
        # Trials are more than successes, and a rate is below 1.
        scale = 0.01 if arg in {"rate", "benchmark"} else 10 if arg.startswith("n") else 1
        made[arg] = scale * random.uniform(5, 20, entities)
    return {arg: made[arg] for arg in TESTS[name].args}


@pytest.mark.parametrize("name", TESTS)
def test_a_test_takes_the_arguments_that_declarations_give_it(name):
    assert tuple(inspect.signature(TESTS[name].run).parameters) == ("side", *TESTS[name].args)


@pytest.mark.parametrize("name", VECTORISED)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("entities", "days"), [(0, 7), (3, 7), (3, 1), (3, 0), (0, 0)])
def test_a_test_answers_for_each_entity_even_where_there_is_none(name, side, entities, days):
    outcome = TESTS[name].run(side, **arguments(name, entities, days))
    shapes = {np.shape(value) for value in (outcome.p, outcome.statistic, outcome.low, outcome.high)}
    assert shapes | {np.shape(fact) for fact in outcome.facts.values()} == {(entities,)}
    assert np.all(np.isnan(outcome.p) | ((outcome.p >= 0) & (outcome.p <= 1)))
    if days == 0 and name in SERIES:
        assert np.isnan(outcome.p).all()


@pytest.mark.parametrize("name", VECTORISED)
def test_a_test_says_nothing_of_what_was_not_measured(name):
    given = arguments(name, 3, 7)
    for values in given.values():
        values[1] = np.nan
    outcome = TESTS[name].run("less", **given)
    np.testing.assert_array_equal(np.isnan(outcome.p), [False, True, False])


@pytest.mark.parametrize("name", VECTORISED)
def test_an_entity_is_judged_alike_alone_and_among_others(name):
    given = arguments(name, 6, 14)
    alone = TESTS[name].run("two_sided", **{arg: values[3:4] for arg, values in given.items()})
    np.testing.assert_allclose(TESTS[name].run("two_sided", **given).p[3:4], alone.p, **PRECISE)


@pytest.mark.parametrize("name", VECTORISED)
def test_a_test_has_an_interval_if_it_says_so(name):
    outcome = TESTS[name].run("less", **arguments(name, 3, 14))
    if name != "poisson_exact_zero":
        assert np.isfinite(outcome.high).all() == TESTS[name].interval


@pytest.mark.parametrize(("z", "p"), [(1.96, 0.0500), (3.29, 0.0010)])
def test_known_values_of_z(z, p):
    # Of 2 x n trials with half of them successes, the variance of the difference of rates is 1 / (2 n).
    n, difference = 10_000, z / np.sqrt(2 * 10_000)
    outcome = two_proportion_z("two_sided", *columns(n * (1 + difference) / 2, n, n * (1 - difference) / 2, n))
    np.testing.assert_allclose(outcome.statistic[0], z, rtol=1e-6)
    np.testing.assert_allclose(outcome.p[0], p, atol=5e-5)


def test_the_functions_do_not_load_scipy_stats():
    code = "import sys, shared.detectors.significance; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
