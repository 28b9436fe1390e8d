"""Tests on daily values: arrays shaped (entity, day), NaN where a day has no value."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from shared.detectors.outcome import Floats, Outcome, divide, multiples, normal, relative, standardised, student

LEAST_FOR_SPREAD = 4
"""With fewer values a median absolute deviation is a coincidence."""
LEAST_FOR_RANKS = 3
"""With fewer values on a side no ranking is rare."""


def robust_z(side: str, current: Floats, values: Floats) -> Outcome:
    """z of one value by the median and the MAD of others; by their mean deviation where the MAD is 0.

    Iglewicz & Hoaglin (1993). 1.4826 and 1.2533 make either one the standard deviation of a normal.
    """
    count = counted(values)
    median = quantile(np.sort(values, axis=1), 0.5)
    deviations = np.abs(values - median[:, None])
    mad = quantile(np.sort(deviations, axis=1), 0.5)
    mean_deviation = divide(np.nansum(deviations, axis=1), count)
    scale = np.where(mad > 0, 1.4826 * mad, 1.2533 * mean_deviation)
    z = np.where(count >= LEAST_FOR_SPREAD, standardised(current - median, scale), np.nan)
    return Outcome.without_interval(normal(side, z), z, {"z": z, "median": median, "mad": mad})


def mann_whitney(side: str, x: Floats, y: Floats) -> Outcome:
    """Mann and Whitney's U (1947), normal approximation with corrections for ties and continuity.

    `less`: x tends to be smaller. The fact `effect` is P(x > y) + P(x = y) / 2, McGraw & Wong's (1992).
    """
    n1, n2 = counted(x), counted(y)
    ranked, equals = ranks(np.concatenate([x, y], axis=1))
    u = np.nansum(ranked[:, : x.shape[1]], axis=1) - n1 * (n1 + 1) / 2
    product, total = n1 * n2, n1 + n2
    ties = divide(np.nansum(equals**2 - 1, axis=1), total * (total - 1))
    sd = np.sqrt(np.maximum(product / 12 * (total + 1 - ties), 0))
    enough = (n1 >= LEAST_FOR_RANKS) & (n2 >= LEAST_FOR_RANKS)
    above = {"less": product / 2 - u, "greater": u - product / 2}.get(side, np.abs(u - product / 2))
    tail = normal("greater", divide(above - 0.5, sd))
    p = np.where(sd > 0, np.minimum(1.0, tail if side in ("less", "greater") else 2 * tail), 1.0)
    p, u = np.where(enough, p, np.nan), np.where(enough, u, np.nan)
    return Outcome.without_interval(p, u, {"effect": divide(u, product)})


def welch_t(side: str, x: Floats, y: Floats) -> Outcome:
    """Welch's t test (1947) on daily values; `less`: x is smaller."""
    n1, m1, v1 = moments(x)
    n2, m2, v2 = moments(y)
    t, degrees, se = _welch(m1 - m2, divide(v1, n1), n1, divide(v2, n2), n2)
    margin = special.stdtrit(degrees, 0.95) * se
    return Outcome(student(side, t, degrees), t, *relative(m1 - m2, margin), {"df": degrees})


def welch_t_log(
    side: str, sum1: Floats, squares1: Floats, n1: Floats, sum2: Floats, squares2: Floats, n2: Floats
) -> Outcome:
    """Welch's t test on logs of daily values, from their sums and sums of squares; `less`: the first is smaller."""
    m1, m2 = divide(sum1, n1), divide(sum2, n2)
    v1 = divide(np.maximum(squares1 - n1 * m1**2, 0), (n1 - 1) * n1)
    v2 = divide(np.maximum(squares2 - n2 * m2**2, 0), (n2 - 1) * n2)
    t, degrees, se = _welch(m1 - m2, v1, n1, v2, n2)
    # The value falls by the share 1 - exp(difference of logs): the interval's ends relative to that.
    margin = special.stdtrit(np.maximum(degrees, 1.0), 0.95) * se
    ends = multiples(-np.expm1(m1 - m2), -np.expm1(m1 - m2 + margin), -np.expm1(m1 - m2 - margin))
    return Outcome(student(side, t, degrees), t, *ends, {"df": degrees})


def counted(values: Floats) -> Floats:
    """How many values each row has."""
    return np.asarray(np.count_nonzero(~np.isnan(values), axis=1), dtype=np.float64)


def quantile(ordered: Floats, q: float) -> Floats:
    """A quantile of rows that are sorted (so that NaN is last), interpolated as numpy does."""
    if not ordered.shape[1]:
        return np.full(ordered.shape[0], np.nan)
    place = q * np.maximum(counted(ordered) - 1, 0)
    below = np.floor(place)
    share = place - below
    a, b = at(ordered, below), at(ordered, np.ceil(place))
    return np.where(a == b, a, a * (1 - share) + b * share)


def at(values: Floats, column: Floats) -> Floats:
    """One value of each row."""
    return np.take_along_axis(values, column.astype(np.intp)[:, None], axis=1)[:, 0]


def moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Count, mean and unbiased variance of each row.

    Taken from the row's least value, so that days that are all alike have no variance at all, not a rounding error.
    """
    there = ~np.isnan(values)
    count = counted(values)
    origin = np.min(values, axis=1, where=there, initial=np.inf)
    origin = np.where(count > 0, origin, np.nan)
    shifted = values - origin[:, None]
    mean = divide(np.nansum(shifted, axis=1), count)
    squares = np.nansum((shifted - mean[:, None]) ** 2, axis=1)
    return count, origin + mean, np.where(count > 1, divide(squares, count - 1), np.nan)


def ranks(values: Floats) -> tuple[Floats, Floats]:
    """The rank of each value in its row, the mean rank for equal ones; and how many equal it, itself included."""
    if not values.size:
        return values.copy(), values.copy()
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    first = np.ones(values.shape, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # Runs of equal values, numbered through all rows: the first value of a row always begins one.
    run: NDArray[np.intp] = np.cumsum(first.ravel()) - 1
    sizes = np.bincount(run)
    middles = np.flatnonzero(first) % values.shape[1] + (sizes + 1) / 2
    ranked, equals = np.empty(values.shape), np.empty(values.shape)
    np.put_along_axis(ranked, order, middles[run].reshape(values.shape), axis=1)
    np.put_along_axis(equals, order, sizes[run].reshape(values.shape).astype(np.float64), axis=1)
    missing = np.isnan(values)
    ranked[missing] = equals[missing] = np.nan
    return ranked, equals


def _welch(difference: Floats, v1: Floats, n1: Floats, v2: Floats, n2: Floats) -> tuple[Floats, Floats, Floats]:
    """t, its degrees of freedom by Welch and Satterthwaite, and the standard error; v are variances of the means."""
    se = np.sqrt(v1 + v2)
    degrees = divide((v1 + v2) ** 2, divide(v1**2, n1 - 1) + divide(v2**2, n2 - 1))
    return standardised(difference, se), np.where(np.isnan(degrees), n1 + n2 - 2, degrees), se
