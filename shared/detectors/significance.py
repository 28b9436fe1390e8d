"""Tests of significance on sufficient statistics, vectorised; and the false discovery rate over them.

Only scipy.special is used: scipy.stats costs a second of every cold start. It is the judge in the unit tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Z90 = 1.6448536269514722
"""Half-width of a 90% interval in standard errors."""


@dataclass(frozen=True)
class Outcome:
    """What a test says of each entity.

    low, high: the ends of the effect's 90% interval as multiples of the effect (1 is the effect itself).
    facts: further numbers for the evidence.
    """

    p: Floats
    statistic: Floats
    low: Floats
    high: Floats
    facts: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class TestKind:
    """A test that declarations may name: its arguments, and whether it gives an interval of the effect."""

    args: tuple[str, ...]
    interval: bool
    run: Callable[..., Outcome]
    reference: str


def two_proportion_z(side: str, x1: Floats, n1: Floats, x2: Floats, n2: Floats) -> Outcome:
    """z test of two proportions with pooled variance; `less`: the first is smaller. Fleiss, ch. 3.

    More successes than trials (several conversions in a session) count as one a trial.
    """
    x1, x2 = np.clip(x1, 0, n1), np.clip(x2, 0, n2)
    r1, r2 = _divide(x1, n1), _divide(x2, n2)
    pooled = _divide(x1 + x2, n1 + n2)
    z = _divide(r1 - r2, np.sqrt(pooled * (1 - pooled) * (_divide(1.0, n1) + _divide(1.0, n2))))
    se = np.sqrt(_divide(r1 * (1 - r1), n1) + _divide(r2 * (1 - r2), n2))
    return Outcome(_normal(z, side), z, *_relative(r1 - r2, se))


def quasi_poisson_ratio(
    side: str, current: Floats, base: Floats, expected: Floats, phi: Floats, phi_days: Floats
) -> Outcome:
    """Score test that a count is what its base lets expect, variance inflated by phi. McCullagh & Nelder, ch. 6.

    With c = expected / base and one rate for both, Var(current - c base) = phi c (current + base). The reference is
    t with the degrees of freedom that phi was estimated with (phi_days less one mean a weekday).
    """
    scale = np.where(base > 0, _divide(expected, base), 0.25)
    phi = np.maximum(phi, 1.0)
    difference = current - scale * base
    t = _divide(difference, np.sqrt(phi * scale * (current + base)))
    se = np.sqrt(phi * (current + scale**2 * base))
    degrees = np.maximum(phi_days - 7, 3.0)
    return Outcome(_student(t, degrees, side), t, *_relative(difference, se), {"phi": phi, "df": degrees})


def wilson_bound(side: str, x: Floats, n: Floats, benchmark: Floats) -> Outcome:
    """Score test of one proportion against a benchmark.

    Its 5% one-sided rejection is the same as Wilson's 90% interval lying wholly beyond the benchmark (Wilson 1927).
    """
    x = np.clip(x, 0, n)
    rate = _divide(x, n)
    z = _divide(rate - benchmark, np.sqrt(_divide(benchmark * (1 - benchmark), n)))
    lower, upper = wilson_interval(x, n)
    effect = rate - benchmark
    ends = np.sort(np.stack([_divide(lower - benchmark, effect), _divide(upper - benchmark, effect)]), axis=0)
    facts = {"lower": lower, "upper": upper, "relative_width": _divide(upper - lower, benchmark)}
    return Outcome(_normal(z, side), z, np.maximum(ends[0], 0), ends[1], facts)


def wilson_interval(x: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Wilson's 90% interval of a proportion."""
    rate, square = _divide(x, n), Z90**2
    centre = _divide(rate + _divide(square, 2 * n), 1 + _divide(square, n))
    half = _divide(Z90 * np.sqrt(_divide(rate * (1 - rate), n) + _divide(square, 4 * n**2)), 1 + _divide(square, n))
    return centre - half, centre + half


def welch_t_log(
    side: str, sum1: Floats, squares1: Floats, n1: Floats, sum2: Floats, squares2: Floats, n2: Floats
) -> Outcome:
    """Welch's t test on logs of daily values, from their sums and sums of squares; `less`: the first is smaller."""
    m1, m2 = _divide(sum1, n1), _divide(sum2, n2)
    v1 = _divide(np.maximum(squares1 - n1 * m1**2, 0), (n1 - 1) * n1)
    v2 = _divide(np.maximum(squares2 - n2 * m2**2, 0), (n2 - 1) * n2)
    se = np.sqrt(v1 + v2)
    # Days that are all alike differ for certain where they differ at all.
    t = np.where(se > 0, _divide(m1 - m2, se), np.where(m1 == m2, 0.0, np.sign(m1 - m2) * np.inf))
    degrees = _divide((v1 + v2) ** 2, _divide(v1**2, n1 - 1) + _divide(v2**2, n2 - 1))
    degrees = np.where(np.isnan(degrees), n1 + n2 - 2, degrees)
    # The value falls by the share 1 - exp(difference of logs): the interval's ends relative to that.
    share = -np.expm1(m1 - m2)
    margin = special.stdtrit(np.maximum(degrees, 1.0), 0.95) * se
    ends = np.stack([_divide(-np.expm1(m1 - m2 + margin), share), _divide(-np.expm1(m1 - m2 - margin), share)])
    low, high = np.sort(ends, axis=0)
    return Outcome(_student(t, degrees, side), t, np.maximum(low, 0), high, {"df": degrees})


def poisson_exact_zero(side: str, expected: Floats) -> Outcome:
    """P(nothing at all | expected) of a Poisson count."""
    ones = np.ones_like(expected)
    return Outcome(np.exp(-expected), expected, ones, ones)


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


def _divide(a: Floats | float, b: Floats | float) -> Floats:
    b = np.asarray(b, dtype=np.float64)
    out: Floats = np.full(np.broadcast(a, b).shape, np.nan)
    np.divide(a, b, out=out, where=b != 0)
    return out


def _relative(effect: Floats, se: Floats) -> tuple[Floats, Floats]:
    margin = np.abs(_divide(Z90 * se, effect))
    return np.maximum(1 - margin, 0), 1 + margin


def _normal(z: Floats, side: str) -> Floats:
    if side == "less":
        return np.asarray(special.ndtr(z))
    if side == "greater":
        return np.asarray(special.ndtr(-z))
    return np.asarray(2 * special.ndtr(-np.abs(z)))


def _student(t: Floats, degrees: Floats, side: str) -> Floats:
    if side == "less":
        return np.asarray(special.stdtr(degrees, t))
    if side == "greater":
        return np.asarray(special.stdtr(degrees, -t))
    return np.asarray(2 * special.stdtr(degrees, -np.abs(t)))


TESTS: dict[str, TestKind] = {
    "two_proportion_z": TestKind(("x1", "n1", "x2", "n2"), True, two_proportion_z, "z, pooled variance"),
    "quasi_poisson_ratio": TestKind(
        ("current", "base", "expected", "phi", "phi_days"),
        True,
        quasi_poisson_ratio,
        "score test, overdispersed Poisson",
    ),
    "wilson_bound": TestKind(("x", "n", "benchmark"), True, wilson_bound, "Wilson's interval against a benchmark"),
    "welch_t_log": TestKind(
        ("sum1", "squares1", "n1", "sum2", "squares2", "n2"), True, welch_t_log, "Welch's t on log(daily value + 1)"
    ),
    "poisson_exact_zero": TestKind(("expected",), False, poisson_exact_zero, "exact Poisson probability of none"),
    "none": TestKind((), False, none, "a fact, not an estimate"),
}
