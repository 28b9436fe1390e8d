"""Tests of a series in time: a steady trend, a change of level. Arrays shaped (entity, day), oldest first, NaN none."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from shared.detectors.outcome import Z90, Floats, Outcome, by_side, divide, multiples, normal
from shared.detectors.samples import LEAST_FOR_SPREAD, at, counted, moments, quantile, ranks

LARGEST_EXACT = 33
"""Up to so many values without ties Kendall's tau has its exact distribution, as in scipy; beyond, the normal's."""
PAIRS_AT_ONCE = 2_000_000
"""Entities are taken in blocks of so many slopes: 16 MB an array."""


def mann_kendall(side: str, series: Floats) -> Outcome:
    """Mann (1945) and Kendall's test of a trend; `less`: it falls. The interval is Sen's (1968) of the slope.

    Exact without ties, else normal with the variance corrected for ties. No trend can be told of a constant.
    """
    count, concordance = counted(series), _concordance(series)
    pairs = count * (count - 1) / 2
    _, equals = ranks(series)
    tied = np.nansum(equals - 1, axis=1) / 2
    variance = (2 * pairs * (2 * count + 5) - np.nansum((equals - 1) * (2 * equals + 5), axis=1)) / 18
    z = np.where(pairs > tied, divide(concordance, np.sqrt(np.maximum(variance, 0))), np.nan)

    exact = (count >= 2) & (count <= LARGEST_EXACT) & (tied == 0)
    length = np.where(exact, count, 0).astype(np.intp)
    discordant = np.where(exact, (pairs - concordance) / 2, 0).astype(np.intp)
    concordant = np.where(exact, (pairs + concordance) / 2, 0).astype(np.intp)
    # As many are discordant in a series as concordant in its mirror image: one distribution serves both tails.
    known = _inversions()
    p = np.where(exact, by_side(side, known[length, concordant], known[length, discordant]), normal(side, z))

    slope, lower, upper = np.full((3, series.shape[0]), np.nan)
    margin = Z90 * np.sqrt(np.maximum(variance, 0))
    for rows, slopes in _slopes(series):
        total = pairs[rows]
        low = np.clip(np.rint((total - margin[rows]) / 2) - 1, 0, None)
        high = np.clip(np.rint((total + margin[rows]) / 2), 0, np.maximum(total - 1, 0))
        slope[rows], lower[rows], upper[rows] = quantile(slopes, 0.5), at(slopes, low), at(slopes, high)
    facts = {"tau": _tau(concordance, pairs, tied), "slope": slope, "periods": count}
    return Outcome(p, z, *multiples(slope, lower, upper), facts)


def theil_sen(series: Floats) -> Floats:
    """The median of the slopes between all pairs of days, in units a day. Theil (1950), Sen (1968)."""
    slope = np.full(series.shape[0], np.nan)
    for rows, slopes in _slopes(series):
        slope[rows] = quantile(slopes, 0.5)
    return slope


def kendall_tau(series: Floats) -> Floats:
    """Kendall's tau-b (1945) of a series against time: 1 rises always, -1 falls always; NaN of a constant."""
    count = counted(series)
    _, equals = ranks(series)
    return _tau(_concordance(series), count * (count - 1) / 2, np.nansum(equals - 1, axis=1) / 2)


def cusum(side: str, series: Floats) -> Outcome:
    """A change of level: the largest of the cumulated deviations from the mean. Ploberger & Krämer (1992).

    Under no change they are a Brownian bridge: Kolmogorov's distribution, or Smirnov's exp(-2 x^2) one-sided.
    `less`: the level falls. The fact `change_at` is the index of the first value of the new level.
    """
    count, mean, variance = moments(series)
    path = np.cumsum(np.nan_to_num(series - mean[:, None], nan=0.0), axis=1)
    # Before the level falls values are above the mean, and their sum is at its height where it falls.
    height = {"less": path, "greater": -path}.get(side, np.abs(path))
    peak = np.max(height, axis=1, initial=0.0)
    enough = count >= LEAST_FOR_SPREAD
    scale = np.sqrt(variance * count)
    statistic = np.where(enough, np.where(scale == 0, 0.0, divide(peak, scale)), np.nan)
    p = np.exp(-2 * statistic**2) if side in ("less", "greater") else np.asarray(special.kolmogorov(statistic))
    return Outcome.without_interval(p, statistic, {"change_at": _after(series, height, enough & (statistic > 0))})


def _after(series: Floats, height: Floats, changed: NDArray[np.bool_]) -> Floats:
    """The index of the first value after the peak of each row; NaN where there is none."""
    if not series.size:
        return np.full(series.shape[0], np.nan)
    later = np.arange(series.shape[1]) > np.argmax(height, axis=1)[:, None]
    there = later & ~np.isnan(series)
    return np.where(changed & there.any(axis=1), np.argmax(there, axis=1), np.nan)


def _tau(concordance: Floats, pairs: Floats, tied: Floats) -> Floats:
    return np.clip(divide(concordance, np.sqrt(pairs * (pairs - tied))), -1, 1)


def _concordance(series: Floats) -> Floats:
    """How many pairs of days rise, less how many fall."""
    total = np.zeros(series.shape[0])
    for lag in range(1, series.shape[1]):
        total += np.nansum(np.sign(series[:, lag:] - series[:, :-lag]), axis=1)
    return total


def _slopes(series: Floats) -> Iterator[tuple[slice, Floats]]:
    """Blocks of entities with the slopes between all their pairs of days, sorted."""
    entities, days = series.shape
    if days < 2:
        return
    block = max(1, PAIRS_AT_ONCE // (days * (days - 1) // 2))
    for start in range(0, entities, block):
        rows = slice(start, start + block)
        part = series[rows]
        slopes = np.concatenate([(part[:, lag:] - part[:, :-lag]) / lag for lag in range(1, days)], axis=1)
        slopes.sort(axis=1)
        yield rows, slopes


@cache
def _inversions() -> Floats:
    """P(at most j inversions in a random order of i), by i and j: Mahonian numbers (OEIS A008302)."""
    table = np.ones((LARGEST_EXACT + 1, LARGEST_EXACT * (LARGEST_EXACT - 1) // 2 + 1))
    chances = np.ones(1)
    for length in range(2, LARGEST_EXACT + 1):
        # A further value comes before 0, 1, ... or all of the others alike.
        chances = np.convolve(chances, np.full(length, 1 / length))
        table[length, : chances.size] = np.minimum(np.cumsum(chances), 1.0)
    return table
