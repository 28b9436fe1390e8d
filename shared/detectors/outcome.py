"""What a test of significance answers, and what the tests share: p by side, and an effect's interval."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Z90 = 1.6448536269514722
"""Half-width of a 90% interval in standard errors."""


@dataclass(frozen=True)
class Outcome:
    """What a test says of each entity; NaN where it cannot say.

    low, high: the ends of the effect's 90% interval as multiples of the effect (1 is the effect itself).
    facts: further numbers for the evidence.
    """

    p: Floats
    statistic: Floats
    low: Floats
    high: Floats
    facts: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def without_interval(cls, p: Floats, statistic: Floats, facts: Mapping[str, Floats]) -> "Outcome":
        """Of a test that says nothing of how large the effect is."""
        unknown = np.full(p.shape, np.nan)
        return cls(p, statistic, unknown, unknown, facts)


def divide(a: Floats | float, b: Floats | float) -> Floats:
    """a / b, NaN where b is 0."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    out: Floats = np.full(np.broadcast(a, b).shape, np.nan)
    np.divide(a, b, out=out, where=b != 0)
    return out


def standardised(effect: Floats, se: Floats) -> Floats:
    """effect / se; what does not vary differs for certain where it differs at all."""
    sure = np.where(effect == 0, 0.0, np.copysign(np.inf, effect))
    return np.where(np.isnan(effect), np.nan, np.where(se == 0, sure, divide(effect, se)))


def multiples(effect: Floats, one_end: Floats, other_end: Floats) -> tuple[Floats, Floats]:
    """An interval of an effect, in its units, as multiples of the effect; never below 0."""
    low, high = np.sort(np.stack([divide(one_end, effect), divide(other_end, effect)]), axis=0)
    return np.maximum(low, 0), high


def relative(effect: Floats, margin: Floats) -> tuple[Floats, Floats]:
    """The interval effect -+ margin as multiples of the effect; never below 0."""
    share = np.abs(divide(margin, effect))
    return np.maximum(1 - share, 0), 1 + share


def by_side(side: str, less: Floats, greater: Floats) -> Floats:
    """p of two exact tails; two-sided is twice the smaller one (Fisher's doubling rule)."""
    if side == "less":
        return less
    if side == "greater":
        return greater
    return np.asarray(np.minimum(1.0, 2 * np.minimum(less, greater)))


def normal(side: str, z: Floats) -> Floats:
    """p of a standard normal statistic."""
    if side == "less":
        return np.asarray(special.ndtr(z))
    if side == "greater":
        return np.asarray(special.ndtr(-z))
    return np.asarray(2 * special.ndtr(-np.abs(z)))


def student(side: str, t: Floats, degrees: Floats) -> Floats:
    """p of a t statistic."""
    if side == "less":
        return np.asarray(special.stdtr(degrees, t))
    if side == "greater":
        return np.asarray(special.stdtr(degrees, -t))
    return np.asarray(2 * special.stdtr(degrees, -np.abs(t)))
