"""Tests on counts and proportions.

A count may be a fraction (ad platforms share a conversion out over clicks): the exact tails are taken from the
incomplete gamma and beta functions, which equal the sums over whole counts and continue between them.
"""

from dataclasses import replace

import numpy as np
from scipy import special

from shared.detectors.outcome import Z90, Floats, Outcome, by_side, divide, multiples, normal, relative, student


def two_proportion_z(side: str, x1: Floats, n1: Floats, x2: Floats, n2: Floats) -> Outcome:
    """z test of two proportions with pooled variance; `less`: the first is smaller. Fleiss, ch. 3.

    More successes than trials (several conversions in a session) count as one a trial.
    """
    x1, x2 = np.clip(x1, 0, n1), np.clip(x2, 0, n2)
    r1, r2 = divide(x1, n1), divide(x2, n2)
    pooled = divide(x1 + x2, n1 + n2)
    z = divide(r1 - r2, np.sqrt(pooled * (1 - pooled) * (divide(1.0, n1) + divide(1.0, n2))))
    se = np.sqrt(divide(r1 * (1 - r1), n1) + divide(r2 * (1 - r2), n2))
    return Outcome(normal(side, z), z, *relative(r1 - r2, Z90 * se))


def quasi_poisson_ratio(
    side: str, current: Floats, base: Floats, expected: Floats, phi: Floats, phi_days: Floats
) -> Outcome:
    """Score test that a count is what its base lets expect, variance inflated by phi. McCullagh & Nelder, ch. 6.

    With c = expected / base and one rate for both, Var(current - c base) = phi c (current + base). The reference is
    t with the degrees of freedom that phi was estimated with (phi_days less one mean a weekday).
    """
    scale = np.where(base > 0, divide(expected, base), 0.25)
    phi = np.maximum(phi, 1.0)
    difference = current - scale * base
    t = divide(difference, np.sqrt(phi * scale * (current + base)))
    se = np.sqrt(phi * (current + scale**2 * base))
    degrees = np.maximum(phi_days - 7, 3.0)
    return Outcome(student(side, t, degrees), t, *relative(difference, Z90 * se), {"phi": phi, "df": degrees})


def poisson_exact(side: str, observed: Floats, expected: Floats) -> Outcome:
    """Exact test of a count against a known mean; the interval is Garwood's (1936).

    P(X <= x) = Q(x + 1, mean) and P(X >= x) = P(x, mean), the incomplete gamma functions (DLMF 8.2).
    """
    known = (observed >= 0) & (expected >= 0)
    none = observed == 0
    less = np.where(known, special.gammaincc(observed + 1, expected), np.nan)
    greater = np.where(known, np.where(none, 1.0, special.gammainc(observed, expected)), np.nan)
    lower = np.where(none, 0.0, special.gammaincinv(observed, 0.05))
    upper = np.asarray(special.gammaincinv(observed + 1, 0.95))
    effect = observed - expected
    statistic = divide(effect, np.sqrt(np.maximum(expected, 0)))
    ends = multiples(effect, lower - expected, upper - expected)
    return Outcome(by_side(side, less, greater), statistic, *ends, {"lower": lower, "upper": upper})


def poisson_exact_zero(side: str, expected: Floats) -> Outcome:
    """P(nothing at all | expected) of a Poisson count, whatever the side."""
    return replace(poisson_exact("less", np.zeros_like(expected), expected), statistic=expected, facts={})


def poisson_rate_ratio(side: str, x1: Floats, t1: Floats, x2: Floats, t2: Floats) -> Outcome:
    """Exact conditional test of two Poisson rates; `less`: the first is smaller. Przyborowski & Wilenski (1940).

    Given their sum, x1 is binomial with share t1 / (t1 + t2). The interval is that of the log of the ratio by the
    delta method, with Haldane's half a count where one of them is 0, times the second rate.
    """
    known = (x1 >= 0) & (x2 >= 0) & (t1 > 0) & (t2 > 0)
    less, greater = _binomial_tails(x1, x1 + x2, divide(t1, t1 + t2))
    p = np.where(known, by_side(side, less, greater), np.nan)
    half = np.where((x1 == 0) | (x2 == 0), 0.5, 0.0)
    r1, r2 = divide(x1 + half, t1), divide(x2 + half, t2)
    log_ratio = np.log(np.where(known, divide(r1, r2), np.nan))
    se = np.sqrt(np.where(known, divide(1.0, x1 + half) + divide(1.0, x2 + half), np.nan))
    ends = [r2 * np.expm1(log_ratio + sign * Z90 * se) for sign in (-1, 1)]
    facts = {"ratio": divide(divide(x1, t1), divide(x2, t2))}
    return Outcome(p, divide(log_ratio, se), *multiples(divide(x1, t1) - divide(x2, t2), *ends), facts)


def binomial_exact(side: str, x: Floats, n: Floats, rate: Floats) -> Outcome:
    """Exact test of one proportion against a known rate; the interval is Wilson's. Clopper & Pearson (1934)."""
    x = np.clip(x, 0, n)
    known = (n > 0) & (rate >= 0) & (rate <= 1)
    less, greater = _binomial_tails(x, n, rate)
    p = np.where(known, by_side(side, less, greater), np.nan)
    effect = divide(x, n) - rate
    z = divide(effect, np.sqrt(divide(np.where(known, rate * (1 - rate), np.nan), n)))
    lower, upper = wilson_interval(x, n)
    return Outcome(p, z, *multiples(effect, lower - rate, upper - rate), {"lower": lower, "upper": upper})


def wilson_bound(side: str, x: Floats, n: Floats, benchmark: Floats) -> Outcome:
    """Score test of one proportion against a benchmark.

    Its 5% one-sided rejection is the same as Wilson's 90% interval lying wholly beyond the benchmark (Wilson 1927).
    """
    x = np.clip(x, 0, n)
    effect = divide(x, n) - benchmark
    z = divide(effect, np.sqrt(divide(benchmark * (1 - benchmark), n)))
    lower, upper = wilson_interval(x, n)
    width = divide(upper - lower, np.maximum(benchmark, divide(x, n)))
    facts = {"lower": lower, "upper": upper, "relative_width": width}
    return Outcome(normal(side, z), z, *multiples(effect, lower - benchmark, upper - benchmark), facts)


def wilson_interval(x: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Wilson's 90% interval of a proportion."""
    rate, square = divide(x, n), Z90**2
    centre = divide(rate + divide(square, 2 * n), 1 + divide(square, n))
    half = divide(Z90 * np.sqrt(divide(rate * (1 - rate), n) + divide(square, 4 * n**2)), 1 + divide(square, n))
    return centre - half, centre + half


def chi_square(side: str, statistic: Floats, df: Floats) -> Outcome:
    """Upper tail of a chi-square statistic, whatever the side: it has no direction. Pearson (1900)."""
    p = np.where(df > 0, special.chdtrc(df, np.maximum(statistic, 0)), np.nan)
    return Outcome.without_interval(p, statistic, {"df": df})


def log_odds_interaction(
    side: str,
    x11: Floats,
    n11: Floats,
    x12: Floats,
    n12: Floats,
    x21: Floats,
    n21: Floats,
    x22: Floats,
    n22: Floats,
) -> Outcome:
    """Woolf's test (1955) that two odds ratios, (x11 of n11 : x12 of n12) and the same of group 2, are equal.

    `less`: the first is smaller. Half a count is added to every cell always (Haldane, Anscombe 1956), so that a cell
    of 0 has a logarithm and the estimate is less biased.
    """
    odds11, v11 = _log_odds(x11, n11)
    odds12, v12 = _log_odds(x12, n12)
    odds21, v21 = _log_odds(x21, n21)
    odds22, v22 = _log_odds(x22, n22)
    ratio1, ratio2 = odds11 - odds12, odds21 - odds22
    z = divide(ratio1 - ratio2, np.sqrt(v11 + v12 + v21 + v22))
    facts = {"odds_ratio_1": np.exp(ratio1), "odds_ratio_2": np.exp(ratio2)}
    return Outcome.without_interval(normal(side, z), z, facts)


def _log_odds(x: Floats, n: Floats) -> tuple[Floats, Floats]:
    n = np.where(n > 0, n, np.nan)
    x = np.clip(x, 0, n)
    yes, no = x + 0.5, n - x + 0.5
    return np.log(yes / no), 1 / yes + 1 / no


def _binomial_tails(x: Floats, n: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """P(X <= x), P(X >= x): the incomplete beta function (DLMF 8.17.5)."""
    less = np.where(x == n, 1.0, special.betaincc(x + 1, n - x, rate))
    greater = np.where(x == 0, 1.0, special.betainc(x, n - x + 1, rate))
    return less, greater
