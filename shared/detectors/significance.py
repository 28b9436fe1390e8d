"""The tests of significance that declarations may name, vectorised; and the false discovery rate over them.

Only numpy and scipy.special are used: scipy.stats costs a second of every cold start. It is the judge in the unit
tests. A test takes its side and then arrays: one value an entity, or (entity, day) of daily values.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.detectors.counts import (
    binomial_exact,
    chi_square,
    log_odds_interaction,
    poisson_exact,
    poisson_exact_zero,
    poisson_rate_ratio,
    quasi_poisson_ratio,
    two_proportion_z,
    wilson_bound,
    wilson_interval,
)
from shared.detectors.outcome import Z90, Floats, Outcome
from shared.detectors.resampling import bootstrap_mean, bootstrap_ratio
from shared.detectors.samples import mann_whitney, robust_z, welch_t, welch_t_log
from shared.detectors.trend import cusum, kendall_tau, mann_kendall, theil_sen

__all__ = [
    "TESTS",
    "Z90",
    "Floats",
    "Outcome",
    "TestKind",
    "binomial_exact",
    "bootstrap_mean",
    "bootstrap_ratio",
    "chi_square",
    "cusum",
    "false_discovery",
    "kendall_tau",
    "log_odds_interaction",
    "mann_kendall",
    "mann_whitney",
    "none",
    "poisson_exact",
    "poisson_exact_zero",
    "poisson_rate_ratio",
    "quasi_poisson_ratio",
    "robust_z",
    "theil_sen",
    "two_proportion_z",
    "welch_t",
    "welch_t_log",
    "wilson_bound",
    "wilson_interval",
]


@dataclass(frozen=True)
class TestKind:
    """A test that declarations may name: its arguments, and whether it gives an interval of the effect."""

    args: tuple[str, ...]
    interval: bool
    run: Callable[..., Outcome]
    reference: str


def none(side: str) -> Outcome:
    """No test: the rule reads a fact."""
    nothing = np.empty(0)
    return Outcome(nothing, nothing, nothing, nothing)


def false_discovery(p: Floats) -> Floats:
    """q-values by Benjamini and Hochberg (1995); what could not be tested (NaN) counts as p = 1."""
    p = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(-p, kind="stable")
    ranks = np.arange(p.size, 0, -1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(p[order] * p.size / ranks), 1.0) if p.size else p
    return q


TESTS: dict[str, TestKind] = {
    "two_proportion_z": TestKind(("x1", "n1", "x2", "n2"), True, two_proportion_z, "z, pooled variance"),
    "quasi_poisson_ratio": TestKind(
        ("current", "base", "expected", "phi", "phi_days"),
        True,
        quasi_poisson_ratio,
        "score test, overdispersed Poisson",
    ),
    "poisson_exact": TestKind(("observed", "expected"), True, poisson_exact, "exact Poisson tail"),
    "poisson_exact_zero": TestKind(("expected",), False, poisson_exact_zero, "exact Poisson probability of none"),
    "poisson_rate_ratio": TestKind(
        ("x1", "t1", "x2", "t2"), True, poisson_rate_ratio, "exact conditional test of two Poisson rates"
    ),
    "binomial_exact": TestKind(("x", "n", "rate"), True, binomial_exact, "exact binomial tail"),
    "wilson_bound": TestKind(("x", "n", "benchmark"), True, wilson_bound, "Wilson's interval against a benchmark"),
    "chi_square": TestKind(("statistic", "df"), False, chi_square, "upper tail of chi-square"),
    "log_odds_interaction": TestKind(
        ("x11", "n11", "x12", "n12", "x21", "n21", "x22", "n22"),
        False,
        log_odds_interaction,
        "Woolf's test of two odds ratios",
    ),
    "robust_z": TestKind(("current", "values"), False, robust_z, "z by median and MAD"),
    "mann_whitney": TestKind(("x", "y"), False, mann_whitney, "Mann and Whitney's U, corrected for ties"),
    "welch_t": TestKind(("x", "y"), True, welch_t, "Welch's t on daily values"),
    "welch_t_log": TestKind(
        ("sum1", "squares1", "n1", "sum2", "squares2", "n2"), True, welch_t_log, "Welch's t on log(daily value + 1)"
    ),
    "mann_kendall": TestKind(("series",), True, mann_kendall, "Mann and Kendall's test of a trend, Sen's slope"),
    "cusum": TestKind(("series",), False, cusum, "CUSUM test of a change of level"),
    "bootstrap_ratio": TestKind(
        ("num1", "den1", "num2", "den2"), True, bootstrap_ratio, "bootstrap of days, ratio of sums"
    ),
    "bootstrap_mean": TestKind(("x", "y"), True, bootstrap_mean, "bootstrap of days, mean"),
    "none": TestKind((), False, none, "a fact, not an estimate"),
}
