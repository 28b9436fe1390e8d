"""Bootstrap tests: whole days are drawn again, as often as there were, and the difference is taken anew.

Efron & Tibshirani (1993), ch. 13 and 16. Every entity sees the same draws, from a fixed seed: a rerun gives the same
p, and a draw is one matrix product. The least p is 1 / (RESAMPLES + 1).

Percentiles are too sure where days are few: of means of 7 against 28 normal days that do not differ, 3% have p < 0.01
and 1% the least p there is. A false discovery rate over thousands of entities needs some 28 days on either side.
"""

import numpy as np

from shared.detectors.outcome import Floats, Outcome, by_side, multiples, standardised
from shared.detectors.samples import counted, moments, quantile

RESAMPLES = 1000
SEED = 19930
ENTITIES_AT_ONCE = 500
"""4 MB an array of draws, of which some ten are alive at once."""
LEAST_DAYS = 3
"""With fewer days there is next to nothing to draw from, and every difference would look certain."""
ROUNDING = 1e-12
"""A difference that is smaller, relative to what it is the difference of, is none."""


def bootstrap_ratio(side: str, num1: Floats, den1: Floats, num2: Floats, den2: Floats) -> Outcome:
    """Bootstrap test of two ratios of sums over days; `less`: the first is smaller.

    A day without a denominator takes no part; one without a numerator has none of it.
    """
    generator = np.random.default_rng(SEED)
    draws1, draws2 = _draws(generator, num1.shape[1]), _draws(generator, num2.shape[1])
    p, statistic, effect, lower, upper = np.full((5, num1.shape[0]), np.nan)
    for start in range(0, num1.shape[0], ENTITIES_AT_ONCE):
        rows = slice(start, start + ENTITIES_AT_ONCE)
        first, second = _ratios(num1[rows], den1[rows], draws1), _ratios(num2[rows], den2[rows], draws2)
        difference = first - second
        size = np.abs(first) + np.abs(second)
        difference[np.abs(difference) <= ROUNDING * size] = 0.0
        effect[rows], drawn = difference[:, 0], np.sort(difference[:, 1:], axis=1)
        least = counted(drawn) + 1
        less = (np.count_nonzero(drawn >= 0, axis=1) + 1) / least
        greater = (np.count_nonzero(drawn <= 0, axis=1) + 1) / least
        p[rows] = np.where(np.isnan(effect[rows]), np.nan, by_side(side, less, greater))
        sd = np.sqrt(moments(drawn)[2])
        sd = np.where(sd <= ROUNDING * size[:, 0], 0.0, sd)
        statistic[rows] = standardised(effect[rows], sd)
        lower[rows], upper[rows] = quantile(drawn, 0.05), quantile(drawn, 0.95)
    return Outcome(p, statistic, *multiples(effect, lower, upper))


def bootstrap_mean(side: str, x: Floats, y: Floats) -> Outcome:
    """Bootstrap test of two means of daily values; `less`: the first is smaller. A mean is a ratio to the days."""
    return bootstrap_ratio(side, x, np.where(np.isnan(x), np.nan, 1.0), y, np.where(np.isnan(y), np.nan, 1.0))


def _draws(generator: np.random.Generator, days: int) -> Floats:
    """How often each day is drawn, shaped (day, draw); the first draw is the days as they were."""
    if not days:
        return np.ones((0, RESAMPLES + 1))
    drawn = generator.multinomial(days, np.full(days, 1 / days), size=RESAMPLES)
    return np.concatenate([np.ones((1, days)), drawn]).T


def _ratios(num: Floats, den: Floats, draws: Floats) -> Floats:
    there = ~np.isnan(den)
    sums = np.where(there & ~np.isnan(num), num, 0.0) @ draws
    per = np.where(there, den, 0.0) @ draws
    # A draw of days that are all missing has no ratio, and is left out.
    per[(per == 0) | (np.count_nonzero(there, axis=1) < LEAST_DAYS)[:, None]] = np.nan
    ratios: Floats = sums / per
    return ratios
